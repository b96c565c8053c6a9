"""`softrl bench update` at sizes that take a moment."""

import json

import pytest
import torch

from softrl.bench import update
from softrl.errors import UserError


def test_settings_of_the_recipe_count_and_are_told() -> None:
    options = update.Options(recipe="sac+tiny", threads=1, compile="off", pairs=1, seconds=0.0)
    head, *_ = update.report(options, {"agent.critic.members": 5})
    assert head.startswith("sac+tiny, agent.critic.members 5: ")
    two, five = (
        update.measure(update.configured(options, {"agent.critic.members": members}), options)["gflop"]
        for members in (2, 5)
    )
    assert five > 1.5 * two


def test_update_reports_a_ratio_for_each_mode_and_the_share_of_sampling() -> None:
    options = update.Options(recipe="sac+tiny", threads=1, compile="off", pairs=3, seconds=0.001)
    (line,) = update.report(update.Options(**{**vars(options), "json": True}))
    result = json.loads(line)
    assert result["products"] == 28
    assert set(result["measured"]) == {"eager", "replay sample"}
    eager = result["measured"]["eager"]
    assert eager["lowest"] <= eager["median"] <= eager["highest"]
    head, _, *rows = update.report(options)
    assert "28 products" in head
    assert [row.split()[0] for row in rows[:2]] == ["eager", "replay"]
    assert rows[2].startswith("a sample of replay takes ")
    assert 0 < eager["first_seconds"] < 60
    assert rows[3].endswith(" s for the first eager update, compiling included")


def test_convolutions_are_those_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU in full float32, which torch leaves to those who ask."""
    for name, value in (("deterministic", False), ("allow_tf32", True)):
        monkeypatch.setattr(torch.backends.cudnn, name, value)
    head, *_ = update.report(update.Options(recipe="sac+tiny", threads=1, compile="off", pairs=1, seconds=0.0))
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.allow_tf32
    assert "cpu, 1 threads" in head


def test_the_floor_grows_with_the_batch() -> None:
    def gflop(recipe: str, **changes: int) -> float:
        options = update.Options(recipe=recipe, threads=1, compile="off", pairs=1, seconds=0.0, **changes)
        return update.measure(update.configured(options), options)["gflop"]

    assert gflop("sac+tiny", batch=64) == pytest.approx(2 * gflop("sac+tiny", batch=32))


def test_update_refuses_sizes_below_one() -> None:
    with pytest.raises(UserError, match="--batch is 0"):
        update.Options(batch=0)


def test_actions_may_be_choices() -> None:
    options = update.Options(
        recipe="sac_discrete+tiny", choices=(3,), actions=0, threads=1, compile="off", pairs=1, seconds=0.0
    )
    assert update.space(update.configured(options), options).action == 3
    assert update.measure(update.configured(options), options)["products"] > 0


def test_a_stack_of_replay_is_of_different_pictures() -> None:
    options = update.Options(recipe="drq+tiny", threads=1, compile="off", batch=4)
    run = update.configured(options)
    window = update.filled(run, run.agent.build(update.space(run, options)).spec).sample(4)
    pictures = window.obs["pixels"].unflatten(2, (3, 3))[0]  # [2,3,3,H,W], of a row and the next one
    assert len(torch.unique(pictures.flatten(0, 1), dim=0)) == 4  # stack + 1


def test_augmentation_is_measured_where_there_is_some() -> None:
    options = update.Options(recipe="drq+tiny", threads=1, compile="off", batch=4, pairs=1, seconds=0.0)
    *_, sampling, augmenting, _ = update.report(options)
    assert sampling.startswith("a sample of replay takes ")
    assert augmenting.startswith("augmentation, by itself and eager, takes ")


@pytest.mark.parametrize(("recipe", "draws"), [("drq+tiny", 8), ("curl+tiny", 6)])
def test_every_view_of_the_updates_is_drawn(recipe: str, draws: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two views of both ends of a row in DrQ, one and the positive in CURL; the actor's turn is every second update."""
    options = update.Options(recipe=recipe, threads=1, compile="off", batch=4)
    run = update.configured(options)
    replay = update.filled(run, run.agent.build(update.space(run, options)).spec)
    augmentation = run.agent.encoder.augmentation  # type: ignore[union-attr]
    call = update.augmenting(run, replay, run.train.actor_every)[update.AUGMENTATION]
    drawn = []
    inner = type(augmentation).draw
    monkeypatch.setattr(type(augmentation), "draw", lambda self, images: drawn.append(images) or inner(self, images))
    call()
    assert len(drawn) == draws
    drawn.clear()
    window = replay.sample(4)
    run.agent.build(update.space(run, options)).update(window)
    assert 2 * len(drawn) == draws  # what an update draws


def test_actions_may_be_choices_from_pixels_too() -> None:
    options = update.Options(recipe="sac_pixels+tiny", choices=(3,), actions=0)
    assert update.space(update.configured(options), options).action == 3


@pytest.mark.parametrize("sizes", [{"actions": 0}, {"choices": (3, 1)}])
def test_actions_need_numbers_or_choices(sizes: dict[str, object]) -> None:
    with pytest.raises(UserError, match="numbers or choices"):
        update.Options(**sizes)


def test_an_update_of_rare_target_copies_needs_no_more_products() -> None:
    def products(recipe: str) -> float:
        options = update.Options(recipe=recipe, threads=1, compile="off", pairs=1, seconds=0.0)
        return update.measure(update.configured(options), options)["products"]

    assert products("sac_v1_hard+tiny") == products("sac_v1+tiny") < 100
