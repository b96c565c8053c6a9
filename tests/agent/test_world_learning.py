"""World models and latents in the policy improve a policy: from random experience on a line it learns to stay at 0."""

from typing import Any

import numpy as np
import pytest
import torch

from softrl.agent.agent import Agent
from softrl.data.replay import Replay, ReplayConfig
from softrl.recipes import apply
from softrl.run.config import Run
from softrl.run.fields import override
from softrl.types import Obs, Spec, Step

GAMMA, DECISIONS = 0.9, 13
FAST: dict[str, Any] = {
    "agent.actor.trunk.hidden": (32,),
    "agent.critic.trunk.hidden": (32,),
    "agent.optim.value.learning_rate": 1e-3,
    "agent.optim.actor.learning_rate": 1e-3,
}
WORLD: dict[str, Any] = {
    "agent.encoder.sequence": 8,
    "agent.encoder.dynamics.deterministic": 24,
    "agent.encoder.dynamics.units": 24,
    "agent.encoder.reward.hidden": (24,),
    "agent.encoder.persistence.hidden": (24,),
    "agent.encoder.sight.vectors.encoder.hidden": (24,),
    "agent.encoder.sight.vectors.decoder.hidden": (24,),
    "agent.optim.encoder.learning_rate": 2e-3,
}
SOFT: dict[str, Any] = {"agent.temperature.initial": 0.05, "agent.lookahead.tau": 0.05}


def seen(place: torch.Tensor) -> Obs:
    return {"state": torch.stack([place, torch.zeros_like(place)], -1)}


def moved(place: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
    return (place + 0.4 * action).clamp(-1.5, 1.5)


def experience(spec: Spec) -> Replay:
    """Random decisions in episodes from random places; the reward is 1 less the distance from 0 that they lead to."""
    replay, draw = Replay(ReplayConfig(4000), spec, 1, GAMMA, seed=0), np.random.default_rng(0)
    for _ in range(107):
        place = torch.tensor([draw.uniform(-1, 1)], dtype=torch.float32)
        for t in range(DECISIONS + 1):
            last = t == DECISIONS
            action = torch.zeros(1) if last else torch.tensor([draw.uniform(-1, 1)], dtype=torch.float32)
            after = moved(place, action)
            reward = 0.0 * after if last else 1 - after.abs()
            replay.add(Step(seen(place), action[:, None], reward, torch.tensor([False]), torch.tensor([last])))
            place = after
    return replay


def mean_reward(agent: Agent) -> float:
    """Of the deterministic policy, from places all over."""
    place, total = torch.linspace(-1, 1, 64), 0.0
    carry = agent.initial(64)
    for _ in range(DECISIONS):
        action, carry = agent.act(seen(place), carry, deterministic=True)
        place = moved(place, action[:, 0])
        total += float((1 - place.abs()).mean())
    return total / DECISIONS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "flags"),
    [
        ("dreamer+states", {**WORLD, "agent.lookahead.horizon": 4}),
        ("latent_sac+states", {**WORLD, **SOFT}),
        ("smac+states", {**WORLD, **SOFT, "agent.encoder.particles.count": 4}),
        ("smac_state", {**SOFT, "agent.actor.particles": 4}),
    ],
)
def test_a_policy_improves(recipe: str, flags: dict[str, Any]) -> None:
    torch.manual_seed(0)
    agent = override(apply(recipe, Run()), FAST | flags).agent.build(Spec({"state": (2,)}, 1, gamma=GAMMA))
    replay = experience(agent.spec)
    before = mean_reward(agent)
    for _ in range(800):
        agent.update(replay.sample(16))
    assert before < 0.65
    assert mean_reward(agent) > 0.8
