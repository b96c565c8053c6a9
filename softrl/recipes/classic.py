"""The soft actor-critic of 2018 in both its versions, a common set of settings, and the modifier for first looks."""

from softrl.agent.lookahead import StateTarget
from softrl.agent.temperature import Fixed
from softrl.recipes.recipe import Recipe

SAC = Recipe(
    "sac",
    "Twin critics (clipped double Q), target networks and a learned temperature: the defaults of every field.",
    arxiv="1812.05905",
)

SAC_V1 = Recipe(
    "sac_v1",
    "The first soft actor-critic: a state value with a target network, and a reward scale for a temperature.",
    arxiv="1801.01290",
    changes={
        "agent.update": "sac_v1",
        "agent.lookahead": StateTarget(),
        "agent.lookahead.tau": 0.005,
        "agent.temperature": Fixed(1.0),
        "agent.reward_scale.factor": 5.0,
        "agent.*.init": "xavier",
        "train.warmup": 1_000,
    },
    defines=("agent.update", "agent.lookahead", "agent.temperature"),
    tasks={
        "*rllab*Humanoid*": {"agent.reward_scale.factor": 10.0},
        "*rllab*Swimmer*": {"agent.reward_scale.factor": 25.0},
        "Humanoid-*": {"agent.reward_scale.factor": 20.0},
        "HumanoidStandup-*": {"agent.reward_scale.factor": 100.0},
        "HalfCheetah-*": {"train.warmup": 10_000},
        "Ant-*": {"train.warmup": 10_000},
    },
)

SAC_V1_HARD = Recipe(
    "sac_v1_hard",
    "The first soft actor-critic with hard target updates, one in 1000 updates, and a UTD ratio of 4 (humanoids: 1).",
    arxiv="1801.01290",
    changes={
        **SAC_V1.changes,
        "agent.lookahead.tau": 1.0,
        "train.target_every": 1_000,
        "train.updates_per_decision": 4.0,
        "train.actor_every": 1,
    },
    defines=(*SAC_V1.defines, "agent.lookahead.tau", "train.target_every"),
    tasks={
        **SAC_V1.tasks,
        "*rllab*Humanoid*": {"agent.reward_scale.factor": 10.0, "train.updates_per_decision": 1.0},
        "Humanoid-*": {"agent.reward_scale.factor": 20.0, "train.updates_per_decision": 1.0},
        "HumanoidStandup-*": {"agent.reward_scale.factor": 100.0, "train.updates_per_decision": 1.0},
    },
)

SAC_YARATS = Recipe(
    "sac_yarats",
    "Soft actor-critic with the settings of denisyarats/pytorch_sac, tuned once for the whole DeepMind Control suite.",
    arxiv="1812.05905",
    changes={
        "agent.*.hidden": (1024, 1024),
        "agent.*.init": "orthogonal",
        "agent.*.learning_rate": 1e-4,
        "agent.actor.log_std_bound": "tanh",
        "agent.actor.log_std_min": -5.0,
        "agent.actor.log_std_max": 2.0,
        "agent.lookahead.tau": 0.005,
        "agent.temperature.initial": 0.1,
        "train.batch": 1024,
        "train.target_every": 2,
        "train.warmup": 5_000,
    },
    defines=("agent.actor.log_std_bound", "agent.temperature.initial"),
)

TINY = Recipe(
    "tiny",
    "A modifier that shrinks any recipe to seconds, for tests and first looks.",
    arxiv=None,
    changes={
        "steps": 600,
        "compile": "off",
        "threads": 1,
        "agent.*.hidden": (32, 32),
        "agent.*.trunk.width": 32,
        "agent.*.convolutions.channels": 4,
        "env.pix*.size": 24,
        "agent.*.augmentation.pixels": 20,
        "agent.encoder.seq*": 10,
        "agent.*.dynamics.deterministic": 32,
        "agent.*.dynamics.units": 32,
        "agent.*.pictures.depth": 4,
        "agent.*.horizon": 5,
        "agent.*.expert_hidden": 32,
        "replay.capacity": 10_000,
        "train.batch": 32,
        "train.updates_per_decision": 1.0,
        "train.warmup": 100,
        "eval.every": 300,
        "eval.episodes": 1,
        "log.every": 100,
        "video.every": "never",
    },
)

RECIPES = (SAC, SAC_V1, SAC_V1_HARD, SAC_YARATS, TINY)
