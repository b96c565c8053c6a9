"""SimBaV2 against loops, and its spheres."""

import math

import pytest
import torch
from hypothesis import given, strategies as st

from softrl.errors import UserError
from softrl.nn.init import initialise
from softrl.nn.trunks.simbav2 import SimBaV2


def unit(x: torch.Tensor) -> torch.Tensor:
    return x / x.square().sum(-1, keepdim=True).sqrt()


@pytest.mark.parametrize("members", [1, 3])
def test_equals_the_papers_equations(members: int, shaken, member) -> None:
    trunk, x = shaken(SimBaV2(6).build(4, members)), torch.randn(7, 4)
    for e in range(members):
        p = member(trunk, e)
        h = unit(torch.cat([x, torch.full((7, 1), 3.0)], 1))
        h = unit(p["scaler.weight"] * (h @ p["embed.weight"]))  # its initial value over its size is one
        for n in (f"blocks.{n}" for n in range(2)):
            inner = (p[f"{n}.scaler.weight"] * (h @ p[f"{n}.expand.weight"])).relu()
            rate = p[f"{n}.rate.weight"] * (1 / 3) * math.sqrt(6)
            h = unit(h + rate * (unit(inner @ p[f"{n}.contract.weight"]) - h))
        torch.testing.assert_close(trunk(x)[e], h)


@pytest.mark.parametrize("members", [1, 3])
def test_its_output_mixes_scales_and_maps(members: int, shaken, member) -> None:
    out, h = shaken(SimBaV2(6).build(4, members).out(3)), torch.randn(members, 7, 6)
    for e in range(members):
        p = member(out, e)
        expected = (p["1.weight"] * (h[e] @ p["0.weight"])) @ p["2.weight"] + p["2.bias"]
        torch.testing.assert_close(out(h)[e], expected)


@given(st.integers(0, 2**16), st.floats(1e-3, 1e3))
def test_features_have_norm_one_whatever_the_inputs(seed: int, size: float) -> None:
    torch.manual_seed(seed)
    h = SimBaV2(8).build(4, 2)(size * torch.randn(5, 4))
    torch.testing.assert_close(h.norm(dim=-1), torch.ones(2, 5))


def test_the_constant_keeps_the_length_of_the_inputs() -> None:
    trunk, x = SimBaV2(8).build(4), torch.randn(5, 4)
    assert not torch.allclose(trunk(x), trunk(2 * x), atol=1e-3)


def test_scales_start_as_published() -> None:
    trunk = SimBaV2().build(17)
    block, one = trunk.blocks[0], torch.ones(1, 1, 512)
    torch.testing.assert_close(trunk.scaler.weight.detach(), one * math.sqrt(2 / 512))
    torch.testing.assert_close(block.scaler.weight.detach(), torch.ones(1, 1, 2048) * math.sqrt(2 / 512) / math.sqrt(4))
    torch.testing.assert_close(block.scaler(torch.ones(1, 1, 2048)), block.scaler.weight)
    torch.testing.assert_close(block.rate.weight.detach(), one / math.sqrt(512))
    torch.testing.assert_close(block.rate(one), one / 3)


def test_kernels_are_directions_of_orthogonal_matrices() -> None:
    torch.manual_seed(0)
    trunk, first = SimBaV2(16).build(4, 2), torch.empty(2, 5, 16)
    torch.manual_seed(0)
    initialise(first, "orthogonal")
    torch.testing.assert_close(trunk.embed.weight.detach(), unit(first.mT).mT)  # of norm one in columns
    mix, _, last = trunk.out(3)
    for layer in (trunk.blocks[0].contract, trunk.blocks[1].contract, mix, last):
        gram = layer.weight.detach().mT @ layer.weight.detach()
        torch.testing.assert_close(gram, torch.eye(gram.shape[-1]).expand_as(gram), atol=1e-5, rtol=0)


def test_parameters_of_the_papers_critic() -> None:
    # No biases: the input with its constant, scales, and in each block two kernels, 4 x 512 scales and 512 rates.
    trunk = SimBaV2().build(23)
    expected = 24 * 512 + 512 + 2 * (2 * 512 * 2048 + 2048 + 512)
    assert sum(p.numel() for p in trunk.parameters()) == expected
    assert sum(p.numel() for p in trunk.out(101).parameters()) == 512 * 512 + 512 + 512 * 101 + 101


def test_kernels_do_not_decay_and_scales_do() -> None:
    decays = {name: getattr(value, "decays", True) for name, value in SimBaV2(8, 1).build(4).named_parameters()}
    assert {name for name, decay in decays.items() if decay} == {
        "scaler.weight", "blocks.0.scaler.weight", "blocks.0.rate.weight"
    }  # fmt: skip


def test_a_shift_that_forgets_the_length() -> None:
    with pytest.raises(UserError, match="shift"):
        SimBaV2(shift=0.0)
