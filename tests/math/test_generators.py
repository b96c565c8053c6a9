"""Draws that leave those of training alone."""

import pytest
import torch

from softrl.math.generators import forked_generators


def test_what_is_drawn_inside_changes_nothing_outside() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    with forked_generators(torch.zeros(1)):
        torch.manual_seed(7)
        torch.rand(5)
    assert torch.equal(torch.rand(3), expected)


def test_no_gpu_is_looked_at_for_tensors_on_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object) -> None:
        raise AssertionError("a GPU was set up")

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    monkeypatch.setattr(torch.cuda, "get_rng_state", asked)
    with forked_generators(torch.zeros(1)):
        torch.rand(1)
