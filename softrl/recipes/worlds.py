"""With a learned world model: Dreamer, latent SAC and SMAC; SMAC without one; modifiers for states and for latents."""

from typing import Any

from softrl.agent.dream import Imagination
from softrl.agent.noise import AdditiveNoise
from softrl.agent.optim import Adam
from softrl.agent.temperature import Entropy, Fixed
from softrl.data.pixels import Pixels
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.actors.latent import Latent, Marginal
from softrl.nn.critics import StateValue
from softrl.nn.encoders.world import World
from softrl.nn.latents import OneHot
from softrl.nn.particles import Particles
from softrl.nn.trunks.mlp import MLP
from softrl.recipes.recipe import BOUNDS, Recipe
from softrl.run.fields import override

POLICY = MLP((300, 300, 300, 300), init="lecun", activation="elu")
VALUES = MLP((300, 300, 300), init="lecun", activation="elu")
CAREFUL = Adam(6e-4, max_gradient_norm=100.0)

COMMON: dict[str, Any] = {
    "env.pixels": Pixels(size=64, stack=1),
    "env.repeat": 2,
    "agent.encoder": World(),
    "agent.explorer": AdditiveNoise(),
    "agent.optim.encoder": CAREFUL,
    "train.batch": 50,
    "train.updates_per_decision": 0.2,
    "train.warmup": 10_000,
}
"""In common: Dreamer's world model, one picture at a time, a hundred updates in 1000 frames at repeat 2."""

LATENT: dict[str, Any] = {
    **COMMON,
    "agent.critic.trunk": VALUES,
    "agent.optim.value.max_gradient_norm": 100.0,
    "agent.optim.actor.max_gradient_norm": 100.0,
    "train.actor_every": 1,
}
"""Soft actor-critic on the features of real sequences."""

DISCRETE: dict[str, Any] = {
    "dynamics.latent": OneHot(),
    "free_nats": 1.0,
    "prior_weight": 0.8,
    "posterior_weight": 0.2,
}
"""Fields of a world model whose latents are choices: DreamerV2's on DeepMind Control."""

DREAMER = Recipe(
    "dreamer",
    "A policy learned from imagined rollouts, by gradients through a recurrent world model (RSSM).",
    arxiv="1912.01603",
    changes={
        **COMMON,
        "agent.update": "dreamer",
        "agent.actor": Gaussian(POLICY, mean_bound=5.0),
        "agent.critic": StateValue(VALUES),
        "agent.lookahead": Imagination(),
        "agent.temperature": Fixed(1.0, Entropy(in_backup=False, in_actor=False)),
        "agent.optim.value": Adam(8e-5, max_gradient_norm=100.0),
        "agent.optim.actor": Adam(8e-5, max_gradient_norm=100.0),
    },
    defines=("agent.update", "agent.encoder", "agent.critic", "agent.lookahead"),
)

DREAMER_DISCRETE = Recipe(
    "dreamer_discrete",
    "Dreamer whose latents are 32 choices out of 32, as in DreamerV2.",
    arxiv="2010.02193",
    changes={**DREAMER.changes, "agent.encoder": override(World(), DISCRETE)},
    defines=(*DREAMER.defines, "agent.encoder.dynamics.latent"),
)

LATENT_SAC = Recipe(
    "latent_sac",
    "Soft actor-critic on the features of a recurrent world model, over real sequences.",
    arxiv="2210.00999",
    changes={**LATENT, "agent.actor.trunk": POLICY},
    defines=("agent.encoder",),
)

SMAC = Recipe(
    "smac",
    "Latent soft actor-critic whose policy's density is averaged over many posterior trajectories.",
    arxiv="2210.00999",
    changes={**LATENT, "agent.encoder": World(particles=Particles(32)), "agent.actor": Marginal(POLICY)},
    defines=("agent.encoder", "agent.actor", "agent.encoder.particles.count"),
)

SMAC_STATE = Recipe(
    "smac_state",
    "Soft actor-critic with a latent in the policy, which is averaged out of its density; no world model.",
    arxiv="2210.00999",
    changes={"agent.actor": Latent()},
    defines=("agent.actor",),
    keeps={
        "agent.actor.trunk": "agent.actor.trunk",
        "agent.actor.trunk.hidden": "agent.actor.policy.trunk.hidden",
        **{f"agent.actor.{name}": f"agent.actor.policy.{name}" for name in BOUNDS},
    },
)

STATES = Recipe(
    "states",
    "A modifier that lets a recipe for pixels with a world model read the environment's own observations.",
    arxiv=None,
    changes={"env.pixels": None},
    defines=("env.pixels",),
)

DISCRETE_LATENTS = Recipe(
    "discrete_latents",
    "Latents of a world model that are 32 choices out of 32, with KL balancing, as in DreamerV2.",
    arxiv="2010.02193",
    changes={f"agent.encoder.{path}": value for path, value in DISCRETE.items()},
    defines=("agent.encoder.dynamics.latent",),
    on="latent_sac",
)

RECIPES = (DREAMER, DREAMER_DISCRETE, LATENT_SAC, SMAC, SMAC_STATE, STATES, DISCRETE_LATENTS)
