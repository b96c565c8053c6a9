"""Tests run on the processor, on every machine alike, unless those of a GPU are asked for."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from softrl.run.config import Run
from softrl.run.resolve import resolve


def test_no_gpu_is_seen() -> None:
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    assert not torch.cuda.is_available()
    assert resolve(Run()).device == "cpu"


@pytest.mark.parametrize(("marks", "seen"), [("not slow", ""), ("slow", ""), ("", ""), ("gpu", "1")])
def test_gpus_are_seen_where_their_tests_are_asked_for(
    marks: str, seen: str, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    conftest: Any = pytestconfig.pluginmanager.get_plugin(str(Path(__file__).with_name("conftest.py")))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    conftest.pytest_configure(SimpleNamespace(option=SimpleNamespace(markexpr=marks)))
    assert os.environ["CUDA_VISIBLE_DEVICES"] == seen
