"""What the world model tells of its prior's entropy is that of the states before they are seen."""

import math

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


@pytest.mark.parametrize("latent", [Normal(4), OneHot(2, 3)], ids=["normal", "one-hot"])
def test_prior_entropy_equals_a_loop_over_rows(latent: Normal | OneHot) -> None:
    """Of a normal sum_i log(sd_i sqrt(2 pi e)); of one-hots -sum p log p over groups, with a hundredth of uniform."""
    model = World(Vectors(TINY, TINY), RSSM(7, 8, latent), TINY, TINY).build(SPEC).requires_grad_(False)
    w = Window(
        {"state": torch.randn(B, T, 3)},
        torch.rand(B, T, 2) * 2 - 1,
        torch.randn(B, T),
        torch.full((B, T), 0.99),
        torch.rand(B, T) < 0.5,
        torch.ones(B),
        torch.arange(B),
        torch.zeros(B, T, dtype=torch.bool),
    )
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
