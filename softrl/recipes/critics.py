"""What a critic predicts and how many there are: ensembles, quantiles, categorical critics."""

from typing import Literal

from softrl.math.rules import Average, Minimum, SubsetMinimum, Truncate
from softrl.nn.heads import Categorical, Quantile
from softrl.nn.normalize import ReturnScale
from softrl.nn.trunks.mlp import MLP
from softrl.recipes.recipe import Recipe

TARGET, DROPOUT = "agent.temperature.target_per_action", "agent.critic.trunk.dropout"
LARGEST = "agent.reward_scale.largest"
TARGETS = {"Hopper-*": -1 / 3, "HalfCheetah-*": -0.5, "Walker2d-*": -0.5, "Ant-*": -0.5, "Humanoid-*": -2 / 17}
"""Target entropies an action at twenty updates a step (MBPO, arXiv 1906.08253)."""
DROPOUTS = {"Hopper-*": 1e-4, "Walker2d-*": 5e-3, "Humanoid-*": 0.1}

REDQ = Recipe(
    "redq",
    "Ten critics, the minimum of two drawn at random in the target, their mean in the actor; UTD ratio 20.",
    arxiv="2101.05982",
    changes={
        "agent.critic.members": 10,
        "agent.target_rule": SubsetMinimum(2),
        "agent.actor_rule": Average(),
        "train.updates_per_decision": 20.0,
        "train.actor_every": 20,
    },
    defines=("agent.critic.members", "agent.target_rule", "agent.actor_rule"),
    tasks={task: {TARGET: target} for task, target in TARGETS.items()},
)

DROQ = Recipe(
    "droq",
    "Two critics with dropout and layer normalisation, in the target networks too, instead of ten; UTD ratio 20.",
    arxiv="2110.02034",
    changes={
        "agent.critic.trunk": MLP(norm="layer"),
        "agent.critic.trunk.dropout": 0.01,
        "agent.actor_rule": Average(),
        "train.updates_per_decision": 20.0,
        "train.actor_every": 20,
    },
    defines=("agent.critic.trunk", "agent.critic.trunk.norm", "agent.critic.trunk.dropout", "agent.actor_rule"),
    tasks={task: {TARGET: target, DROPOUT: DROPOUTS.get(task, 0.01)} for task, target in TARGETS.items()},
)

TQC = Recipe(
    "tqc",
    "Truncated quantiles: five critics of 25, pooled, the largest dropped from the target (how many: by environment).",
    arxiv="2005.04269",
    changes={
        "agent.critic.head": Quantile(25),
        "agent.critic.members": 5,
        "agent.critic.trunk.hidden": (512, 512, 512),
        "agent.target_rule": Truncate(2),
        "agent.actor_rule": Average(),
    },
    defines=("agent.critic.head", "agent.critic.members", "agent.target_rule", "agent.actor_rule"),
    tasks={
        "Hopper-*": {"agent.target_rule.drop": 5},
        "HalfCheetah-*": {"agent.target_rule.drop": 0},
    },
)


def categorical(name: Literal["c51", "hl_gauss", "two_hot"], about: str, arxiv: str) -> Recipe:
    """A recipe whose critics have a fixed support; its name says how they learn on it."""
    return Recipe(
        name,
        about,
        arxiv,
        changes={
            "agent.critic.head": Categorical(101, -5.0, 5.0, name),
            "agent.reward_scale": ReturnScale(largest=5.0),
            "agent.temperature.initial": 0.01,
        },
        defines=("agent.critic.head", "agent.critic.head.target", "agent.reward_scale", LARGEST),
    )


C51 = categorical(
    "c51",
    "Distributional critics: probabilities of 101 fixed returns; rewards scaled so that returns fit into [-5, 5].",
    arxiv="1707.06887",
)

HL_GAUSS = categorical(
    "hl_gauss",
    "Categorical critics that learn the expected target, smeared out by a Gaussian, as a classification.",
    arxiv="2403.03950",
)

TWO_HOT = categorical(
    "two_hot",
    "Categorical critics that learn the expected target as weights of its two neighbours in the support.",
    arxiv="2301.04104",
)

SAC_N = Recipe(
    "sac_n",
    "Ten critics and the minimum of all of them, in the target and in the actor.",
    arxiv="2110.01548",
    changes={"agent.critic.members": 10, "agent.target_rule": Minimum(), "agent.actor_rule": Minimum()},
    defines=("agent.critic.members", "agent.target_rule", "agent.actor_rule"),
)

RECIPES = (REDQ, DROQ, TQC, C51, HL_GAUSS, TWO_HOT, SAC_N)
