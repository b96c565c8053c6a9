"""Settings that do nothing are told, and those that do something are not."""

from typing import Any

import pytest
import torch

from softrl.recipes import apply
from softrl.run.config import Run
from softrl.run.fields import override
from softrl.run.idle import KNOWN, idle_settings
from softrl.types import Spec

CHOICES = Spec({"state": (5,)}, 0, choices=(3,))
STATES, PIXELS = Spec({"state": (5,)}, 2), Spec({"pixels": (9, 64, 64)}, 2, stack=3)
RATE = "agent.optim.encoder.learning_rate"


@pytest.mark.parametrize(
    ("recipe", "spec", "given", "told"),
    [
        ("sac", STATES, {"agent.temperature.target_share": 0.5}, "target_per_action"),
        ("sac_discrete", CHOICES, {"agent.temperature.target_share": 0.5}, None),
        ("sac_discrete", CHOICES, {"agent.temperature.target_per_action": -5.0}, "target_share"),
        ("sac", STATES, {"agent.temperature.target_per_action": -5.0}, None),
        ("sac", STATES, {"env.push.size": 9.0}, "probability is 0"),
        ("sac", STATES, {"env.push.size": 9.0, "env.push.probability": 0.1}, None),
        ("sac_pixels+tiny", PIXELS, {RATE: 1e-4}, "agent.optim.value"),
        ("sac_ae+tiny", PIXELS, {RATE: 1e-4}, None),
        ("sac+fixed_temperature", STATES, {"agent.optim.temperature.learning_rate": 1e-4}, "is fixed"),
        ("sac", STATES, {"agent.optim.temperature.learning_rate": 1e-4}, None),
        ("crossq+tiny", STATES, {"train.target_every": 2}, "no target network"),
        ("sac", STATES, {"train.target_every": 2}, None),
        ("sac", STATES, {"replay.dataset_share": 0.25}, "no replay.dataset"),
        ("sac", STATES, {"replay.dataset_share": 0.25, "replay.dataset": "data.npz"}, None),
        ("dreamer+states+tiny", STATES, {"agent.temperature.value": 1e-4}, "in_actor"),
        ("latent_sac+states+tiny", STATES, {"agent.encoder.particles.pool": "mean"}, "count is 0"),
        ("smac+states+tiny", STATES, {"agent.encoder.particles.pool": "minimum"}, None),
        ("dreamer+states+tiny", STATES, {"agent.encoder.sight.pictures.depth": 16}, "no pixels"),
        ("dreamer+states+tiny", STATES, {"agent.encoder.sight.vectors.deviation": 0.2}, None),
        ("dreamer+tiny", PIXELS, {"agent.encoder.sight.vectors.deviation": 0.2}, "pixels are observed"),
        ("dreamer+tiny", PIXELS, {"agent.encoder.sight.pictures.depth": 8}, None),
    ],
)
def test_what_was_set_in_vain(recipe: str, spec: Spec, given: dict[str, Any], told: str | None) -> None:
    plain = apply(recipe, Run())
    state = torch.get_rng_state()
    lines = idle_settings(override(plain, given), plain, spec)
    assert torch.equal(torch.get_rng_state(), state)
    if told is None:
        assert lines == []
    else:
        (line,) = lines
        assert line.startswith(f"{next(iter(given))} has no effect: ")
        assert told in line


def test_recipes_themselves_set_nothing_in_vain() -> None:
    assert idle_settings(apply("sac_ae", Run()), apply("sac_ae", Run()), PIXELS) == []
    assert len({each.why for each in KNOWN}) == len(KNOWN)
