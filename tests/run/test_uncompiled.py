"""A compiler that fails ends no run that did not ask for it, and one that did in a sentence."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from softrl import api
from softrl.agent import compile as compiling
from softrl.errors import UserError
from softrl.run import resolve
from softrl.run.folder import read_config
from softrl.run.saved import read

SHORT = {"steps": 80, "eval.every": 80, "eval.episodes": 1, "train.warmup": 40}
LEFT = "checkpoints/step_000000080/agent.safetensors"
REFUSAL = "C++ compile error\n\nOutput:\nx.cpp:1:10: fatal error: Python.h: No such file or directory\n"
Trained = Callable[..., api.RunResult]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A torch that cannot compile, in runs that are long enough to; returns a list with an entry for each try."""
    from torch._dynamo.exc import TorchDynamoException

    tries: list[int] = []

    def refuse(*arguments: Any, **flags: Any) -> None:
        tries.append(len(tries))
        raise TorchDynamoException(REFUSAL)

    monkeypatch.setattr(resolve, "WORTH_COMPILING", 1)
    monkeypatch.setattr(resolve, "compiler", lambda: "g++")
    monkeypatch.setattr(compiling, "compiler", lambda: "g++")
    monkeypatch.setattr(torch, "compile", lambda update, **options: refuse)
    return tries


def test_a_run_that_chose_to_compile_goes_on_without(
    trained: Trained, tmp_path: Path, failing: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    trained(tmp_path / "off", compile="off", **SHORT)
    path = trained(tmp_path / "auto", compile="auto", quiet=False, **SHORT).path
    assert (path / LEFT).read_bytes() == (tmp_path / "off" / LEFT).read_bytes()
    told = "the update cannot be compiled (Python.h: No such file or directory), `softrl doctor`"
    assert capsys.readouterr().out.count(told) == (path / "log.txt").read_text().count(told) == len(failing) == 1
    assert read_config(path)["compile"] == read(path).parts["settings"]["run"]["compile"] == "off"


def test_a_run_that_was_asked_to_compile_says_what_is_wrong(
    trained: Trained, tmp_path: Path, failing: list[int]
) -> None:
    path = tmp_path / "run"
    with pytest.raises(UserError, match=r"compiled \(Python.h: No such file or directory\), .*or use --compile off"):
        trained(path, compile="graph", **SHORT)
    with pytest.raises(UserError, match="use --compile off"):
        api.resume(path)
    assert read_config(path)["compile"] == "graph"


def test_a_resume_that_chose_to_compile_goes_on_without(trained: Trained, tmp_path: Path, failing: list[int]) -> None:
    path = trained(tmp_path / "run", compile="off", **SHORT).path
    api.resume(path, steps=160, compile="auto")
    assert read_config(path)["compile"] == "off"
    assert len(failing) == 1


@pytest.mark.parametrize("mode", ["auto", "graph"])
def test_ctrl_c_that_ends_the_compiler_ends_the_run_and_not_compiling(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: list[int], mode: str
) -> None:
    """A terminal sends it to the compiler as well."""
    from torch._dynamo.exc import TorchDynamoException

    calls: list[int] = []

    def compiled(update: Any, **options: Any) -> Any:
        def call(*arguments: Any, **flags: Any) -> Any:
            calls.append(len(calls))
            if calls == [0]:
                os.kill(os.getpid(), signal.SIGINT)
                raise TorchDynamoException("the compiler was killed")
            return update(*arguments, **flags)

        return call

    monkeypatch.setattr(torch, "compile", compiled)
    result = trained(tmp_path / "run", compile=mode, **SHORT)
    assert not result.finished
    assert calls == [0, 1]
    assert read_config(result.path)["compile"] == "graph"
    assert "cannot be compiled" not in (result.path / "log.txt").read_text()


SCRIPT = """
import sys
from softrl import api
from softrl.run import resolve
resolve.WORTH_COMPILING = 1
for mode in ("off", "auto"):
    api.train("Pendulum-v1", "sac+tiny", run=mode, compile=mode, steps=25, threads=1,
        **{"train.warmup": 20, "eval.episodes": 1, "video.every": "never"})
"""


@pytest.mark.slow
def test_a_compiler_that_lacks_headers_leaves_the_update_undone(tmp_path: Path) -> None:
    """What torch raises differs by version, and nothing of the agent may have changed by then."""
    fake = tmp_path / "bin" / "g++"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 'x.cpp:1:10: fatal error: Python.h: No such file or directory' >&2\nexit 1\n")
    fake.chmod(0o755)
    where = {"PATH": f"{fake.parent}:{os.environ['PATH']}", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, env={**os.environ, **where}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "cannot be compiled" in (tmp_path / "auto" / "log.txt").read_text()
    left = "checkpoints/step_000000025/agent.safetensors"
    assert (tmp_path / "auto" / left).read_bytes() == (tmp_path / "off" / left).read_bytes()
