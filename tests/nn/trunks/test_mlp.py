"""The perceptron against torch.nn, at one and at three members; its published variants layer by layer."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

from softrl.errors import UserError
from softrl.nn.dropout import Dropout
from softrl.nn.layers import Linear
from softrl.nn.norms import BatchRenorm, batch_statistics
from softrl.nn.trunks.mlp import MLP


@pytest.mark.parametrize("members", [1, 3])
def test_equals_torch(members: int) -> None:
    trunk, x = MLP((6, 5)).build(4, members), torch.randn(7, 4)
    assert trunk.width == 5
    for e in range(members):
        reference = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU())
        for theirs, ours in zip((reference[0], reference[2]), trunk.layers, strict=True):
            theirs.weight.data, theirs.bias.data = ours.weight[e].T, ours.bias[e, 0]
        torch.testing.assert_close(trunk(x)[e], reference(x))


def test_parameters_of_the_papers_network() -> None:
    # 17 inputs, 2 x 256: 17*256 + 256 + 256*256 + 256
    assert sum(p.numel() for p in MLP().build(17).parameters()) == 70_400


@pytest.mark.parametrize("init", ["orthogonal", "xavier", "lecun", "he"])
def test_by_default_nothing_but_linear_layers_draws_or_is_saved(init: str) -> None:
    torch.manual_seed(5)
    expected = [Linear(4, 6, 3, init), Linear(6, 5, 3, init), Linear(5, 2, 3, init)]
    after = torch.rand(1)
    torch.manual_seed(5)
    trunk = MLP((6, 5), init).build(4, 3)
    layers = [*trunk.layers, trunk.out(2)]
    assert torch.equal(torch.rand(1), after)
    assert list(trunk.state_dict()) == ["layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"]
    for ours, theirs in zip(layers, expected, strict=True):
        torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("members", [1, 3])
def test_droq_drops_then_normalises_then_activates(members: int, shaken, member) -> None:
    trunk, x = shaken(MLP((6, 5), norm="layer", dropout=0.4).build(4, members)), torch.randn(7, 4)
    torch.manual_seed(1)
    y = trunk(x)
    torch.manual_seed(1)
    masks = [Dropout(0.4)(torch.ones(members, 7, width)) for width in (6, 5)]
    for e in range(members):
        p, h = member(trunk, e), x
        for n, width in enumerate((6, 5)):
            h = (h @ p[f"layers.{n}.weight"] + p[f"layers.{n}.bias"]) * masks[n][e]
            h = functional.layer_norm(h, (width,), p[f"after.{n}.0.weight"], p[f"after.{n}.0.bias"]).relu()
        torch.testing.assert_close(y[e], h)
    assert torch.equal(trunk.eval()(x), trunk(x))


Norm = Callable[[torch.Tensor, dict[str, torch.Tensor], str], torch.Tensor]


def crossq(p: dict[str, torch.Tensor], x: torch.Tensor, norm: Norm) -> torch.Tensor:
    """Two layers of a member with these parameters: inputs and what was activated are normalised (arXiv 1902.05605)."""
    h = norm(x, p, "norm_inputs")
    for n in range(2):
        h = norm((h @ p[f"layers.{n}.weight"] + p[f"layers.{n}.bias"]).relu(), p, f"after.{n}.1")
    return h


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("unit_norm", [False, True])  # CrossQ with weight normalisation, arXiv 2502.07523
def test_crossq_normalises_its_inputs_and_what_it_activated(
    members: int, inside: bool, unit_norm: bool, shaken, member
) -> None:
    config = MLP((6, 5), norm="batch", norm_place="after", norm_inputs=True, unit_norm=unit_norm)
    trunk, x = shaken(config.build(4, members)), torch.randn(7, 4)

    def batch_norm(x: torch.Tensor, p: dict[str, torch.Tensor], name: str) -> torch.Tensor:
        running = (p[f"{name}.mean"].clone(), p[f"{name}.variance"].clone())
        return functional.batch_norm(x, *running, p[f"{name}.weight"], p[f"{name}.bias"], inside, 0.01, 1e-3)

    expected = torch.stack([crossq(member(trunk, e), x, batch_norm) for e in range(members)])
    if inside:
        with batch_statistics(trunk):
            torch.testing.assert_close(trunk(x), expected)
    else:
        torch.testing.assert_close(trunk(x), expected)


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("ready", [True, False])
def test_crossq_renormalises_once_its_warm_up_is_over(members: int, ready: bool, shaken, member) -> None:
    """Every batch norm's output moved towards the running statistics, with its two corrections held in their limits."""
    trunk = shaken(MLP((6, 5), norm="batch_renorm", norm_place="after", norm_inputs=True).build(4, members))
    x = 9 * torch.randn(7, 4)
    for norm in (part for part in trunk.modules() if isinstance(part, BatchRenorm)):
        norm.warmup = 0 if ready else 1

    def renormalised(x: torch.Tensor, p: dict[str, torch.Tensor], name: str) -> torch.Tensor:
        spread = (x.var(0, correction=0) + 1e-3).sqrt()
        running = (p[f"{name}.variance"] + 1e-3).sqrt()
        ratio = (spread / running).clamp(1 / 3, 3) if ready else 1
        shift = ((x.mean(0) - p[f"{name}.mean"]) / running).clamp(-5, 5) if ready else 0
        return ((x - x.mean(0)) / spread * ratio + shift) * p[f"{name}.weight"] + p[f"{name}.bias"]

    expected = torch.stack([crossq(member(trunk, e), x, renormalised) for e in range(members)])
    with batch_statistics(trunk):
        torch.testing.assert_close(trunk(x), expected, atol=1e-4, rtol=1e-4)


def test_unit_norm_holds_hidden_layers_with_their_biases_and_leaves_the_output() -> None:
    trunk = MLP((6, 5), unit_norm=True).build(4, 2)
    for layer in trunk.layers:
        squares = layer.weight.square().sum(1) + layer.bias.square().sum(1)
        torch.testing.assert_close(squares, torch.ones_like(squares))
        assert (layer.weight.decays, layer.bias.decays) == (False, False)
    assert all(getattr(parameter, "decays", True) for parameter in trunk.out(1).parameters())


@pytest.mark.parametrize("members", [1, 3])
def test_a_crelu_doubles_what_the_next_layer_reads(members: int) -> None:
    trunk, x = MLP((6, 5), activation="crelu").build(4, members), torch.randn(7, 4)
    assert (trunk.width, trunk.layers[1].weight.shape, trunk.out(2).weight.shape[1]) == (10, (members, 12, 5), 10)
    for e in range(members):
        h = x
        for layer in trunk.layers:
            h = h @ layer.weight[e] + layer.bias[e]
            h = torch.cat([h.relu(), (-h).relu()], -1)
        torch.testing.assert_close(trunk(x)[e], h)


def test_normalised_inputs_without_a_norm() -> None:
    with pytest.raises(UserError, match="choose a norm"):
        MLP(norm_inputs=True)


def test_dropout_that_drops_everything() -> None:
    with pytest.raises(UserError, match="dropout is 1"):
        MLP(dropout=1.0)
