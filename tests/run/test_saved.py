"""Reading checkpoint folders: every damage is noticed and named, and what is not asked for is not needed."""

import json

import pytest
import torch

from softrl.errors import UserError
from softrl.run import saved
from softrl.run.checkpoint import Checkpoints
from softrl.run.saved import available, read
from softrl.run.segments import Segments

FILES = ["agent.safetensors", "arrays.safetensors", "state.json", "manifest.json"]


@pytest.fixture
def run(tmp_path, ring, values):
    """A run folder with the checkpoints 10 and 20."""
    replay = ring(100)
    checkpoints = Checkpoints(
        tmp_path,
        2,
        agent=values({"weight": torch.arange(6.0).reshape(2, 3)}),
        replay=Segments(tmp_path / "replay", replay, 8),
        clocks=values({"next": 7, "noise": torch.ones(2)}),
    )
    for step in (10, 20):
        replay.add(10)
        checkpoints.save(step)
    return tmp_path


def newest(run):
    return run / "checkpoints" / "step_000000020"


def refused(run, name):
    """The older checkpoint is read, and the warning names the newer one and the file."""
    step, parts, warnings = read(run)
    assert step == 10
    assert parts["agent"]["weight"].shape == (2, 3)
    assert len(warnings) == 1
    assert "step_000000020" in warnings[0]
    assert name in warnings[0]


def test_reads_the_newest(run):
    step, parts, warnings = read(run)
    assert step == 20
    assert warnings == []
    assert set(parts) == {"agent", "replay", "clocks"}
    assert parts["clocks"]["next"] == 7
    assert available(run) == [10, 20]


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused(run, name):
    (newest(run) / name).unlink()
    refused(run, name)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_file_is_refused(run, name, share):
    path = newest(run) / name
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    refused(run, name)


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_anywhere_is_refused(run, name):
    path = newest(run) / name
    data = path.read_bytes()
    for position in range(0, len(data), max(1, len(data) // 60)):
        altered = bytearray(data)
        altered[position] ^= 1 << position % 8
        path.write_bytes(altered)
        refused(run, name)
    path.write_bytes(data)
    assert read(run).step == 20


@pytest.mark.parametrize("damage", ["gone", "short", "flipped"])
def test_a_damaged_segment_refuses_the_checkpoint_that_needs_it(run, damage):
    path = run / "replay" / "rows_000000000008.safetensors"  # full after 16 rows: only the second one needs it
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(data[:-1] if damage == "short" else data[:-1] + bytes([data[-1] ^ 1]))
    refused(run, path.name)
    assert read(run, only=("agent", "clocks")).step == 20, "without the replay its segments are not needed"


def test_only_the_parts_that_are_asked_for_are_read(run):
    (newest(run) / "arrays.safetensors").unlink()
    step, parts, warnings = read(run, only=("agent",))
    assert (step, set(parts), warnings) == (20, {"agent"}, [])


def test_reading_changes_nothing_on_disk(run):
    (newest(run) / "agent.safetensors").write_bytes(b"torn")
    (run / "checkpoints" / "step_000000030.partial").mkdir()
    before = sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*"))
    read(run)
    assert before == sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*"))


def test_none_usable_is_one_sentence_that_names_them_all(run):
    for path in run.glob("checkpoints/*/agent.safetensors"):
        path.write_bytes(b"")
    with pytest.raises(UserError) as error:
        read(run)
    assert "step_000000010" in str(error.value)
    assert "step_000000020" in str(error.value)
    assert "train again" in str(error.value)


def test_checkpoints_that_a_run_drops_meanwhile_are_replaced_by_newer_ones(run, monkeypatch):
    listed, whole = saved._candidates(run, "latest"), saved._candidates
    answers = iter([[folder.with_name("step_000000005") for folder in listed]])
    monkeypatch.setattr(saved, "_candidates", lambda *given: next(answers, None) or whole(*given))
    assert read(run).step == 20


def test_a_checkpoint_that_a_run_replaces_meanwhile_is_read_anew(run, monkeypatch):
    """Its manifest is that of one folder, and its files are those of another, which has the name now."""
    whole, calls, manifest = saved._read_folder, [], newest(run) / "manifest.json"
    now = manifest.read_bytes()
    manifest.write_bytes(b"what it was")

    def replaced_within(folder, *given):
        calls.append(folder)
        if len(calls) == 1:
            manifest.write_bytes(now)
            raise saved.TornError("agent.safetensors was altered")
        return whole(folder, *given)

    monkeypatch.setattr(saved, "_read_folder", replaced_within)
    assert read(run, 20).step == 20
    assert calls == [newest(run)] * 2


def test_a_checkpoint_is_a_step_or_a_word(run):
    with pytest.raises(UserError, match=r"no checkpoint 20\.0: give its step"):
        read(run, 20.0)


def test_no_checkpoints_at_all(tmp_path):
    with pytest.raises(UserError, match="no usable checkpoint"):
        read(tmp_path)
    with pytest.raises(UserError, match="no checkpoint 'best': there are none"):
        read(tmp_path, "best")


def test_a_step_that_is_asked_for_by_name_is_not_replaced_by_another(run):
    assert read(run, 10).step == 10
    (newest(run) / "agent.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=r"step_000000020.*use the latest"):
        read(run, 20)
    with pytest.raises(UserError, match="no checkpoint '30': there are 10, 20"):
        read(run, 30)


def test_a_newer_format_is_not_taken_for_a_torn_one(run, monkeypatch):
    monkeypatch.setattr(saved, "FORMAT", saved.FORMAT - 1)
    with pytest.raises(UserError, match=r"newer softrl \(format 1\): update"):
        read(run)


def test_the_manifest_is_plain_json_with_everything_in_it(run):
    manifest = json.loads((newest(run) / "manifest.json").read_text())
    assert manifest["format"] == 1
    assert manifest["step"] == 20
    assert set(manifest["files"]) == set(FILES) - {"manifest.json"}
    assert [name for name, _, _ in manifest["segments"]] == [f"rows_{k:012d}.safetensors" for k in (0, 8)]
    for name, entry in manifest["files"].items():
        assert (newest(run) / name).stat().st_size == entry["bytes"]


def test_no_pickle(run):
    for path in run.rglob("*.*"):
        if path.is_file():
            assert path.suffix in (".json", ".safetensors")


def test_weights_that_are_whole_are_named_where_replay_is_not(run):
    for segment in (run / "replay").glob("*"):
        segment.unlink()
    with pytest.raises(UserError, match=r"or with --init .*step_000000020, whose weights are whole"):
        read(run)
