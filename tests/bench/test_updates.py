"""benchmarks/updates.py with processes that only pretend to measure, and peers/rate.py for a moment."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import ratios
import speed
import speed_page
import updates
from raw import read

BENCHMARKS = Path(updates.__file__).parent
GPU = "NVIDIA H200"


class Pretended:
    """What processes would have printed; the second round finds compiled code and a machine of half the speed."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []

    def __call__(self, command: list[str], threads: int) -> dict[str, Any]:
        self.commands.append(command)
        name, flags = command[2], " ".join(command[3:])
        speeds = {"softrl": 1600.0, "sb3": 160.0, "torchrl": 400.0}
        again = self.commands[:-1].count(command)
        result = {"updates_per_second": speeds[name] / (1 + again), "first_seconds": 30.0 - 20 * bool(again)}
        return result | {"gpu": GPU if "cuda" in flags else "", "versions": {"somebody": "1.0"}}


@pytest.fixture
def pretended(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pretended:
    """Raw numbers, the page and the picture go to a folder of the test."""
    pretended = Pretended()
    monkeypatch.setattr(updates, "RESULTS", tmp_path)
    monkeypatch.setattr(updates, "PICTURE", tmp_path / "speed.png")
    monkeypatch.setattr(speed, "measured", pretended)
    monkeypatch.setattr(speed_page, "bars", lambda panels, out: None)
    return pretended


def test_a_gpu_has_targets_and_graphs(pretended: Pretended, tmp_path: Path, capsys: Any) -> None:
    updates.main(["--device", "cuda", "--peers", "python", "--rounds", "3"])
    names = ["softrl", "sb3", "torchrl", "torchrl compiled", "torchrl CUDA graph", "softrl 16 a launch"]
    found = {figure.what.removesuffix(", HalfCheetah-v5"): figure for figure in ratios.figures(tmp_path)}
    assert set(found) == {f"{ours} over {ratios.PEERS[peer]}" for ours in (names[0], names[5]) for peer in names[1:5]}
    over = found["softrl over Stable-Baselines3"]
    assert (over.ratios, over.bound, over.verdict) == ((10.0, 10.0, 10.0), ">= 8", "yes")
    assert dict(over.more) == {
        "updates/s, ours and theirs": "800 and 80",
        "s for the first": "30.0, then 10.0 and 30.0, then 10.0",
    }
    assert found["softrl over compiled TorchRL"].bound == found["softrl over TorchRL in a CUDA graph"].bound == ">= 1.5"
    assert found["softrl over TorchRL"].bound == found["softrl 16 a launch over Stable-Baselines3"].bound == ""
    assert {words[-1] for words in pretended.commands[::6]} == {"cudagraph"}
    assert speed_page.processor(over) == GPU
    assert f", {GPU} |" in (tmp_path / "README.md").read_text()
    assert "softrl over Stable-Baselines3, HalfCheetah-v5: 10.000" in capsys.readouterr().out


def test_processors_have_none(pretended: Pretended, tmp_path: Path) -> None:
    updates.main(["--device", "cpu", "--peers", "python", "--rounds", "3"])
    assert [words[2] for words in pretended.commands] == ["softrl", "sb3", "torchrl", "torchrl"] * 3
    assert pretended.commands[0][0] == sys.executable
    assert pretended.commands[0][-2:] == ["--compile", "graph"]
    assert pretended.commands[3][-2:] == ["--how", "compiled"]
    assert {figure.bound for figure in ratios.figures(tmp_path)} == {""}
    assert "gpu" not in read(tmp_path, "updates", "sb3")[0]


def test_contenders_can_be_chosen_and_the_device_is_found(
    pretended: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    updates.main(["--peers", "python", "--rounds", "1", "--only", "softrl,torchrl CUDA graph"])
    assert [words[2] for words in pretended.commands] == ["softrl", "torchrl"]
    assert all("--device cuda" in " ".join(words) for words in pretended.commands)


@pytest.mark.slow
def test_our_updates_are_counted() -> None:
    program = [sys.executable, str(BENCHMARKS / "peers" / "rate.py"), "softrl"]
    sizes = ["--env", "Pendulum-v1", "--rows", "2000", "--seconds", "0"]
    done = subprocess.run([*program, *sizes], capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    assert result["updates_per_second"] > 0
    assert result["first_seconds"] > 0
    assert (result["gpu"], result["device"]) == ("", "cpu")
