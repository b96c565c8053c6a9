"""Durable files: whole or not at all, cut back to the byte, and a full disk in a sentence."""

import errno
import hashlib
import os
from pathlib import Path

import pytest

from softrl.errors import UserError, disk_errors
from softrl.run.files import AppendedFile, cut_back, digest, file_digest, make_folder, replace_file, run_errors


def test_replace_file_is_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "config.json"
    replace_file(path, b"old")
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        replace_file(path, b"newer")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_digests_agree_with_each_other_and_with_hashlib(tmp_path):
    data = bytes(range(256)) * 1000
    (tmp_path / "file").write_bytes(data)
    assert digest(data) == file_digest(tmp_path / "file") == hashlib.sha256(data).hexdigest()


def test_make_folder_may_exist(tmp_path):
    make_folder(tmp_path / "a")
    make_folder(tmp_path / "a")
    assert (tmp_path / "a").is_dir()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_in_one_sentence(number):
    with (
        pytest.raises(UserError, match=r"^cannot write the thing, the disk is full: make room$"),
        disk_errors("the thing", "make room"),
    ):
        raise OSError(number, "whatever the system says")


def test_other_refusals_keep_the_reason_of_the_system():
    with (
        pytest.raises(UserError, match=r"^cannot write the thing, permission denied: move it$"),
        disk_errors("the thing", "move it"),
    ):
        raise PermissionError(errno.EACCES, "Permission denied")


def test_mistakes_of_the_program_pass():
    with pytest.raises(ZeroDivisionError), disk_errors("the thing", "make room"):
        raise ZeroDivisionError


def test_appends_are_seen_at_once_and_cut_back_to_the_byte(tmp_path):
    path = tmp_path / "train.csv"
    file = AppendedFile(path, b"header\n")
    assert path.read_bytes() == b"header\n"
    file.append(b"one\n")
    assert path.read_bytes() == b"header\none\n"
    position = file.position()
    assert position == len(b"header\none\n")
    file.append(b"two\n")
    file.cut(position)
    assert path.read_bytes() == b"header\none\n"
    file.append(b"three\n")
    assert path.read_bytes() == b"header\none\nthree\n"


def test_an_existing_file_is_appended_to_without_a_second_header(tmp_path):
    path = tmp_path / "train.csv"
    first = AppendedFile(path, b"header\n")
    first.append(b"one\n")
    first.close()
    second = AppendedFile(path, b"header\n")
    second.append(b"two\n")
    assert path.read_bytes() == b"header\none\ntwo\n"
    assert second.position() == len(path.read_bytes())


def test_a_file_that_somebody_shortened_is_not_filled_with_zeros(tmp_path):
    path = tmp_path / "log.txt"
    path.write_bytes(b"abc")
    cut_back(path, 10)
    assert path.read_bytes() == b"abc"
    cut_back(tmp_path / "gone", 10)
    assert not (tmp_path / "gone").exists()
    file = AppendedFile(path)
    path.unlink()
    file.cut(3)
    assert path.read_bytes() == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_full_disk_while_appending():
    file = AppendedFile(Path("/dev/full"))
    with pytest.raises(UserError, match=r"/dev/full, the disk is full: make room and start again"):
        file.append(b"line\n")
    file.close()  # nothing is left in a buffer that would fail again here


def test_a_table_that_cannot_be_cut_back_is_told(tmp_path, monkeypatch):
    file = AppendedFile(tmp_path / "eval.csv", b"header\n")

    def refuse(path, position):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "truncate", refuse)
    with pytest.raises(UserError, match=r"cannot write .*eval\.csv, operation not permitted: let it be written"):
        file.cut(0)


@pytest.mark.parametrize(
    ("folder", "sentence"),
    [
        (
            "run/checkpoints/step_000000000",
            "the disk is full: nothing was lost, make room and go on with `softrl resume`",
        ),
        ("run/checkpoints/step_000000000.partial", "is full: make room and start again"),
        ("elsewhere", "is full: the run folder .*run no longer exists, start another run"),
    ],
)
def test_whether_a_run_can_go_on_is_seen_on_the_disk(tmp_path, folder, sentence):
    (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(UserError, match=sentence), run_errors(tmp_path / "run", tmp_path / "run" / "log.txt"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_half_a_line_is_dropped(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"a,b\n1,2\n3")
    file = AppendedFile(path)
    file.drop_half_line()
    file.append(b"5,6\n")
    assert path.read_bytes() == b"a,b\n1,2\n5,6\n"
