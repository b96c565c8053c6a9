"""From pixels: SAC+AE, the same without a decoder, DrQ and CURL."""

from collections.abc import Mapping
from typing import Any

from softrl.agent.optim import Adam
from softrl.data.pixels import Pixels
from softrl.nn.augment import Crop, Shift
from softrl.nn.auxiliary import Contrast, Reconstruction
from softrl.nn.convolutions import Convolutions
from softrl.nn.encoders.pixels import Pixels as PixelsConfig
from softrl.recipes.recipe import Recipe

RATES = "agent.optim.[!t]*.learning_rate"
"""Not the temperature's, whose own rate a pattern would overrule."""
COMMON: dict[str, Any] = {
    "env.pixels": Pixels(),
    "agent.encoder": PixelsConfig(),
    "agent.*.hidden": (1024, 1024),
    "agent.*.init": "orthogonal",
    RATES: 1e-3,
    "agent.optim.temperature": Adam(1e-4, beta1=0.5),
    "agent.act*.log_std_bound": "tanh",
    "agent.act*.log_std_min": -10.0,
    "agent.look*.tau": 0.01,
    "agent.temp*.initial": 0.1,
    "train.batch": 128,
    "train.actor_every": 2,
    "train.target_every": 2,
    "train.warmup": 2_000,
}
"""What the four have in common: the settings of SAC+AE. Patterns are for fields that other kinds of a part lack."""

WARMUPS: dict[str, dict[str, Any]] = {
    "cartpole_*": {"train.warmup": 8_000},
    "cheetah_*": {"train.warmup": 4_000},
    "reacher_*": {"train.warmup": 4_000},
    "ball_in_cup_*": {"train.warmup": 4_000},
}
"""Frames in which each of these tasks decides a thousand times."""

AUXILIARY, AUGMENTATION = "agent.encoder.auxiliary", "agent.encoder.augmentation"


def from_pixels(
    name: str,
    about: str,
    arxiv: str,
    changes: dict[str, Any],
    own: tuple[str, ...],
    tasks: Mapping[str, Mapping[str, Any]] = WARMUPS,
) -> Recipe:
    """A recipe of the family with what it does otherwise, and those paths of it that define it."""
    defines = ("env.pixels", "agent.encoder", *own)
    return Recipe(name, about, arxiv, changes={**COMMON, **changes}, defines=defines, tasks=tasks)


SAC_AE = from_pixels(
    "sac_ae",
    "Soft actor-critic from pixels with an autoencoder: convolutions also learn to reconstruct what they saw.",
    arxiv="1910.01741",
    changes={
        "agent.encoder": PixelsConfig(auxiliary=Reconstruction()),
        "agent.optim.encoder.l2": 1e-7,
    },
    own=(AUXILIARY,),
)

SAC_PIXELS = from_pixels(
    "sac_pixels",
    "Soft actor-critic from pixels, taught by the critic alone.",
    arxiv="1910.01741",
    changes={},
    own=(AUXILIARY,),
)

DRQ = from_pixels(
    "drq",
    "Soft actor-critic from pixels with random-shift augmentation; targets and losses are means over two shifts.",
    arxiv="2004.13649",
    changes={
        "agent.encoder": PixelsConfig(Convolutions(kernel_init="orthogonal"), augmentation=Shift(), tau=0.01),
        "agent.optim.temperature": Adam(1e-3),
        "replay.capacity": 100_000,
    },
    own=(AUGMENTATION,),
)

CURL = from_pixels(
    "curl",
    "Soft actor-critic from pixels with a contrastive loss: convolutions tell a picture by another crop of it.",
    arxiv="2004.04136",
    changes={
        "env.pixels": Pixels(size=100),
        "agent.encoder": PixelsConfig(squashed=False, augmentation=Crop(), auxiliary=Contrast()),
        "replay.capacity": 100_000,
    },
    own=(AUXILIARY, AUGMENTATION),
    tasks={"cheetah_run": {**WARMUPS["cheetah_*"], RATES: 2e-4}, **WARMUPS},
)

RECIPES = (SAC_AE, SAC_PIXELS, DRQ, CURL)
