"""SimBa against loops."""

import math

import pytest
import torch
from torch.nn import functional

from softrl.nn.trunks.simba import SimBa


@pytest.mark.parametrize("members", [1, 3])
def test_equals_the_papers_figure(members: int, shaken, member) -> None:
    trunk, x = shaken(SimBa(6).build(4, members)), torch.randn(7, 4)
    for e in range(members):
        p = member(trunk, e)

        def linear(x: torch.Tensor, name: str, p=p) -> torch.Tensor:
            return x @ p[f"{name}.weight"] + p[f"{name}.bias"]

        def layer_norm(x: torch.Tensor, name: str, p=p) -> torch.Tensor:
            return functional.layer_norm(x, (6,), p[f"{name}.weight"], p[f"{name}.bias"])

        h = linear(x, "embed")
        for n in (f"blocks.{n}" for n in range(2)):
            h = h + linear(linear(layer_norm(h, f"{n}.norm"), f"{n}.expand").relu(), f"{n}.contract")
        torch.testing.assert_close(trunk(x)[e], layer_norm(h, "norm"))


def test_parameters_of_the_papers_critic() -> None:
    block = 2 * 512 + (512 + 1) * 2048 + (2048 + 1) * 512
    assert sum(p.numel() for p in SimBa().build(23).parameters()) == (23 + 1) * 512 + 2 * block + 2 * 512


def test_blocks_are_he_normal_and_the_ends_orthogonal() -> None:
    trunk = SimBa(128).build(17)
    for layer, fan in ((trunk.blocks[0].expand, 128), (trunk.blocks[1].contract, 512)):
        assert abs(layer.weight.std().item() / math.sqrt(2 / fan) - 1) < 0.02
    for layer in (trunk.embed, trunk.out(4)):
        values = torch.linalg.svdvals(layer.weight[0])
        torch.testing.assert_close(values, torch.ones_like(values))
