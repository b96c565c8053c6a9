"""Settings that change nothing beside the parts that a run has."""

from collections.abc import Callable
from fnmatch import fnmatch
from typing import NamedTuple

import torch

from softrl.agent.agent import Agent
from softrl.math.generators import forked_generators
from softrl.run.config import Run
from softrl.run.fields import difference
from softrl.types import Spec


class Idle(NamedTuple):
    """Settings, when they do nothing, and why."""

    fields: str
    meets: Callable[[Run, Agent], bool]
    why: str


def follows(agent: Agent) -> bool:
    """Whether anything follows a learned network as a target does."""
    return any(not p.requires_grad for part in (agent.lookahead, agent.encoder) for p in part.parameters())


KNOWN = (
    Idle(
        "agent.optim.encoder.*",
        lambda run, agent: not agent.optim.encoder.parameters_held,
        "the encoder has no loss of its own here, and what the critic's loss trains of it moves by agent.optim.value",
    ),
    Idle(
        "agent.optim.temperature.*",
        lambda run, agent: not agent.optim.temperature.parameters_held,
        "the temperature is fixed",
    ),
    Idle(
        "agent.temperature.value",
        lambda run, agent: not (agent.temperature.in_backup or agent.temperature.in_actor),
        "entropy counts neither in the target nor for the actor: set agent.temperature.entropy.in_actor or in_backup",
    ),
    Idle(
        "agent.temperature.value",
        lambda run, agent: "fixed temperature" in agent.config.actor.needs,
        "this actor has no density, and no entropy",
    ),
    Idle(
        "agent.temperature.target_share",
        lambda run, agent: not agent.spec.choices,
        "nothing here is chosen, and the entropy target of numbers is agent.temperature.target_per_action",
    ),
    Idle(
        "agent.temperature.target_per_action",
        lambda run, agent: not agent.spec.continuous,
        "no action here is a number, and the entropy target of choices is agent.temperature.target_share",
    ),
    Idle("env.push.size", lambda run, agent: run.env.push.probability == 0, "env.push.probability is 0"),
    Idle("train.target_every", lambda run, agent: not follows(agent), "there is no target network"),
    Idle(
        "agent.encoder.particles.[!c]*",
        lambda run, agent: agent.config.encoder.latents == 1,
        "agent.encoder.particles.count is 0",
    ),
    Idle("agent.encoder.sight.pictures.*", lambda run, agent: "pixels" not in agent.spec.obs, "no pixels are observed"),
    Idle("agent.encoder.sight.vectors.*", lambda run, agent: "pixels" in agent.spec.obs, "pixels are observed"),
    Idle("replay.dataset_share", lambda run, agent: run.replay.dataset is None, "there is no replay.dataset"),
)


def idle_settings(run: Run, plain: Run, spec: Spec) -> list[str]:
    """Sentences on settings of `run`, unlike those of its recipe as it is in `plain`, that change nothing."""
    set_here = [path for path, _, _ in difference(plain, run)]
    if not any(fnmatch(path, each.fields) for path in set_here for each in KNOWN):
        return []
    with forked_generators(torch.empty(0)):
        agent = run.agent.build(spec)
    told = {
        path: f"{path} has no effect: {each.why}"
        for each in KNOWN
        for path in set_here
        if fnmatch(path, each.fields) and each.meets(run, agent)
    }
    return list(told.values())
