"""DiracNet against loops, and what its parametrisation is for."""

import pytest
import torch

from softrl.nn.trunks.dirac import Dirac


@pytest.mark.parametrize("members", [1, 3])
def test_equals_plain_layers_with_folded_kernels(members: int, shaken, member) -> None:
    trunk, x = shaken(Dirac(6, 3).build(4, members)), torch.randn(7, 4)
    for e in range(members):
        p = member(trunk, e)
        h = (x @ p["embed.weight"] + p["embed.bias"]).relu()
        for n in (f"layers.{n}" for n in range(3)):
            kernel = p[f"{n}.linear.weight"] / p[f"{n}.linear.weight"].square().sum(0).sqrt()
            kernel = torch.diag(p[f"{n}.identity"]) + kernel * p[f"{n}.direction"]
            h = (h @ kernel + p[f"{n}.bias"]).relu()
        torch.testing.assert_close(trunk(x)[e], h)


def test_at_the_start_a_hundred_layers_keep_signal_and_gradient() -> None:
    trunk, x = Dirac(64, 100).build(64), torch.randn(32, 64, requires_grad=True)
    first, last = trunk.embed(x).relu(), trunk(x)
    (gradient,) = torch.autograd.grad(last.norm(), x)
    assert 0.05 < last.detach().norm() / first.detach().norm() < 20
    assert 0.01 < gradient.norm() < 100


def test_weights_are_orthogonal_and_scales_start_at_one_and_a_tenth() -> None:
    trunk = Dirac(32, 2).build(8)
    for linear in (trunk.embed, *(layer.linear for layer in trunk.layers), trunk.out(4)):
        values = torch.linalg.svdvals(linear.weight[0])
        torch.testing.assert_close(values, torch.ones_like(values))
    for layer in trunk.layers:
        assert layer.identity.eq(1.0).all()
        assert layer.direction.eq(0.1).all()
        assert not layer.bias.any()


def test_parameters_are_those_of_plain_layers_and_two_scales() -> None:
    trunk = Dirac().build(23)
    assert sum(p.numel() for p in trunk.parameters()) == 24 * 256 + 4 * (256 * 256 + 3 * 256)
