"""Random windows to measure updates with, and the same numbers as the plain code wants them.

Shapes: see `softrl.types`.
"""

import torch
from torch import Tensor

from softrl.types import Spec, Window

GAMMA = 0.99


def decisions(spec: Spec, rows: int) -> Window:
    """Random windows of one decision."""
    return Window(
        obs={"pixels": torch.randint(256, (rows, 2, *spec.obs["pixels"]), dtype=torch.uint8)},
        action=2 * torch.rand(rows, 1, spec.action) - 1,
        reward=torch.rand(rows, 1),
        discount=torch.full((rows, 1), GAMMA),
        first=torch.zeros(rows, 1, dtype=torch.bool),
        weight=torch.ones(rows),
        index=torch.arange(rows),
    )


def sequences(spec: Spec, rows: int, length: int) -> Window:
    """Random stretches, each from the midst of an episode."""
    return Window(
        obs={"pixels": torch.randint(256, (rows, length, *spec.obs["pixels"]), dtype=torch.uint8)},
        action=2 * torch.rand(rows, length, spec.action) - 1,
        reward=torch.rand(rows, length),
        discount=torch.full((rows, length), GAMMA),
        first=torch.zeros(rows, length, dtype=torch.bool),
        weight=torch.ones(rows),
        index=torch.arange(rows),
        last=torch.zeros(rows, length, dtype=torch.bool),
    )


def transitions(window: Window) -> tuple[Tensor, ...]:
    """A window of decisions as the plain SAC+AE wants it."""
    now, after = (x.contiguous() for x in window.obs["pixels"].unbind(1))
    return now, window.action[:, 0], window.reward, after, (window.discount > 0).float()


def stretches(window: Window) -> tuple[Tensor, ...]:
    """Sequences as the plain world models want them: time first, with the action and reward before each picture."""
    before = (torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], 1) for x in (window.action, window.reward))
    return tuple(x.transpose(0, 1).contiguous() for x in (window.obs["pixels"], *before))
