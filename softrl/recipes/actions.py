"""What actions are: choices, choices with numbers, other densities, chunks of several, priors over all of them."""

from softrl.agent.chunk import AdaptiveChunk, Chunk
from softrl.agent.imitate import Cloning, EpisodeCloning, SelectiveCloning
from softrl.agent.penalty import EntropyPenalty
from softrl.agent.regress import Clipped
from softrl.agent.temperature import Fixed
from softrl.math.rules import Average
from softrl.nn.actors.beta import Beta
from softrl.nn.actors.categorical import Categorical
from softrl.nn.actors.deterministic import Deterministic
from softrl.nn.actors.hybrid import Hybrid
from softrl.nn.actors.mixture import Mixture
from softrl.recipes.recipe import NETWORK, Recipe

SAC_DISCRETE = Recipe(
    "sac_discrete",
    "Discrete actions: exact expectations over all choices, and a critic with a row of outputs for each.",
    arxiv="1910.07207",
    changes={"agent.actor": Categorical(joint=True), "agent.optim.*.epsilon": 1e-4},
    defines=("agent.actor",),
    keeps=NETWORK,
)

SD_SAC = Recipe(
    "sd_sac",
    "Discrete actions with the mean of both critics, Q clipped to near its target network's, and an entropy penalty.",
    arxiv="2209.10081",
    changes={
        "agent.actor": Categorical(joint=True),
        "agent.target_rule": Average(),
        "agent.actor_rule": Average(),
        "agent.regression": Clipped(0.5),
        "agent.penalty": EntropyPenalty(),
    },
    defines=("agent.actor", "agent.target_rule", "agent.actor_rule", "agent.regression", "agent.penalty"),
    keeps=NETWORK,
)

DDSAC = Recipe(
    "ddsac",
    "Discrete actions with entropy in the actor's loss alone: the critic's target is a hard backup.",
    arxiv="2509.09838",
    changes={**SAC_DISCRETE.changes, "agent.temperature.entropy.in_backup": False},
    defines=("agent.actor", "agent.temperature.entropy.in_backup"),
    keeps=NETWORK,
)

SAC_HYBRID = Recipe(
    "sac_hybrid",
    "Choices and numbers at once: choices enumerated, their numbers sampled given the choice, a temperature for each.",
    arxiv="1912.11077",
    changes={"agent.actor": Hybrid(joint=True)},
    defines=("agent.actor",),
    keeps=NETWORK,
)

BETA = Recipe(
    "beta",
    "A Beta policy, whose density lives on the bounded interval and needs no squashing.",
    arxiv="2409.04971",
    changes={"agent.actor": Beta()},
    defines=("agent.actor",),
    keeps=NETWORK,
)

MIXTURE = Recipe(
    "mixture",
    "A policy of four squashed Gaussians, its expectations exact over the components.",
    arxiv="1801.01290",
    changes={"agent.actor": Mixture()},
    defines=("agent.actor",),
    keeps=NETWORK,
)

DETERMINISTIC = Recipe(
    "deterministic",
    "A deterministic policy with fixed exploration noise, without entropy, as in DDPG.",
    arxiv="1509.02971",
    changes={"agent.actor": Deterministic(), "agent.temperature": Fixed()},
    defines=("agent.actor", "agent.temperature"),
    keeps=NETWORK,
)

QC = Recipe(
    "qc",
    "Q-chunking: five actions are chosen at once, executed open loop and judged as one.",
    arxiv="2507.07969",
    changes={"agent.chunk": Chunk(5)},
    defines=("agent.chunk",),
)

QC_ADAPTIVE = Recipe(
    "qc_adaptive",
    "Chunks of five actions (the paper); how many of them are executed is learned, which is softrl's own.",
    arxiv="2507.07969",
    changes={"agent.chunk": AdaptiveChunk(5)},
    defines=("agent.chunk",),
)

BC = Recipe(
    "bc",
    "Behaviour cloning of all actions in replay: the prior of QC-RLPD, to be stacked on qc.",
    arxiv="2507.07969",
    changes={"agent.imitation": Cloning()},
    defines=("agent.imitation",),
)

BC_BETTER = Recipe(
    "bc_better",
    "Behaviour cloning of those actions in replay that the critics value above the policy's own (Q-filter).",
    arxiv="1709.10089",
    changes={"agent.imitation": SelectiveCloning()},
    defines=("agent.imitation",),
)

BC_BEST = Recipe(
    "bc_best",
    "Behaviour cloning of what was done in the best tenth of the episodes in replay.",
    arxiv="2106.01345",
    changes={"agent.imitation": EpisodeCloning()},
    defines=("agent.imitation",),
)

RECIPES = (
    SAC_DISCRETE, SD_SAC, DDSAC, SAC_HYBRID, BETA, MIXTURE, DETERMINISTIC, QC, QC_ADAPTIVE, BC, BC_BETTER, BC_BEST,
)  # fmt: skip
