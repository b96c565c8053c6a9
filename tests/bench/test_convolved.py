"""Convolutions of the floor: counted as torch counts them, and repeated as they were asked for."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from softrl.bench.convolved import Convolved, laid_out, layout
from softrl.bench.floor import Recorder, products
from softrl.recipes import apply
from softrl.run.config import Run
from softrl.types import Spec, Window


def recorded(transposed: bool) -> tuple[list[Convolved], int]:
    """What a convolution of learned kernels and of data is made of, and its operations as torch counts them."""
    images, kernels = torch.randn(2, 3, 9, 9), torch.randn(3, 3, 3, 3, requires_grad=True)
    convolve = F.conv_transpose2d if transposed else F.conv2d
    with FlopCounterMode(display=False) as counter, Recorder() as recorder:
        convolve(images, kernels, stride=2).sum().backward()
    return recorder.found, counter.get_total_flops()  # type: ignore[return-value]


def test_one_convolution_by_hand() -> None:
    """9x9 becomes 4x4: 2 images, 16 places, 3 outputs, 3 inputs, 9 entries of a kernel, twice for multiply and add."""
    (ahead, back), total = recorded(transposed=False)
    assert ahead.flops == back.flops == 2 * 2 * 16 * 3 * 3 * 9
    assert total == ahead.flops + back.flops
    assert (back.inputs, back.weights) == (False, True)


@pytest.mark.parametrize("transposed", [False, True])
def test_it_is_repeated_as_it_was_asked_for(transposed: bool) -> None:
    found, total = recorded(transposed)
    with FlopCounterMode(display=False) as counter:
        for work in found:
            work.forms()["convolution"]()
    assert counter.get_total_flops() == total == sum(work.flops for work in found)


@pytest.mark.parametrize("x", [torch.randn(2, 3, 4, 5), torch.randn(2, 4, 5, 3).movedim(-1, 1)])
def test_numbers_lie_in_memory_as_the_update_s_did(x: Tensor) -> None:
    again = laid_out(layout(x))
    assert layout(again) == layout(x)
    assert not torch.equal(again, x)


@pytest.mark.parametrize("recipe", ["sac_ae", "drq", "curl"])
def test_nothing_of_an_update_from_pixels_escapes(recipe: str) -> None:
    agent = apply(f"{recipe}+tiny", Run()).agent.build(Spec({"pixels": (9, 24, 24)}, 2, stack=3))
    flag, reward = torch.zeros(8, 1, dtype=torch.bool), torch.randn(8, 1)
    pixels = torch.randint(256, (8, 2, 9, 24, 24), dtype=torch.uint8)
    action = torch.rand(8, 1, 2)
    window = Window({"pixels": pixels}, action, reward, 0.99 + 0 * reward, flag, torch.ones(8), torch.arange(8))
    with FlopCounterMode(display=False) as counter:
        found = products(agent, window)
    assert counter.get_total_flops() == sum(work.flops for work in found)
