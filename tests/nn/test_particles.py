"""Who reads which particles."""

import math

import pytest
import torch

from softrl.errors import UserError
from softrl.nn.particles import Particles

R, L, F = 4, 3, 2
FEATURES = torch.arange(R * L * F).view(R, L, F).float()


def test_the_critic_reads_some_and_the_policy_all() -> None:
    particles = Particles(2, judged=2)
    z, read = particles.views(FEATURES), particles.read(FEATURES)
    for row in range(R):
        for view in range(2):
            assert torch.equal(z[view * R + row], FEATURES[row, view])
        assert torch.equal(read[row], torch.cat(list(FEATURES[row])))


def test_the_target_counts_one_latent_or_all_of_them() -> None:
    conditional, marginal = (Particles(2, judged=3, entropy=kind) for kind in ("conditional", "marginal"))
    assert torch.equal(conditional.ahead(FEATURES), conditional.views(FEATURES))
    ahead = marginal.ahead(FEATURES).view(3, R, L, F)
    for view in range(3):
        for row in range(R):
            assert torch.equal(ahead[view, row, 0], FEATURES[row, view])  # the one that acts
            assert sorted(ahead[view, row, :, 0].tolist()) == sorted(FEATURES[row, :, 0].tolist())


@pytest.mark.parametrize("pool", ["log_mean_exp", "mean", "minimum"])
def test_values_are_pooled(pool: str) -> None:
    q = torch.randn(2, R, L)
    pooled = Particles(pool=pool).pooled(q)  # type: ignore[arg-type]
    for k in range(2):
        for row in range(R):
            values = q[k, row].tolist()
            expected = {
                "log_mean_exp": math.log(sum(map(math.exp, values)) / L),
                "mean": sum(values) / L,
                "minimum": min(values),
            }[pool]
            assert float(pooled[k, row]) == pytest.approx(expected, abs=1e-5)
    alone = torch.randn(2, R, 1)
    assert torch.equal(Particles(pool=pool).pooled(alone), alone[..., 0])  # type: ignore[arg-type]


def test_bad_values_are_refused() -> None:
    with pytest.raises(UserError, match="count is -1"):
        Particles(-1)
    with pytest.raises(UserError, match="judged is 4"):
        Particles(2, judged=4)
    with pytest.raises(UserError, match="judged is 0"):
        Particles(2, judged=0)
