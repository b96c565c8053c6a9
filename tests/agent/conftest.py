"""What the tests of agents share."""

from collections.abc import Callable

import pytest
import torch

from softrl.types import Window


@pytest.fixture
def window() -> Callable[..., Window]:
    """Draws a batch of single decisions in the midst of episodes: five numbers of state, two of action."""

    def draw(rows: int = 16) -> Window:
        return Window(
            {"state": torch.randn(rows, 2, 5)},
            torch.rand(rows, 1, 2),
            torch.randn(rows, 1),
            torch.full((rows, 1), 0.99),
            torch.zeros(rows, 1, dtype=torch.bool),
            torch.ones(rows),
            torch.arange(rows),
        )

    return draw
