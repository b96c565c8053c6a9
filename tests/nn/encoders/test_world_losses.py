"""What each loss of the world model trains, and the entropies it tells."""

import math
from dataclasses import replace

import pytest
import torch

from softrl.nn.encoders.world import World
from softrl.nn.latents import Normal, OneHot
from softrl.nn.rssm import RSSM
from softrl.nn.sights import Vectors
from softrl.nn.trunks.mlp import MLP
from softrl.types import Spec, Window

SPEC = Spec({"state": (3,)}, 2, sequence=4)
TINY = MLP((8,), activation="elu")
B, T = 3, 4
WORLD = World(Vectors(TINY, TINY), RSSM(7, 8, Normal(4)), TINY, TINY, free_nats=0.0)


def window() -> Window:
    return Window(
        {"state": torch.randn(B, T, 3)},
        torch.rand(B, T, 2) * 2 - 1,
        torch.randn(B, T),
        torch.full((B, T), 0.99),
        torch.rand(B, T) < 0.5,
        torch.ones(B),
        torch.arange(B),
        torch.zeros(B, T, dtype=torch.bool),
    )


STATES = {"sight.encoder"} | {
    f"dynamics.{part}" for part in ("cell", "from_action", "from_latent", "from_seen", "from_state", "posterior")
}
"""What states are inferred with: every loss reaches it."""


@pytest.mark.parametrize(
    ("loss", "own"),
    [
        ("reconstruction_loss", {"sight.decoder"}),
        ("reward_loss", {"reward.trunk", "reward.out"}),
        ("continue_loss", {"persistence.trunk", "persistence.out"}),
        ("kl_loss", {"dynamics.prior"}),
    ],
)
def test_what_each_loss_of_the_model_trains(loss: str, own: set[str]) -> None:
    model, w = WORLD.build(SPEC), window()
    parameters = dict(model.named_parameters())
    given = model.losses(w, model.trace(w))[loss]
    gradients = torch.autograd.grad(given, list(parameters.values()), allow_unused=True)
    moved = zip(parameters, gradients, strict=True)
    reached = {".".join(name.split(".")[:2]) for name, g in moved if g is not None and g.any()}
    assert reached == STATES | own


def test_the_prior_learns_at_its_own_weight() -> None:
    """Its network is reached by one side of the divergence alone, with weight 0.8 here, and 0.2 is the posterior's."""
    model, w = WORLD.build(SPEC), window()
    trace, gradients = model.trace(w), []
    for weights in ({}, {"prior_weight": 0.8, "posterior_weight": 0.2}):
        model.config = replace(WORLD, **weights)
        loss = model.losses(w, trace)["kl_loss"]
        gradients.append(torch.autograd.grad(loss, list(model.dynamics.prior.parameters()), retain_graph=True))
    for plain, weighted in zip(*gradients, strict=True):
        torch.testing.assert_close(weighted, 0.8 * plain)


@pytest.mark.parametrize("latent", [Normal(4), OneHot(2, 3)], ids=["normal", "one-hot"])
def test_prior_entropy_equals_a_loop_over_rows(latent: Normal | OneHot) -> None:
    """Of a normal sum_i log(sd_i sqrt(2 pi e)); of one-hots -sum p log p over groups, with a hundredth of uniform."""
    model = World(Vectors(TINY, TINY), RSSM(7, 8, latent), TINY, TINY).build(SPEC).requires_grad_(False)
    w = window()
    trace = model.trace(w)
    size = 4 if isinstance(latent, Normal) else 6
    expected = 0.0
    for features in trace.filtered.features[:, 0].flatten(0, 1):
        row = model.dynamics.prior(features[size:][None])[0]
        if isinstance(latent, Normal):
            deviation = (1 + row[4:].exp()).log() + 0.1
            expected += float((deviation * math.sqrt(2 * math.pi * math.e)).log().sum()) / (B * T)
        else:
            p = 0.99 * row.view(2, 3).softmax(-1) + 0.01 / 3
            expected -= float((p * p.log()).sum()) / (B * T)
    losses = model.losses(w, trace)
    assert float(losses["prior_entropy"]) == pytest.approx(expected, rel=1e-4)
    assert float(losses["prior_entropy"]) != pytest.approx(float(losses["posterior_entropy"]), rel=1e-4)
