"""Impossible agents are refused with a sentence."""

from dataclasses import replace

import pytest

from softrl.agent.chunk import AdaptiveChunk, Chunk
from softrl.agent.config import AgentConfig
from softrl.agent.explore import Optimistic, StateDependent
from softrl.agent.lookahead import Joint, JointTarget, Split, StateTarget
from softrl.agent.regularize import L2Init
from softrl.agent.temperature import Fixed
from softrl.errors import UserError
from softrl.math.rules import Pessimism, SubsetMinimum, Truncate
from softrl.nn.actors.deterministic import Deterministic
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.actors.latent import Latent, Marginal
from softrl.nn.actors.mixture import Mixture
from softrl.nn.critics import ActionIn, StateValue
from softrl.nn.encoders.pixels import Pixels
from softrl.nn.heads import Categorical
from softrl.nn.normalize import Scale
from softrl.nn.trunks.mlp import MLP
from softrl.nn.trunks.simbav2 import SimBaV2
from softrl.nn.trunks.xqc import XQC
from softrl.types import Spec

SPEC = Spec({"state": (4,)}, 3)


V1 = AgentConfig(update="sac_v1", lookahead=StateTarget(), temperature=Fixed())


def test_the_defaults_are_possible() -> None:
    AgentConfig().check(SPEC)
    AgentConfig(update="sac_v1", lookahead=StateTarget(), temperature=Fixed()).check(SPEC)
    AgentConfig(critic=ActionIn(XQC()), lookahead=Joint()).check(SPEC)
    AgentConfig(critic=ActionIn(XQC()), lookahead=Joint(), actor=Mixture()).check(SPEC)
    AgentConfig(lookahead=JointTarget()).check(SPEC)


@pytest.mark.parametrize(
    ("config", "spec", "words"),
    [
        (AgentConfig(), Spec({"state": (4,)}, 0), "action space is empty"),
        (AgentConfig(chunk=Chunk(2)), Spec({"state": (4,)}, 0, (3,)), "continuous actions only"),
        (AgentConfig(chunk=Chunk(2)), Spec({"state": (4,)}, 2, (3,)), "continuous actions only"),
        (replace(V1, chunk=Chunk(2)), SPEC, "single actions"),
        (AgentConfig(actor=Deterministic()), SPEC, "fixed temperature"),
        (AgentConfig(), Spec({"pixels": (3, 84, 84)}, 2), "state observations"),
        (AgentConfig(update="sac_v1"), SPEC, "needs a lookahead with 'state value'"),
        (AgentConfig(lookahead=StateTarget()), SPEC, "action value"),
        (AgentConfig(update="sac_v1", lookahead=StateTarget()), SPEC, "fixed temperature"),
        (AgentConfig(critic=ActionIn(MLP(norm="batch"))), SPEC, "batch statistics, which agent.lookahead does not"),
        (AgentConfig(critic=ActionIn(XQC())), SPEC, "crossq"),
        (AgentConfig(lookahead=Joint()), SPEC, "agent.lookahead needs batch norms, .* set agent.critic.trunk.norm"),
        (AgentConfig(lookahead=Joint(), critic=ActionIn(MLP(norm="layer"))), SPEC, "or use a lookahead with a target"),
        (
            replace(V1, lookahead=StateTarget(StateValue(MLP(norm="batch")))),
            SPEC,
            "agent.lookahead.value.trunk needs batch",
        ),
        (AgentConfig(regularizer=L2Init(), critic=ActionIn(SimBaV2())), SPEC, "no weights to pull in the critic"),
        (AgentConfig(actor=Gaussian(MLP(dropout=0.1))), SPEC, "leave dropout to the critic"),
        (AgentConfig(actor=Latent(policy=Marginal(MLP(dropout=0.1)))), SPEC, "leave dropout to the critic"),
        (AgentConfig(chunk=AdaptiveChunk(trunk=MLP(dropout=0.1))), SPEC, "leave dropout to the critic"),
        (AgentConfig(explorer=StateDependent()), SPEC, "exploration matrix"),
        (AgentConfig(explorer=Optimistic(), critic=ActionIn(members=1)), SPEC, "at least two members"),
        (AgentConfig(target_rule=SubsetMinimum(3)), SPEC, "draws 3 of 2"),
        (AgentConfig(target_rule=Truncate(1)), SPEC, "drops 1"),
        (AgentConfig(critic=ActionIn(head=Categorical()), actor_rule=Truncate(1)), SPEC, "weights"),
        (
            AgentConfig(encoder=Pixels(), lookahead=Split(1.0)),
            Spec({"pixels": (3, 84, 84)}, 2),
            "agent.lookahead.tau is 1 and agent.encoder.tau 0.05: .* let agent.encoder.tau be 1 as well",
        ),
        (AgentConfig(critic=ActionIn(head=Categorical()), target_rule=Pessimism(1.0)), SPEC, "Pessimism"),
    ],
)
def test_impossible_pairs(config: AgentConfig, spec: Spec, words: str) -> None:
    with pytest.raises(UserError, match=words):
        config.build(spec)


@pytest.mark.parametrize("tau", [0.0, -1.0, 1.5])
@pytest.mark.parametrize("kind", [Split, StateTarget, JointTarget])
def test_rates_outside_their_range(kind: type, tau: float) -> None:
    with pytest.raises(UserError, match="tau"):
        kind(tau=tau)


def test_a_reward_scale_is_positive() -> None:
    with pytest.raises(UserError, match="positive"):
        Scale(-1.0)
