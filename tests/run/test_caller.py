"""What a training leaves of the process for its caller."""

import random
import subprocess
import sys
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch

from softrl import api
from softrl.errors import UserError
from softrl.run.caller import TRAINING, left_as_it_was

SHORT = {"steps": 20, "eval.every": 20, "eval.episodes": 1, "video.every": "never", "threads": 1, "train.warmup": 10}


def drawn() -> list[float]:
    return [random.random(), float(np.random.rand()), float(torch.rand(()))]


def test_a_caller_draws_what_it_would_have_drawn(tmp_path: Path) -> None:
    random.seed(3), np.random.seed(3), torch.manual_seed(3)
    expected = [drawn() for _ in range(3)]
    random.seed(3), np.random.seed(3), torch.manual_seed(3)
    found = [drawn()]
    path = api.train("Pendulum-v1", "sac+tiny", run=tmp_path / "run", **SHORT).path
    found.append(drawn())
    api.resume(path, steps=30)
    assert [*found, drawn()] == expected


def test_the_heap_gives_back_again_when_a_run_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr("softrl.run.caller.give_back", lambda: calls.append("given back"))
    with left_as_it_was():
        assert calls == []
    assert calls == ["given back"]


def failing() -> Any:
    raise ConnectionError("no simulator")


def test_a_run_that_cannot_begin_leaves_torch_as_it_was(tmp_path: Path) -> None:
    threads, cudnn = torch.get_num_threads(), torch.backends.cudnn
    before = (cudnn.deterministic, cudnn.allow_tf32, torch.get_float32_matmul_precision())
    with pytest.raises(UserError, match="no simulator"):
        api.train(failing, run=tmp_path / "run", **{**SHORT, "threads": threads + 1})
    assert torch.get_num_threads() == threads
    assert (cudnn.deterministic, cudnn.allow_tf32, torch.get_float32_matmul_precision()) == before


def test_one_training_at_a_time_runs_in_a_process() -> None:
    refused: list[str] = []

    def second() -> None:
        try:
            api.train("Pendulum-v1", "sac+tiny")
        except UserError as error:
            refused.append(str(error))

    with left_as_it_was():
        thread = Thread(target=second)
        thread.start()
        thread.join()
    assert len(refused) == 1
    assert refused[0].startswith("another training runs in this process")
    assert not TRAINING.locked()


def test_a_curve_that_cannot_be_drawn_ends_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path) -> None:
        raise OSError("no place for fonts")

    monkeypatch.setattr(api, "curve", broken)
    result = api.train("Pendulum-v1", "sac+tiny", run=tmp_path / "run", **SHORT)
    assert result.finished
    assert "no curve: no place for fonts" in (result.path / "log.txt").read_text()


@pytest.mark.parametrize(
    "setting",
    [
        "cudnn.benchmark = False",
        "cudnn.allow_tf32 = False",
        "cudnn.fp32_precision = 'tf32'",
        "cudnn.fp32_precision = 'ieee'",
        "cudnn.conv.fp32_precision = 'ieee'",
        "fp32_precision = 'tf32'",
        "fp32_precision = 'ieee'",
    ],
)
def test_convolutions_are_in_full_float32_whatever_the_caller_has_set(setting: str) -> None:
    """In a process of its own: torch does not forget which of its older and newer switches were used."""
    program = f"""
import torch
from softrl.run.caller import left_as_it_was
from softrl.run.seed import repeatable

torch.backends.{setting}
conv, rnn = torch.backends.cudnn.conv, torch.backends.cudnn.rnn
before = (conv.fp32_precision, rnn.fp32_precision)
with left_as_it_was():
    repeatable()
    assert (conv.fp32_precision, rnn.fp32_precision, torch.backends.cudnn.allow_tf32) == ("ieee", "ieee", False)
assert (conv.fp32_precision, rnn.fp32_precision) == before
"""
    subprocess.run([sys.executable, "-c", program], check=True)
