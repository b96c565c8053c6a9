"""What the tests of trunks share."""

from collections.abc import Callable

import pytest
import torch
from torch import nn


@pytest.fixture
def shaken() -> Callable[[nn.Module], nn.Module]:
    """Give every parameter and running statistic a random value, so that no initial zero or one hides a mistake."""

    def shake(module: nn.Module) -> nn.Module:
        for parameter in module.parameters():
            parameter.data.normal_()
        for name, buffer in module.named_buffers():
            if name.endswith(("mean", "variance")):
                buffer.uniform_(0.5, 2.0)
        return module

    return shake


@pytest.fixture
def member() -> Callable[[nn.Module, int], dict[str, torch.Tensor]]:
    """The state of one member: parameters by name without their leading axis, biases and scales as vectors."""

    def state(module: nn.Module, e: int) -> dict[str, torch.Tensor]:
        entries = {name: value for name, value in module.state_dict().items() if value.dim()}
        return {name: value[e].squeeze(0) if value.shape[1] == 1 else value[e] for name, value in entries.items()}

    return state
