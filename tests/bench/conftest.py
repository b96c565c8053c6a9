"""What tests of the measuring programs share."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import speed


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the raw numbers; this process keeps its processors."""
    monkeypatch.setattr(speed, "RESULTS", tmp_path)
    monkeypatch.setattr(os, "sched_setaffinity", lambda *_: None)
    return tmp_path
