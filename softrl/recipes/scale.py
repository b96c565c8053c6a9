"""Networks that scale: normalisation, residual blocks, weights on a sphere, experts; and what is learned with them."""

from softrl.agent.explore import Optimistic, RepeatedNoise
from softrl.agent.lookahead import Joint, JointTarget
from softrl.agent.plasticity import Reset
from softrl.agent.schedule import CosineDecay, LinearDecay
from softrl.math.rules import Pessimism
from softrl.nn.heads import Categorical, Quantile
from softrl.nn.normalize import ReturnScale, Running
from softrl.nn.trunks.bronet import BroNet
from softrl.nn.trunks.d2rl import D2RL
from softrl.nn.trunks.dirac import Dirac
from softrl.nn.trunks.experts import GatedExperts, SoftExperts
from softrl.nn.trunks.flash import FlashSAC
from softrl.nn.trunks.mlp import MLP
from softrl.nn.trunks.normformer import NormFormer
from softrl.nn.trunks.simba import SimBa
from softrl.nn.trunks.simbav2 import SimBaV2
from softrl.nn.trunks.xqc import XQC
from softrl.recipes.critics import LARGEST
from softrl.recipes.recipe import CONTROL, Recipe

LONG = (
    *("Ant", "HalfCheetah", "Hopper", "Humanoid", "HumanoidStandup", "Swimmer", "Walker2d"),
    *("InvertedPendulum", "InvertedDoublePendulum"),
)
DISCOUNTS: dict[str, dict[str, float]] = {
    **{f"{name}-v[45]": {"train.gamma": 0.995} for name in LONG},
    **{f"{name}-v[45]": {"train.gamma": 0.95} for name in ("Reacher", "Pusher")},
}
"""Of Gymnasium's MuJoCo environments, whose episodes have T decisions: (T/5 - 1) / (T/5) between 0.95 and 0.995."""

RESETS = (125_000, 475_000, 2_475_000, 4_975_000, 7_475_000, 9_975_000, 14_975_000, 19_975_000)
"""Of BRO, in updates: ten a step after its 2,500 steps of warm-up."""

BRO = Recipe(
    "bro",
    "Wide regularised critics of 100 quantiles without a minimum, optimistic exploration, full resets; UTD ratio 10.",
    arxiv="2405.16158",
    changes={
        "agent.critic.trunk": BroNet(512, blocks=2),
        "agent.actor.trunk": BroNet(256, blocks=1),
        "agent.critic.head": Quantile(100),
        "agent.target_rule": Pessimism(0.0),
        "agent.actor_rule": Pessimism(0.0),
        "agent.explorer": Optimistic(trunk=BroNet(256, blocks=1)),
        "agent.plasticity": Reset(every=None, at=RESETS),
        "agent.act*.log_std_bound": "tanh",
        "agent.act*.log_std_min": -10.0,
        "agent.optim.*.weight_decay": 1e-4,
        "agent.optim.temperature.beta1": 0.5,
        "agent.temperature.target_per_action": -0.5,
        "train.batch": 128,
        "train.updates_per_decision": 10.0,
        "train.warmup": 2_500,
    },
    defines=(
        *("agent.critic.trunk", "agent.critic.trunk.activation", "agent.critic.head", "agent.target_rule"),
        *("agent.explorer", "agent.plasticity", "agent.plasticity.every"),
    ),
)

SIMBA = Recipe(
    "simba",
    "Normalised observations and residual blocks after a layer norm; one critic where episodes do not terminate.",
    arxiv="2410.09754",
    changes={
        "agent.*.normalizer": Running(),
        "agent.critic.trunk": SimBa(512, blocks=2),
        "agent.actor.trunk": SimBa(128, blocks=1),
        "agent.act*.log_std_bound": "tanh",
        "agent.act*.log_std_min": -10.0,
        "agent.optim.*.learning_rate": 1e-4,
        "agent.optim.*.weight_decay": 1e-2,
        "agent.temperature.initial": 0.01,
        "agent.temperature.target_per_action": -0.5,
        "train.updates_per_decision": 2.0,
        "train.actor_every": 1,
    },
    defines=("agent.critic.trunk", "agent.actor.trunk"),
    tasks={CONTROL: {"agent.critic.members": 1, "env.repeat": 2}, **DISCOUNTS},
)

SIMBAV2 = Recipe(
    "simbav2",
    "Features and weights on spheres, a categorical critic and rewards scaled by the spread of returns.",
    arxiv="2502.15280",
    changes={
        "agent.*.normalizer": Running(),
        "agent.critic.trunk": SimBaV2(512, blocks=2),
        "agent.actor.trunk": SimBaV2(128, blocks=1),
        "agent.critic.head": Categorical(101, -5.0, 5.0, "c51"),
        "agent.reward_scale": ReturnScale(largest=5.0),
        "agent.act*.log_std_bound": "tanh",
        "agent.act*.log_std_min": -10.0,
        "agent.optim.*.learning_rate": 1e-4,
        "agent.optim.*.schedule": LinearDecay(final_share=0.5),
        "agent.temperature.initial": 0.01,
        "agent.temperature.target_per_action": -0.5,
        "train.updates_per_decision": 2.0,
        "train.actor_every": 1,
    },
    defines=("agent.critic.trunk", "agent.actor.trunk", "agent.critic.head", "agent.reward_scale", LARGEST),
    tasks={CONTROL: {"agent.critic.members": 1, "env.repeat": 2}, **DISCOUNTS},
)

CROSSQ = Recipe(
    "crossq",
    "No target network: wide critics with batch renormalisation judge both ends of a transition in one pass.",
    arxiv="1902.05605",
    changes={
        "agent.lookahead": Joint(),
        "agent.critic.trunk": MLP((2048, 2048), norm="batch_renorm", norm_place="after", norm_inputs=True),
        "agent.actor.trunk": MLP((256, 256), norm="batch_renorm", norm_place="after", norm_inputs=True),
        "agent.optim.*.learning_rate": 1e-3,
        "agent.optim.[!t]*.beta1": 0.5,  # the temperature keeps Adam's own
        "train.actor_every": 3,
    },
    defines=("agent.lookahead", "agent.critic.trunk", "agent.critic.trunk.norm"),
    tasks={"Swimmer-*": {"train.gamma": 0.9999}},
)

CROSSQ_WN = Recipe(
    "crossq_wn",
    "Batch-normalised critics whose hidden units keep weights of norm one, with a target network in the joint pass.",
    arxiv="2502.07523",
    changes={
        "agent.lookahead": JointTarget(),
        "agent.critic.trunk": MLP((512, 512), norm="batch", norm_place="after", norm_inputs=True, unit_norm=True),
        "agent.actor.trunk": MLP((256, 256), norm="batch", norm_place="after", norm_inputs=True, unit_norm=True),
        "agent.optim.*.weight_decay": 1e-2,
        "agent.optim.*.schedule": LinearDecay(final_share=0.1),
        "agent.temperature.initial": 0.01,
        "agent.temperature.target_per_action": -0.5,
        "train.actor_every": 3,
    },
    defines=("agent.lookahead", "agent.critic.trunk", "agent.critic.trunk.unit_norm"),
)

XQC_RECIPE = Recipe(
    "xqc",
    "Batch norm, weights of norm one and a categorical critic, for a well-conditioned loss.",
    arxiv="2509.25174",
    changes={
        "agent.lookahead": JointTarget(),
        "agent.critic.trunk": XQC((512, 512, 512, 512)),
        "agent.actor.trunk": XQC((256, 256, 256, 256)),
        "agent.critic.head": Categorical(101, -5.0, 5.0, "c51"),
        "agent.reward_scale": ReturnScale(),
        "agent.optim.*.schedule": LinearDecay(final_share=0.1),
        "agent.temperature.initial": 0.01,
        "agent.temperature.target_per_action": -0.5,
        "train.updates_per_decision": 2.0,
        "train.actor_every": 3,
    },
    defines=("agent.lookahead", "agent.critic.trunk", "agent.critic.head", "agent.reward_scale"),
    tasks={CONTROL: {"env.repeat": 2}, **DISCOUNTS},
)

FLASHSAC = Recipe(
    "flashsac",
    "Inverted bottlenecks with batch norm, everything on spheres, a categorical critic, noise that is repeated.",
    arxiv="2604.04539",
    changes={
        "agent.lookahead": JointTarget(tau=0.01),
        "agent.critic.trunk": FlashSAC(256, blocks=2),
        "agent.actor.trunk": FlashSAC(128, blocks=2),
        "agent.critic.head": Categorical(101, -5.0, 5.0, "c51"),
        "agent.reward_scale": ReturnScale(largest=5.0),
        "agent.explorer": RepeatedNoise(),
        "agent.act*.log_std_bound": "tanh",
        "agent.act*.log_std_min": -10.0,
        "agent.optim.*.schedule": CosineDecay(final_share=0.5),
        "agent.temperature.initial": 0.01,
        "agent.temperature.target_per_action": -0.478,
        "train.actor_every": 2,
        "train.batch": 512,
        "train.warmup": 10_000,
    },
    defines=(
        *("agent.lookahead", "agent.critic.trunk", "agent.critic.head"),
        *("agent.reward_scale", LARGEST, "agent.explorer"),
    ),
)

FAST = Recipe(
    "fast",
    "FlashSAC in sizes for a processor, to start with on a small machine; compared on two tasks only.",
    arxiv="2604.04539",
    changes={
        **FLASHSAC.changes,
        "agent.critic.trunk": FlashSAC(128, blocks=1),
        "agent.actor.trunk": FlashSAC(64, blocks=1),
        "train.batch": 256,
        "train.warmup": 5_000,
    },
    defines=(*FLASHSAC.defines, "agent.critic.trunk.blocks"),
)

MOE = Recipe(
    "moe",
    "Critics of four experts that a dense softmax gate mixes for every input.",
    arxiv="1701.06538",
    changes={"agent.critic.trunk": GatedExperts()},
    defines=("agent.critic.trunk",),
)

SOFT_MOE = Recipe(
    "soft_moe",
    "Critics of four experts that read weighted means of tokens, which are groups of a first layer's units.",
    arxiv="2402.08609",
    changes={"agent.critic.trunk": SoftExperts()},
    defines=("agent.critic.trunk",),
)

BRO_MLP = Recipe(
    "bro_mlp",
    "Residual blocks with a squared ReLU before the norm that start almost silent, as lucidrains/SAC-pytorch has them.",
    arxiv="2405.16158",
    changes={"agent.critic.trunk": BroNet(256, 3, "relu2", "after", expansion=2, branch_scale=1e-5)},
    defines=("agent.critic.trunk", "agent.critic.trunk.activation"),
)

DIRAC = Recipe(
    "dirac",
    "Layers diag(a) I + diag(b) W / |W|, which are their own skip connections, in actor and critic.",
    arxiv="1706.00388",
    changes={"agent.critic.trunk": Dirac(), "agent.actor.trunk": Dirac()},
    defines=("agent.critic.trunk", "agent.actor.trunk"),
)

NORMFORMER = Recipe(
    "normformer",
    "Residual blocks with a second layer norm after the activation, in actor and critic.",
    arxiv="2110.09456",
    changes={"agent.critic.trunk": NormFormer(), "agent.actor.trunk": NormFormer()},
    defines=("agent.critic.trunk", "agent.actor.trunk"),
)

RELU2 = Recipe(
    "relu2",
    "Layer norm and a squared ReLU in the critic's hidden layers.",
    arxiv="2109.08668",
    changes={"agent.critic.trunk": MLP(activation="relu2", norm="layer")},
    defines=("agent.critic.trunk", "agent.critic.trunk.activation"),
)

CRELU = Recipe(
    "crelu",
    "Concatenated ReLU in critic and policy: every unit is read with both signs, and none falls silent.",
    arxiv="2303.07507",
    changes={"agent.critic.trunk.activation": "crelu", "agent.actor.trunk.activation": "crelu"},
    defines=("agent.critic.trunk.activation", "agent.actor.trunk.activation"),
)

D2RL_RECIPE = Recipe(
    "d2rl",
    "Four hidden layers that all see the input again, in actor and critic.",
    arxiv="2010.09163",
    changes={"agent.critic.trunk": D2RL(), "agent.actor.trunk": D2RL()},
    defines=("agent.critic.trunk", "agent.actor.trunk"),
)

RECIPES = (
    BRO, SIMBA, SIMBAV2, CROSSQ, CROSSQ_WN, XQC_RECIPE, FLASHSAC, FAST,
    MOE, SOFT_MOE, BRO_MLP, DIRAC, NORMFORMER, RELU2, CRELU, D2RL_RECIPE,
)  # fmt: skip
