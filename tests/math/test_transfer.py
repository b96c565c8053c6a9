"""Where tensors go, and from what memory."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import softrl
from softrl.math.transfer import delivered, sent
from softrl.types import Window

META = torch.device("meta")


def window(last: Tensor | None) -> Window:
    flags = torch.zeros(4, 1, dtype=torch.bool)
    obs = {"state": torch.randn(4, 2, 3)}
    numbers = torch.randn(4, 1)
    return Window(obs, torch.randn(4, 1, 2), numbers, numbers, flags, torch.ones(4), torch.arange(4), last)


def test_nothing_moves_where_everything_is_already() -> None:
    values, batch = torch.randn(3), window(None)
    assert sent(values, torch.device("cpu")) is values
    assert delivered(batch, torch.device("cpu")) is batch


def test_a_gpu_fetches_from_page_locked_memory_and_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def pinned(values: Tensor) -> Tensor:
        calls.append("pinned" if values.is_contiguous() else "pinned with gaps")
        return values

    def moved(values: Tensor, device: torch.device, non_blocking: bool = False) -> Tensor:
        calls.append((device.type, non_blocking))
        return values

    monkeypatch.setattr(Tensor, "pin_memory", pinned)
    monkeypatch.setattr(Tensor, "to", moved)
    sent(torch.zeros(3), torch.device("cuda"))
    sent(torch.zeros(3, 4)[:, 1:3].transpose(0, 1), torch.device("cuda"))
    assert calls == ["pinned", ("cuda", True)] * 2


def test_what_comes_back_to_the_host_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without, it would be read before it is there."""
    calls: list[bool] = []

    def moved(values: Tensor, device: torch.device, non_blocking: bool = False) -> Tensor:
        calls.append(non_blocking)
        return torch.zeros(values.shape)

    monkeypatch.setattr(Tensor, "to", moved)
    sent(torch.zeros(3, device="meta"), torch.device("cpu"))
    assert calls == [False]


@pytest.mark.parametrize("last", [None, torch.zeros(4, 1, dtype=torch.bool)], ids=["decisions", "sequences"])
def test_a_window_is_delivered_but_for_its_index(last: Tensor | None) -> None:
    batch = window(last)
    there = delivered(batch, META)
    assert there.index is batch.index
    assert (there.last is None) == (last is None)
    assert there.obs["state"].device == META
    assert there.obs["state"].shape == batch.obs["state"].shape
    rest = {
        name: value for name, value in there._asdict().items() if name not in ("obs", "index") and value is not None
    }
    assert len(rest) == (5 if last is None else 6)
    assert all(value.device == META for value in rest.values())


def test_nobody_else_copies_without_waiting() -> None:
    """A copy from memory that is not page-locked may make the host wait all the same, whatever it is told."""
    root = Path(softrl.__file__).parent
    ask = [path.relative_to(root).as_posix() for path in root.rglob("*.py") if "non_blocking" in path.read_text()]
    assert sorted(ask) == ["agent/capture.py", "math/transfer.py"]  # the first from one place on a device to another
