"""The numbers of each recipe against those of its paper or its authors' code, written down once more by hand.

What a recipe has by intention otherwise is in docs/deviations.md and not here; what it leaves at the defaults, which
are those of soft actor-critic, is here where the paper says so.
"""

from typing import Any

import pytest

from softrl.recipes import apply
from softrl.run.config import Run
from softrl.run.fields import flat, override
from softrl.run.kinds import show

TARGET, RATES = "agent.temperature.target_per_action", ("value", "actor", "temperature")


def rates(**values: Any) -> dict[str, Any]:
    """Fields of the three optimisers alike."""
    return {f"agent.optim.{name}.{field}": value for name in RATES for field, value in values.items()}


def bounded(low: float) -> dict[str, Any]:
    """A log deviation between `low` and 2 by tanh."""
    limits = {"log_std_bound": "tanh", "log_std_min": low, "log_std_max": 2.0}
    return {f"agent.actor.{field}": value for field, value in limits.items()}


def schedule(name: str, share: float) -> dict[str, Any]:
    """Learning rates that end at a share of their first value."""
    return rates(schedule=name) | rates(**{"schedule.final_share": share})


SAC = {
    "agent.actor.trunk.hidden": (256, 256),
    "agent.actor.trunk.activation": "relu",
    **rates(learning_rate=3e-4),
    "train.gamma": 0.99,
    "train.batch": 256,
    "replay.capacity": 1_000_000,
}
PLAIN = {**SAC, "agent.critic.trunk.hidden": (256, 256), "agent.lookahead.tau": 0.005}
TWENTY = {
    **PLAIN,
    "agent.actor_rule": "Average",
    "train.updates_per_decision": 20.0,
    "train.actor_every": 20,  # one step of the policy a decision
    "train.warmup": 5_000,
}
REDQ = {**TWENTY, "agent.critic.members": 10, "agent.target_rule": "SubsetMinimum", "agent.target_rule.size": 2}
DROQ = {**TWENTY, "agent.critic.members": 2, "agent.target_rule": "Minimum", "agent.critic.trunk.norm": "layer"}
DROPOUT = "agent.critic.trunk.dropout"
TQC = {
    **SAC,
    "agent.critic.members": 5,
    "agent.critic.trunk.hidden": (512, 512, 512),
    "agent.critic.head": "Quantile",
    "agent.critic.head.quantiles": 25,
    "agent.critic.head.kappa": 1.0,
    "agent.target_rule": "Truncate",
    "agent.actor_rule": "Average",
    "agent.lookahead.tau": 0.005,
    TARGET: -1.0,
}
DROP = "agent.target_rule.drop"
CATEGORICAL = {
    "agent.critic.head": "Categorical",
    "agent.critic.head.bins": 101,
    "agent.critic.head.low": -5.0,
    "agent.critic.head.high": 5.0,
    "agent.critic.head.target": "c51",
    "agent.reward_scale": "ReturnScale",
    "agent.temperature.initial": 0.01,
}
SIMBA = {
    "agent.encoder.normalizer": "Running",
    "agent.encoder.normalizer.epsilon": 1e-8,
    "agent.critic.trunk.width": 512,
    "agent.critic.trunk.blocks": 2,
    "agent.critic.trunk.expansion": 4,
    "agent.actor.trunk.width": 128,
    "agent.actor.trunk.blocks": 1,
    "agent.actor.trunk.expansion": 4,
    **bounded(-10.0),
    **rates(learning_rate=1e-4),
    "agent.temperature.initial": 0.01,
    TARGET: -0.5,
    "agent.lookahead.tau": 0.005,
    "train.batch": 256,
    "train.updates_per_decision": 2.0,
    "train.actor_every": 1,
}
SIMBA_V1 = {
    **SIMBA,
    "agent.critic.trunk": "SimBa",
    "agent.actor.trunk": "SimBa",
    **rates(weight_decay=1e-2),
    "agent.critic.head": "Scalar",
    "agent.critic.head.error": "squared",
}
SIMBA_V2 = {
    **SIMBA,
    "agent.critic.trunk": "SimBaV2",
    "agent.actor.trunk": "SimBaV2",
    "agent.critic.trunk.shift": 3.0,
    **CATEGORICAL,
    "agent.reward_scale.largest": 5.0,
    **rates(weight_decay=0.0),
    **schedule("LinearDecay", 0.5),
}
MUJOCO = {"train.gamma": 0.995, "agent.critic.members": 2, "agent.target_rule": "Minimum", "env.repeat": None}
CONTROL = {"train.gamma": 0.99, "agent.critic.members": 1, "env.repeat": 2}
CROSSQ = {
    "agent.lookahead": "Joint",
    "agent.critic.trunk.hidden": (2048, 2048),
    "agent.actor.trunk.hidden": (256, 256),
    **{f"agent.{part}.trunk.norm": "batch_renorm" for part in ("critic", "actor")},
    **{f"agent.{part}.trunk.norm_place": "after" for part in ("critic", "actor")},
    **{f"agent.{part}.trunk.norm_inputs": True for part in ("critic", "actor")},
    **rates(learning_rate=1e-3),
    "agent.optim.value.beta1": 0.5,
    "agent.optim.actor.beta1": 0.5,
    "agent.optim.temperature.beta1": 0.9,
    TARGET: -1.0,
    "train.batch": 256,
    "train.updates_per_decision": 1.0,
    "train.actor_every": 3,
    "train.warmup": 5_000,
}
CROSSQ_WN = {
    "agent.lookahead": "JointTarget",
    "agent.lookahead.tau": 0.005,
    "agent.critic.trunk.hidden": (512, 512),
    "agent.actor.trunk.hidden": (256, 256),
    **{f"agent.{part}.trunk.norm": "batch" for part in ("critic", "actor")},
    **{f"agent.{part}.trunk.unit_norm": True for part in ("critic", "actor")},
    **rates(learning_rate=3e-4, weight_decay=1e-2),
    **schedule("LinearDecay", 0.1),
    "agent.temperature.initial": 0.01,
    TARGET: -0.5,
    "train.actor_every": 3,
}
XQC = {
    "agent.lookahead": "JointTarget",
    "agent.lookahead.tau": 0.005,
    "agent.critic.trunk.hidden": (512, 512, 512, 512),
    "agent.actor.trunk.hidden": (256, 256, 256, 256),
    **CATEGORICAL,
    "agent.reward_scale.largest": None,
    **rates(learning_rate=3e-4),
    **schedule("LinearDecay", 0.1),
    TARGET: -0.5,
    "train.batch": 256,
    "train.updates_per_decision": 2.0,
    "train.actor_every": 3,
}
FLASHSAC = {
    "agent.lookahead": "JointTarget",
    "agent.lookahead.tau": 0.01,
    "agent.critic.trunk.width": 256,
    "agent.critic.trunk.blocks": 2,
    "agent.critic.trunk.expansion": 4,
    "agent.actor.trunk.width": 128,
    "agent.actor.trunk.blocks": 2,
    "agent.actor.trunk.expansion": 4,
    **CATEGORICAL,
    "agent.reward_scale.largest": 5.0,
    "agent.explorer": "RepeatedNoise",
    "agent.explorer.exponent": 2.0,
    "agent.explorer.longest": 16,
    **bounded(-10.0),
    **rates(learning_rate=3e-4),
    **schedule("CosineDecay", 0.5),
    TARGET: -0.478,
    "train.gamma": 0.99,
    "train.batch": 512,
    "train.updates_per_decision": 1.0,
    "train.actor_every": 2,
    "train.warmup": 10_000,
    "replay.capacity": 1_000_000,
}
RESETS_AT = (15_000, 50_000, 250_000, 500_000, 750_000, 1_000_000, 1_500_000, 2_000_000)  # environment steps
BRO = {
    "agent.critic.trunk": "BroNet",
    "agent.critic.trunk.width": 512,
    "agent.critic.trunk.blocks": 2,
    "agent.actor.trunk": "BroNet",
    "agent.actor.trunk.width": 256,
    "agent.actor.trunk.blocks": 1,
    "agent.critic.head.quantiles": 100,
    "agent.critic.head.kappa": 1.0,
    "agent.critic.members": 2,
    "agent.target_rule": "Pessimism",
    "agent.target_rule.beta": 0.0,
    "agent.explorer": "Optimistic",
    "agent.explorer.std_factor": 0.75,
    "agent.explorer.divergence": 0.05,
    "agent.explorer.optimism": 1.0,
    "agent.explorer.price": 0.25,
    "agent.plasticity.every": None,
    "agent.plasticity.at": tuple(10 * (step - 2_500) for step in RESETS_AT),
    **bounded(-10.0),
    **rates(learning_rate=3e-4),
    "agent.optim.value.weight_decay": 1e-4,
    "agent.optim.actor.weight_decay": 1e-4,
    "agent.optim.temperature.beta1": 0.5,
    "agent.temperature.initial": 1.0,
    TARGET: -0.5,
    "agent.lookahead.tau": 0.005,
    "train.gamma": 0.99,
    "train.batch": 128,
    "train.updates_per_decision": 10.0,
    "train.warmup": 2_500,
}
FAST = {  # in the sizes of benchmarks/lists/half_hour.txt
    **FLASHSAC,
    "agent.critic.trunk.width": 128,
    "agent.critic.trunk.blocks": 1,
    "agent.actor.trunk.width": 64,
    "agent.actor.trunk.blocks": 1,
    "train.batch": 256,
    "train.warmup": 5_000,
}
CHOICES = {"agent.actor": "Categorical", "agent.temperature.target_share": 0.98, **rates(epsilon=1e-4)}
PIXELS = {
    "env.pixels.size": 84,
    "env.pixels.stack": 3,
    "agent.encoder.convolutions.channels": 32,
    "agent.encoder.convolutions.strides": (2, 1, 1, 1),
    "agent.encoder.convolutions.kernel_init": "delta_orthogonal",
    "agent.encoder.features": 50,
    "agent.encoder.tau": 0.05,
    "agent.actor.trunk.hidden": (1024, 1024),
    "agent.critic.trunk.hidden": (1024, 1024),
    "agent.critic.members": 2,
    **bounded(-10.0),
    **{f"agent.optim.{name}.learning_rate": 1e-3 for name in ("encoder", "value", "actor")},
    "agent.optim.temperature.learning_rate": 1e-4,
    "agent.optim.temperature.beta1": 0.5,
    "agent.temperature.initial": 0.1,
    TARGET: -1.0,
    "agent.lookahead.tau": 0.01,
    "train.gamma": 0.99,
    "train.batch": 128,
    "train.updates_per_decision": 1.0,
    "train.actor_every": 2,
    "train.target_every": 2,
    "replay.capacity": 1_000_000,
}
SAC_AE = {
    **PIXELS,
    "agent.encoder.auxiliary": "Reconstruction",
    "agent.encoder.auxiliary.penalty": 1e-6,
    "agent.optim.encoder.l2": 1e-7,
}
DRQ = {
    **PIXELS,
    "agent.encoder.augmentation": "Shift",
    "agent.encoder.augmentation.pad": 4,
    "agent.encoder.augmentation.views": 2,
    "agent.encoder.convolutions.kernel_init": "orthogonal",
    "agent.encoder.tau": 0.01,
    "agent.optim.temperature.learning_rate": 1e-3,
    "agent.optim.temperature.beta1": 0.9,
    "replay.capacity": 100_000,
}
CURL = {
    **PIXELS,
    "env.pixels.size": 100,
    "agent.encoder.augmentation": "Crop",
    "agent.encoder.augmentation.pixels": 84,
    "agent.encoder.auxiliary": "Contrast",
    "replay.capacity": 100_000,
}
LEARNED = ("encoder", "value", "actor")
SLOWER = {("curl", "cheetah_run"): {f"agent.optim.{name}.learning_rate": 2e-4 for name in LEARNED}}
FROM_PIXELS = {"sac_ae": SAC_AE, "sac_pixels": PIXELS, "drq": DRQ, "curl": CURL}
REPEATS = {"cartpole_swingup": 8, "cheetah_run": 4, "walker_walk": 2}
"""Frames an action is held for; the first thousand decisions are random."""
PUBLISHED = [
    ("redq", "Humanoid-v4", {**REDQ, TARGET: -2 / 17}),
    ("redq", "Hopper-v4", {**REDQ, TARGET: -1 / 3}),
    ("redq", "HalfCheetah-v4", {**REDQ, TARGET: -3 / 6}),
    ("redq", "Walker2d-v4", {**REDQ, TARGET: -3 / 6}),
    ("redq", "Ant-v4", {**REDQ, TARGET: -4 / 8}),
    ("droq", "Humanoid-v4", {**DROQ, TARGET: -2 / 17, DROPOUT: 0.1}),
    ("droq", "Hopper-v4", {**DROQ, TARGET: -1 / 3, DROPOUT: 1e-4}),
    ("droq", "Walker2d-v4", {**DROQ, TARGET: -0.5, DROPOUT: 5e-3}),
    ("droq", "Ant-v4", {**DROQ, TARGET: -0.5, DROPOUT: 0.01}),
    ("tqc", "Hopper-v4", {**TQC, DROP: 5}),
    ("tqc", "HalfCheetah-v4", {**TQC, DROP: 0}),
    *(("tqc", f"{name}-v4", {**TQC, DROP: 2}) for name in ("Walker2d", "Ant", "Humanoid")),
    ("bro", "Humanoid-v4", BRO),
    ("simba", "Hopper-v4", {**SIMBA_V1, **MUJOCO}),
    ("simba", "cheetah_run", {**SIMBA_V1, **CONTROL}),
    ("simbav2", "Hopper-v4", {**SIMBA_V2, **MUJOCO}),
    ("simbav2", "cheetah_run", {**SIMBA_V2, **CONTROL}),
    *((name, "Reacher-v4", {"train.gamma": 0.95}) for name in ("simba", "simbav2", "xqc")),  # 50 decisions
    ("crossq", "Swimmer-v4", {**CROSSQ, "train.gamma": 0.9999}),
    ("crossq", "Hopper-v4", {**CROSSQ, "train.gamma": 0.99}),
    ("crossq_wn", "Humanoid-v4", CROSSQ_WN),
    ("xqc", "Humanoid-v4", {**XQC, "train.gamma": 0.995, "agent.critic.members": 2}),
    ("xqc", "humanoid_run", {**XQC, "train.gamma": 0.99, "env.repeat": 2}),
    ("flashsac", "Humanoid-v4", FLASHSAC),
    ("flashsac", "humanoid_run", {**FLASHSAC, "env.repeat": None}),
    ("fast", "HalfCheetah-v4", FAST),
    ("fast", "cheetah_run", {**FAST, "env.repeat": None}),
    ("sac_n", "", {"agent.critic.members": 10, "agent.target_rule": "Minimum", "agent.actor_rule": "Minimum"}),
    ("hl_gauss", "", {"agent.critic.head.target": "hl_gauss", "agent.critic.head.sigma": 0.75}),
    ("resets", "", {"agent.plasticity.every": 200_000, "agent.plasticity.layers": None}),
    ("redo", "", {f"agent.plasticity.{k}": v for k, v in {"every": 1_000, "threshold": 0.025, "batch": 64}.items()}),
    (
        "continual_backprop",
        "",
        {f"agent.plasticity.{k}": v for k, v in {"rate": 1e-4, "maturity": 10_000, "decay": 0.99, "every": 1}.items()},
    ),
    ("l2_init", "", {"agent.regularizer": "L2Init", "agent.regularizer.strength": 1e-4}),
    ("wasserstein", "", {"agent.regularizer": "Wasserstein", "agent.regularizer.strength": 1e-4}),
    ("wasserstein", "", {"agent.regularizer.every": 10}),
    ("shrink_perturb", "", {"agent.plasticity": "ShrinkAndPerturb"}),
    ("per", "", {"replay.sampler": "Proportional", "replay.sampler.alpha": 0.6, "replay.sampler.beta": 0.4}),
    ("lap", "", {"replay.sampler": "LAP", "replay.sampler.alpha": 0.4, "agent.critic.head.error": "huber"}),
    ("ere", "", {"replay.sampler.eta": 0.996, "replay.sampler.final_eta": 1.0, "replay.sampler.least": 5_000}),
    ("n_step", "", {"replay.steps": 3}),
    ("gsde", "", {"agent.actor.log_std_initial": -3.0}),
    ("normalize", "", {"agent.encoder.normalizer": "Running", "agent.encoder.normalizer.epsilon": 1e-8}),
    ("scale_rewards", "", {"agent.reward_scale": "ReturnScale", "agent.reward_scale.largest": None}),
    ("fixed_temperature", "", {"agent.temperature": "Fixed", "agent.temperature.value": 0.2}),
    ("qc", "", {"agent.chunk": "Chunk", "agent.chunk.length": 5}),
    ("sac_discrete", "", {**CHOICES, "agent.target_rule": "Minimum"}),
    (
        "sd_sac",
        "",
        {
            **CHOICES,
            **rates(epsilon=1e-8),
            "agent.target_rule": "Average",
            "agent.actor_rule": "Average",
            "agent.regression.distance": 0.5,
            "agent.penalty.strength": 1.0,  # of a loss with 0.5 in front
        },
    ),
    (
        "ddsac",
        "",
        {**CHOICES, "agent.temperature.entropy.in_backup": False, "agent.temperature.entropy.in_actor": True},
    ),
    *(
        (name, task, {**numbers, **SLOWER.get((name, task), {}), "train.warmup": 1_000 * repeat})
        for name, numbers in FROM_PIXELS.items()
        for task, repeat in REPEATS.items()
    ),
]


@pytest.mark.parametrize(("name", "env", "numbers"), PUBLISHED, ids=[" ".join(case[:2]).strip() for case in PUBLISHED])
def test_the_published_numbers(name: str, env: str, numbers: dict[str, Any]) -> None:
    values = flat(apply(name, override(Run(), {"env.name": env})))
    expected = {path: show(value) for path, value in numbers.items()}
    assert {path: values.get(path) for path in expected} == expected
