"""Actor and critic become those of the space, and keep what was set."""

import dataclasses

import pytest

from softrl.agent.action_space import adapt_to_action_space, replaced, without_effect
from softrl.agent.config import AgentConfig
from softrl.agent.explore import Optimistic, RepeatedNoise, StateDependent
from softrl.errors import UserError
from softrl.nn.actors.categorical import Categorical
from softrl.nn.actors.factored import Factored
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.actors.gsde import GSDE
from softrl.nn.actors.hybrid import Hybrid
from softrl.nn.critics import ActionIn, ActionOut, ChoiceOut
from softrl.nn.heads import Quantile
from softrl.nn.trunks.bottleneck import BottleneckTrunk
from softrl.nn.trunks.mlp import MLP
from softrl.nn.trunks.simba import SimBa
from softrl.recipes import apply
from softrl.run.config import Run
from softrl.types import Spec

NARROW, WIDE = MLP((16,)), SimBa(32)
CONFIG = AgentConfig(
    actor=Gaussian(NARROW, log_std_min=-5.0, log_std_bound="tanh", mean_bound=5.0),
    critic=ActionIn(WIDE, Quantile(5), members=3),
)


def spec(*choices: int, continuous: int = 0) -> Spec:
    return Spec({"state": (4,)}, continuous, choices)


def test_without_choices_nothing_changes() -> None:
    assert adapt_to_action_space(CONFIG, spec(continuous=2)) is CONFIG


@pytest.mark.parametrize(
    ("space", "actor", "critic"),
    [
        (spec(3, 2), Categorical(NARROW), ActionOut(WIDE, Quantile(5), 3)),
        (
            spec(3, continuous=2),
            Hybrid(NARROW, log_std_min=-5.0, log_std_bound="tanh", mean_bound=5.0),
            ChoiceOut(WIDE, Quantile(5), 3),
        ),
        (
            spec(8, 16, continuous=2),
            Hybrid(NARROW, log_std_min=-5.0, log_std_bound="tanh", mean_bound=5.0),
            ChoiceOut(WIDE, Quantile(5), 3),
        ),
        (
            spec(8, 17, continuous=2),
            Hybrid(NARROW, log_std_min=-5.0, log_std_bound="tanh", mean_bound=5.0),
            CONFIG.critic,
        ),
        (spec(32, 32), Categorical(NARROW), ActionOut(WIDE, Quantile(5), 3)),
        (spec(40, 40), Factored(NARROW, log_std_min=-5.0, log_std_bound="tanh", mean_bound=5.0), CONFIG.critic),
        (
            spec(40, 40, continuous=2),
            Factored(NARROW, log_std_min=-5.0, log_std_bound="tanh", mean_bound=5.0),
            CONFIG.critic,
        ),
    ],
)
def test_gaussian_and_action_in_become_what_the_space_asks_for(space: Spec, actor: object, critic: object) -> None:
    assert adapt_to_action_space(CONFIG, space) == dataclasses.replace(CONFIG, actor=actor, critic=critic)


@pytest.mark.parametrize("space", [spec(3), spec(3, continuous=2), spec(40, 40)])
def test_what_fits_stays(space: Spec) -> None:
    """An agent is built again from its own configuration, when parts of it are drawn anew."""
    once = adapt_to_action_space(CONFIG, space)
    assert adapt_to_action_space(once, space) == once


def test_independent_heads_share_one_pass() -> None:
    config = dataclasses.replace(CONFIG, actor=Hybrid(NARROW, dependent=False))
    assert adapt_to_action_space(config, spec(3, continuous=2)).critic == ActionOut(WIDE, Quantile(5), 3)


def test_a_kind_that_was_chosen_is_kept() -> None:
    config = dataclasses.replace(CONFIG, actor=Categorical(NARROW, joint=True))
    assert adapt_to_action_space(config, spec(3, 2)).actor == config.actor
    config = dataclasses.replace(CONFIG, actor=Factored(NARROW))
    assert adapt_to_action_space(config, spec(3, 2)) == dataclasses.replace(
        config, critic=ActionOut(WIDE, Quantile(5), 3)
    )


@pytest.mark.parametrize(
    ("parts", "space", "words"),
    [
        ({}, spec(1), "at least two options"),
        ({}, spec(3, 0, continuous=1), "at least two options"),
        ({"actor": GSDE()}, spec(3), "GSDE actor is for continuous"),
        ({"actor": Categorical(NARROW)}, spec(continuous=2), "Categorical actor decides between choices, .* has none"),
        ({"actor": Categorical(NARROW)}, spec(3, continuous=2), "does not fit this action space, which is hybrid: use"),
        ({"actor": Hybrid(NARROW)}, spec(3), "does not fit this action space, which is discrete: use recipe sac"),
        ({"actor": Hybrid(NARROW)}, spec(40, 40, continuous=2), r"1600 joint ones, and at most 1024 are listed\): use"),
        ({"explorer": StateDependent()}, spec(3), "StateDependent moves continuous"),
        ({"explorer": StateDependent()}, spec(3, continuous=1), "StateDependent moves continuous"),
    ],
)
def test_what_has_no_counterpart_is_refused(parts: dict[str, object], space: Spec, words: str) -> None:
    with pytest.raises(UserError, match=words):
        adapt_to_action_space(dataclasses.replace(CONFIG, **parts), space)


@pytest.mark.parametrize("space", [spec(3), spec(3, continuous=2), spec(40, 40)])
@pytest.mark.parametrize("explorer", [RepeatedNoise(), Optimistic()])
def test_an_explorer_of_numbers_gives_way_to_the_policy_and_that_is_told(explorer: object, space: Spec) -> None:
    """It is a part of whole algorithms, such as FlashSAC and BRO."""
    config = dataclasses.replace(CONFIG, explorer=explorer)
    assert adapt_to_action_space(config, space) == adapt_to_action_space(CONFIG, space)
    line, *_ = replaced(config, space)  # behind it, where there are many choices, that they are independent
    assert line.startswith(f"agent.explorer {type(explorer).__name__} moves continuous actions")
    assert replaced(CONFIG, space) == replaced(config, space)[1:]
    assert adapt_to_action_space(config, spec(continuous=2)).explorer is explorer
    assert replaced(config, spec(continuous=2)) == []


def test_what_was_set_of_an_actor_that_gives_way_is_told() -> None:
    """Only what is set beside the recipe's own values, and only where the counterpart has no such field."""
    recipe = dataclasses.replace(CONFIG, actor=Gaussian(log_std_max=1.0))
    asked = dataclasses.replace(CONFIG, actor=Gaussian(log_std_max=1.0, log_std_min=-5.0))
    told = ["agent.actor.log_std_min has no effect: this action space has choices"]
    assert without_effect(asked, recipe, spec(3)) == told
    assert without_effect(recipe, recipe, spec(3)) == []
    assert without_effect(asked, recipe, spec(continuous=2)) == []
    assert without_effect(asked, recipe, spec(3, continuous=2)) == []  # numbers beside choices have deviations


def test_everything_that_reads_what_the_policy_reads_is_behind_the_bottleneck() -> None:
    """The raw features of a picture are tens of thousands."""
    agent = apply("qc_adaptive+sac_ae+tiny", Run()).agent
    seen = Spec({"pixels": (9, 24, 24)}, 2, stack=3)
    built = agent.build(seen)
    for trunk in (built.actor.trunk, built.actor.lengths.trunk):
        assert isinstance(trunk, BottleneckTrunk)
        reads = sorted(weight.shape[-2] for weight in trunk.parameters())
        assert reads[-2:] == [50, built.encoder.policy_width]


@pytest.mark.parametrize("recipe", ["qc", "qc_adaptive"])
def test_plans_of_choices_are_refused_with_what_helps(recipe: str) -> None:
    with pytest.raises(UserError, match="continuous actions only: leave out the recipe or the flag that brings it"):
        apply(recipe, Run()).agent.build(spec(3))


@pytest.mark.parametrize("continuous", [0, 2])
def test_a_latent_in_the_policy_is_for_numbers(continuous: int) -> None:
    sentence = r"Latent actor is for continuous actions, and this action space has choices: leave out the recipe"
    with pytest.raises(UserError, match=sentence):
        apply("smac_state", Run()).agent.build(spec(3, continuous=continuous))


def test_many_draws_of_numbers_are_told() -> None:
    """Where each of many joint choices has numbers of its own, and nowhere else."""
    [told] = replaced(CONFIG, spec(8, 8, continuous=2))
    assert "each of 64 joint choices" in told
    assert "dependent false" in told
    shared = dataclasses.replace(CONFIG, actor=Hybrid(NARROW, dependent=False))
    for config, space in ((CONFIG, spec(8, 7, continuous=2)), (CONFIG, spec(64)), (shared, spec(8, 8, continuous=2))):
        assert replaced(config, space) == []


def test_that_choices_are_taken_as_independent_is_told_where_they_are_too_many() -> None:
    [told] = replaced(CONFIG, spec(40, 40, continuous=2))
    assert told.startswith("the choices have 1600 joint values, and at most 1024 are listed: ")
    assert replaced(CONFIG, spec(32, 32)) == []
