"""BroNet against loops, at its published sizes and as the squared-ReLU network of SAC-pytorch."""

import math

import pytest
import torch
from torch.nn import functional

from softrl.errors import UserError
from softrl.nn.dropout import Dropout
from softrl.nn.trunks.bronet import BroNet


def linear(x: torch.Tensor, p: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    return x @ p[f"{name}.weight"] + p[f"{name}.bias"]


def layer_norm(x: torch.Tensor, p: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    return functional.layer_norm(x, x.shape[-1:], p[f"{name}.weight"], p[f"{name}.bias"])


@pytest.mark.parametrize("members", [1, 3])
def test_equals_the_papers_figure(members: int, shaken, member) -> None:
    trunk, x = shaken(BroNet(6).build(4, members)), torch.randn(7, 4)
    for e in range(members):
        p = member(trunk, e)
        h = layer_norm(linear(x, p, "embed"), p, "after.0").relu()
        for n in (f"blocks.{n}" for n in range(2)):
            inner = layer_norm(linear(h, p, f"{n}.expand"), p, f"{n}.after.0").relu()
            h = h + layer_norm(linear(inner, p, f"{n}.contract"), p, f"{n}.norm")
        torch.testing.assert_close(trunk(x)[e], h)


@pytest.mark.parametrize("members", [1, 3])
def test_squared_relu_then_norm_in_wider_blocks(members: int, shaken, member) -> None:
    config = BroNet(6, 1, "relu2", "after", expansion=2, dropout=0.3, branch_scale=1e-5)
    assert config.build(4).blocks[0].norm.weight.eq(1e-5).all()
    trunk, x = shaken(config.build(4, members)), torch.randn(7, 4)
    torch.manual_seed(2)
    y = trunk(x)
    torch.manual_seed(2)
    mask = Dropout(0.3)(torch.ones(members, 7, 12))
    for e in range(members):
        p = member(trunk, e)
        h = layer_norm(linear(x, p, "embed").relu().square(), p, "after.1")
        inner = (linear(h, p, "blocks.0.expand") * mask[e]).relu().square()
        h = h + layer_norm(linear(layer_norm(inner, p, "blocks.0.after.1"), p, "blocks.0.contract"), p, "blocks.0.norm")
        torch.testing.assert_close(y[e], h)


def test_parameters_of_the_papers_critic() -> None:
    trunk = BroNet().build(23)
    norm, square = 2 * 512, 512 * 512 + 512
    assert sum(p.numel() for p in trunk.parameters()) == 23 * 512 + 512 + norm + 2 * (2 * square + 2 * norm)


def test_weights_are_orthogonal_times_root_two() -> None:
    trunk = BroNet(32).build(8)
    for layer in (trunk.embed, trunk.blocks[0].expand, trunk.blocks[1].contract, trunk.out(4)):
        values = torch.linalg.svdvals(layer.weight[0])
        torch.testing.assert_close(values, torch.full_like(values, math.sqrt(2)))


def test_dropout_that_drops_everything() -> None:
    with pytest.raises(UserError, match="dropout is 1"):
        BroNet(dropout=1.0)
