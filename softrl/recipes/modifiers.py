"""Single changes, each to be stacked on a recipe with `+`: replay, scales, exploration, regularisation, plasticity."""

from softrl.agent.explore import Optimistic, RepeatedNoise, StateDependent
from softrl.agent.plasticity import ContinualBackprop, ReDo, Reset, ShrinkAndPerturb
from softrl.agent.regularize import L2Init, Wasserstein
from softrl.agent.temperature import Fixed
from softrl.data.priority import LAP, Proportional, Recency
from softrl.nn.actors.gsde import GSDE
from softrl.nn.heads import Scalar
from softrl.nn.normalize import ReturnScale, Running
from softrl.nn.trunks.mlp import MLP
from softrl.recipes.recipe import NETWORK, Recipe

PER = Recipe(
    "per",
    "Prioritised experience replay (PER): decisions with large TD errors more often, with importance weights.",
    arxiv="1511.05952",
    changes={"replay.sampler": Proportional()},
    defines=("replay.sampler",),
)

LAP_RECIPE = Recipe(
    "lap",
    "Loss-adjusted prioritisation (LAP): priorities of at least one, and a Huber loss in place of weights.",
    arxiv="2007.06049",
    changes={"replay.sampler": LAP(), "agent.critic.head": Scalar(error="huber")},
    defines=("replay.sampler", "agent.critic.head", "agent.critic.head.error"),
)

ERE = Recipe(
    "ere",
    "Emphasising recent experience (ERE): newer and newer rows alone in each thousand updates; uniform in the end.",
    arxiv="1906.04009",
    changes={"replay.sampler": Recency()},
    defines=("replay.sampler",),
)

N_STEP = Recipe(
    "n_step",
    "Three-step returns: targets bootstrap three decisions ahead.",
    arxiv="1602.01783",
    changes={"replay.steps": 3},
    defines=("replay.steps",),
)

NORMALIZE = Recipe(
    "normalize",
    "Observations normalised by their running mean and deviation; for states, not for pixels.",
    arxiv="2410.09754",
    changes={"agent.encoder.normalizer": Running()},
    defines=("agent.encoder.normalizer",),
)

SCALE_REWARDS = Recipe(
    "scale_rewards",
    "Rewards divided by the running deviation of discounted returns; an initial temperature below 1 suits them.",
    arxiv="2005.12729",
    changes={"agent.reward_scale": ReturnScale()},
    defines=("agent.reward_scale",),
)

FIXED_TEMPERATURE = Recipe(
    "fixed_temperature",
    "A temperature (entropy coefficient) that is not learned: 0.2 unless told otherwise.",
    arxiv="1801.01290",
    changes={"agent.temperature": Fixed(0.2)},
    defines=("agent.temperature",),
)

GSDE_RECIPE = Recipe(
    "gsde",
    "Smooth exploration (gSDE): noise that is a function of the state, its matrix drawn again every 64 decisions.",
    arxiv="2005.05719",
    changes={"agent.actor": GSDE(), "agent.explorer": StateDependent()},
    defines=("agent.actor", "agent.explorer"),
    keeps=NETWORK,
)

REPEATED_NOISE = Recipe(
    "repeated_noise",
    "The policy's noise is kept for a random number of decisions.",
    arxiv="2604.04539",
    changes={"agent.explorer": RepeatedNoise()},
    defines=("agent.explorer",),
)

OPTIMISTIC = Recipe(
    "optimistic",
    "Optimistic exploration: the behaviour policy is a second, optimistic one, kept near the first.",
    arxiv="2405.16158",
    changes={"agent.explorer": Optimistic()},
    defines=("agent.explorer",),
)

PERCEPTRON = tuple(f"agent.critic.trunk.{name}" for name in ("hidden", "init", "activation", "dropout"))
"""What a critic's perceptron keeps when it gets norms."""

LAYER_NORM = Recipe(
    "layer_norm",
    "Layer normalisation in the critic's hidden layers.",
    arxiv="2302.02948",
    changes={"agent.critic.trunk": MLP(norm="layer")},
    defines=("agent.critic.trunk", "agent.critic.trunk.norm"),
    keeps={path: path for path in PERCEPTRON},
)

L2_INIT = Recipe(
    "l2_init",
    "Regenerative regularisation (L2 Init): weights are pulled towards where they started.",
    arxiv="2308.11958",
    changes={"agent.regularizer": L2Init()},
    defines=("agent.regularizer",),
)

WASSERSTEIN = Recipe(
    "wasserstein",
    "The distribution of weights is pulled towards the one they started with.",
    arxiv="2312.00246",
    changes={"agent.regularizer": Wasserstein()},
    defines=("agent.regularizer",),
)

RESETS = Recipe(
    "resets",
    "Networks, target networks and optimisers start again now and then, while the replay buffer stays.",
    arxiv="2205.07802",
    changes={"agent.plasticity": Reset()},
    defines=("agent.plasticity", "agent.plasticity.every"),
)

SHRINK_PERTURB = Recipe(
    "shrink_perturb",
    "Weights are shrunk and mixed with fresh ones now and then.",
    arxiv="1910.08475",
    changes={"agent.plasticity": ShrinkAndPerturb()},
    defines=("agent.plasticity",),
)

REDO = Recipe(
    "redo",
    "Dormant units are drawn anew every thousand updates.",
    arxiv="2302.12902",
    changes={"agent.plasticity": ReDo()},
    defines=("agent.plasticity",),
)

CONTINUAL_BACKPROP = Recipe(
    "continual_backprop",
    "A small share of the least useful units is drawn anew all the time.",
    arxiv="2306.13812",
    changes={"agent.plasticity": ContinualBackprop()},
    defines=("agent.plasticity",),
)

RECIPES = (
    PER, LAP_RECIPE, ERE, N_STEP, NORMALIZE, SCALE_REWARDS, FIXED_TEMPERATURE, GSDE_RECIPE, REPEATED_NOISE, OPTIMISTIC,
    LAYER_NORM, L2_INIT, WASSERSTEIN, RESETS, SHRINK_PERTURB, REDO, CONTINUAL_BACKPROP,
)  # fmt: skip
