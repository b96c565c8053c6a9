"""The floor against products counted by hand, and against what an update really multiplies."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from softrl.bench.floor import Pass, Product, fastest, floor, forms, products, products_of
from softrl.nn.layers import Linear
from softrl.recipes import apply
from softrl.run.config import Run
from softrl.run.fields import override
from softrl.types import Spec, Window

OBS, ACTIONS, BATCH, WIDTH = 5, 2, 16, 8


def agent(recipe: str):
    run = override(apply(recipe, Run()), {"agent.actor.trunk.hidden": (WIDTH, WIDTH)})
    return override(run, {"agent.critic.trunk.hidden": (WIDTH, WIDTH)}).agent.build(Spec({"state": (OBS,)}, ACTIONS))


def window() -> Window:
    flag = torch.zeros(BATCH, 1, dtype=torch.bool)
    reward = torch.randn(BATCH, 1)
    states = {"state": torch.randn(BATCH, 2, OBS)}
    return Window(
        states, torch.rand(BATCH, 1, ACTIONS), reward, 0.99 + 0 * reward, flag, torch.ones(BATCH), torch.arange(BATCH)
    )


def test_one_layer_by_hand() -> None:
    layer = nn.Sequential(Linear(3, 4, members=2))
    assert products_of(Pass(layer, learned=False), 16) == [Product("forward", 2, True, 16, 3, 4)]
    assert products_of(Pass(layer, learned=False), 16)[0].flops == 2 * 2 * 16 * 3 * 4
    assert products_of(Pass(layer, learned=True, inputs=1), 16) == [
        Product("forward", 2, True, 16, 3, 4),
        Product("weights", 2, True, 3, 16, 4),
        Product("inputs", 2, False, 16, 4, 1),
    ]


def test_input_gradients_stop_where_nothing_needs_them() -> None:
    layers = nn.Sequential(Linear(3, 4), Linear(4, 5))
    inputs = [p for p in products_of(Pass(layers, learned=True), 7) if p.kind == "inputs"]
    assert inputs == [Product("inputs", 1, False, 7, 5, 4)]  # of the second layer; the first one's input is data


@pytest.mark.parametrize("recipe", ["sac", "sac_v1"])
def test_the_update_multiplies_what_the_floor_says_and_one_thing_more(recipe: str) -> None:
    built = agent(recipe)
    with FlopCounterMode(display=False) as counter:
        built.update(window())
    # Autograd answers the gradient of all inputs of the critic in the actor's loss; its states' columns are not needed.
    spare = 2 * 2 * BATCH * WIDTH * OBS
    assert counter.get_total_flops() == sum(p.flops for p in products(built, BATCH)) + spare


@pytest.mark.parametrize("recipe", ["sac", "sac_v1"])
def test_an_update_without_the_actor_needs_no_gradient_of_its_policy(recipe: str) -> None:
    # sac leaves out the actor's and the critic's pass whole, sac_v1 still needs them to know the value
    built = agent(recipe)
    with_actor, without = (products(built, BATCH, actor) for actor in (True, False))
    kinds = {kind: sum(p.kind == kind for p in without) - sum(p.kind == kind for p in with_actor) for kind in KINDS}
    assert (
        kinds
        == {
            "sac": {"forward": -6, "weights": -3, "inputs": -5},
            "sac_v1": {"forward": 0, "weights": -3, "inputs": -5},
        }[recipe]
    )


KINDS = ("forward", "weights", "inputs")


def test_every_form_computes_the_product_in_place() -> None:
    for product in products(agent("sac"), BATCH):
        calls = forms(product)
        assert {"mm", "bmm"} <= set(calls)
        assert ("baddbmm" in calls) == (product.kind == "forward")
        with FlopCounterMode(display=False) as counter:
            for call in calls.values():
                call()
        assert counter.get_total_flops() == len(calls) * product.flops


def test_the_floor_runs_each_product_once_in_its_fastest_form() -> None:
    listed = products(agent("sac"), BATCH)
    run = floor(listed, seconds=0.0)
    with FlopCounterMode(display=False) as counter:
        run()
    assert counter.get_total_flops() == sum(p.flops for p in listed)


def test_the_fastest_form_is_the_one_with_the_smallest_median(monkeypatch: pytest.MonkeyPatch) -> None:
    product = Product("weights", 1, False, 4, 4, 4)
    calls = {"mm": lambda: "mm", "bmm": lambda: "bmm"}
    seconds = {"mm": iter([9.0, 1.0, 1.0]), "bmm": iter([2.0, 2.0, 2.0])}  # one slow turn is an accident
    monkeypatch.setattr("softrl.bench.floor.forms", lambda _: calls)
    monkeypatch.setattr("softrl.bench.floor.block", lambda *_: 1)
    monkeypatch.setattr("softrl.bench.floor.timed", lambda call, _: next(seconds[call()]))
    assert fastest(product, rounds=3) == "mm"
