"""NormFormer's blocks against loops."""

import pytest
import torch
from torch.nn import functional

from softrl.errors import UserError
from softrl.nn.trunks.normformer import NormFormer

FUNCTIONS = {"gelu": functional.gelu, "relu2": lambda x: x.relu() ** 2}


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("activation", FUNCTIONS)
@pytest.mark.parametrize("scaled", [True, False])
def test_equals_the_papers_figure(members: int, activation: str, scaled: bool, shaken, member) -> None:
    trunk = shaken(NormFormer(6, activation=activation, scaled_skip=scaled).build(4, members))
    x = torch.randn(7, 4)
    for e in range(members):
        p = member(trunk, e)

        def linear(x: torch.Tensor, name: str, p=p) -> torch.Tensor:
            return x @ p[f"{name}.weight"] + p[f"{name}.bias"]

        def layer_norm(x: torch.Tensor, name: str, p=p) -> torch.Tensor:
            return functional.layer_norm(x, x.shape[-1:], p[f"{name}.weight"], p[f"{name}.bias"])

        h = linear(x, "embed")
        for n in (f"blocks.{n}" for n in range(2)):
            inner = FUNCTIONS[activation](linear(layer_norm(h, f"{n}.norm"), f"{n}.expand"))
            skip = p[f"{n}.skip.weight"] if scaled else 1.0
            h = skip * h + linear(layer_norm(inner, f"{n}.norm_inner"), f"{n}.contract")
        torch.testing.assert_close(trunk(x)[e], layer_norm(h, "norm"))


def test_a_small_gain_starts_near_the_identity_with_units_that_differ() -> None:
    trunk = NormFormer(16, activation="relu2", branch_gain=0.01).build(8)
    contract = trunk.blocks[0].contract.weight[0]
    torch.testing.assert_close(torch.linalg.svdvals(contract), torch.full((16,), 0.01))
    h = trunk.embed(torch.randn(5, 8))
    assert (trunk.blocks[0](h) - h).abs().max() < 0.2


def test_parameters_beside_a_block_without_the_inner_norm() -> None:
    block = 2 * 256 + (256 + 1) * 1024 + 2 * 1024 + (1024 + 1) * 256
    assert sum(p.numel() for p in NormFormer().build(23).parameters()) == 24 * 256 + 2 * block + 2 * 256
    scaled = NormFormer(scaled_skip=True).build(23)
    assert sum(p.numel() for p in scaled.parameters()) == 24 * 256 + 2 * (block + 256) + 2 * 256


def test_a_negative_gain() -> None:
    with pytest.raises(UserError, match="branch_gain"):
        NormFormer(branch_gain=-1.0)
