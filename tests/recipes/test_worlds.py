"""The numbers of the recipes with a world model, and of SMAC without one, against those of paper and code, by hand."""

from typing import Any

import pytest

from softrl.recipes import apply
from softrl.run.config import Run
from softrl.run.fields import flat, override
from softrl.run.kinds import show

WORLD = {
    "env.repeat": 2,
    "env.pixels.size": 64,
    "env.pixels.stack": 1,
    "agent.encoder.dynamics.deterministic": 200,
    "agent.encoder.dynamics.latent.size": 30,
    "agent.encoder.dynamics.activation": "elu",
    "agent.encoder.dynamics.units": 200,
    "agent.encoder.dynamics.latent.minimum_std": 0.1,
    "agent.encoder.sight.pictures.depth": 32,
    "agent.encoder.reward.hidden": (300, 300),
    "agent.encoder.persistence.hidden": (300, 300, 300),
    "agent.encoder.free_nats": 3.0,
    "agent.encoder.sequence": 50,
    "agent.explorer.amount": 0.3,
    "agent.actor.trunk.hidden": (300, 300, 300, 300),
    "agent.critic.trunk.hidden": (300, 300, 300),
    "agent.optim.encoder.learning_rate": 6e-4,
    **{f"agent.optim.{name}.max_gradient_norm": 100.0 for name in ("encoder", "value", "actor")},
    "train.gamma": 0.99,
    "train.warmup": 10_000,
    "train.batch": 50,
    "train.updates_per_decision": 0.2,  # a hundred updates in 1000 frames, which are 500 decisions
}
DREAMER = {
    **WORLD,
    "agent.actor.mean_bound": 5.0,
    "agent.lookahead.horizon": 15,
    "agent.lookahead.decay": 0.95,
    "agent.optim.value.learning_rate": 8e-5,
    "agent.optim.actor.learning_rate": 8e-5,
}
LATENT_SAC = {
    **WORLD,
    "agent.critic.members": 2,
    "agent.lookahead.tau": 0.005,
    "agent.temperature.initial": 1.0,
    "agent.optim.value.learning_rate": 3e-4,
    "agent.optim.actor.learning_rate": 3e-4,
    "agent.temperature.target_per_action": -1.0,
}
SMAC = {
    **LATENT_SAC,
    "agent.encoder.particles.count": 32,
    "agent.encoder.particles.judged": 1,
    "agent.encoder.particles.entropy": "conditional",
    "agent.encoder.particles.pool": "log_mean_exp",
}
PUBLISHED = [
    ("dreamer", "cheetah_run", DREAMER),
    ("dreamer_discrete", "cheetah_run", {"agent.encoder.prior_weight": 0.8, "agent.encoder.posterior_weight": 0.2}),
    ("latent_sac+discrete_latents", "cheetah_run", {"agent.encoder.dynamics.latent": "OneHot"}),
    ("latent_sac", "cheetah_run", LATENT_SAC),
    ("smac", "cheetah_run", SMAC),
    ("smac_state", "Pendulum-v1", {"agent.actor.particles": 32, "agent.actor.latent.size": 32}),
]


@pytest.mark.parametrize(("name", "env", "numbers"), PUBLISHED, ids=[case[0] for case in PUBLISHED])
def test_the_published_numbers_of_world_models(name: str, env: str, numbers: dict[str, Any]) -> None:
    values = flat(apply(name, override(Run(), {"env.name": env})))
    expected = {path: show(value) for path, value in numbers.items()}
    assert {path: values.get(path) for path in expected} == expected
