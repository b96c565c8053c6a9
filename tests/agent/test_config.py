"""Impossible agents are refused with a sentence."""

import pytest

from softrl.agent.config import AgentConfig
from softrl.agent.lookahead import Split, StateTarget
from softrl.agent.temperature import Fixed
from softrl.errors import UserError
from softrl.nn.normalize import Scale
from softrl.types import Spec

SPEC = Spec({"state": (4,)}, 3)


def test_the_defaults_are_possible() -> None:
    AgentConfig().check(SPEC)
    AgentConfig(update="sac_v1", lookahead=StateTarget(), temperature=Fixed()).check(SPEC)


@pytest.mark.parametrize(
    ("config", "spec", "words"),
    [
        (AgentConfig(), Spec({"state": (4,)}, 0, (3,)), "Box"),
        (AgentConfig(), Spec({"state": (4,)}, 2, (3,)), "Box"),
        (AgentConfig(), Spec({"pixels": (3, 84, 84)}, 2), "state observations"),
        (AgentConfig(update="sac_v1"), SPEC, "state value"),
        (AgentConfig(lookahead=StateTarget()), SPEC, "action value"),
        (AgentConfig(update="sac_v1", lookahead=StateTarget()), SPEC, "fixed temperature"),
    ],
)
def test_impossible_pairs(config: AgentConfig, spec: Spec, words: str) -> None:
    with pytest.raises(UserError, match=words):
        config.build(spec)


@pytest.mark.parametrize("tau", [0.0, -1.0, 1.5])
@pytest.mark.parametrize("kind", [Split, StateTarget])
def test_rates_outside_their_range(kind: type, tau: float) -> None:
    with pytest.raises(UserError, match="tau"):
        kind(tau=tau)


def test_a_reward_scale_is_positive() -> None:
    with pytest.raises(UserError, match="positive"):
        Scale(-1.0)
