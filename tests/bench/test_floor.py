"""The floor against products counted by hand, and against what an update really multiplies."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from softrl.bench.floor import Product, Recorder, fastest, floor, products
from softrl.bench.update import filled
from softrl.nn.layers import Linear
from softrl.recipes import apply
from softrl.run.config import Run
from softrl.run.fields import fields, override
from softrl.types import Spec, Window

OBS, ACTIONS, BATCH, WIDTH = 5, 2, 16, 8


def agent(recipe: str):
    run = apply(recipe, Run())
    narrow = {field.path: (WIDTH, WIDTH) for field in fields(run) if field.path.endswith(".hidden")}
    return override(run, narrow).agent.build(Spec({"state": (OBS,)}, ACTIONS))


def window() -> Window:
    flag = torch.zeros(BATCH, 1, dtype=torch.bool)
    reward = torch.randn(BATCH, 1)
    states = {"state": torch.randn(BATCH, 2, OBS)}
    return Window(
        states, torch.rand(BATCH, 1, ACTIONS), reward, 0.99 + 0 * reward, flag, torch.ones(BATCH), torch.arange(BATCH)
    )


def test_one_layer_by_hand() -> None:
    layer = Linear(3, 4, members=2)
    x = torch.randn(16, 3)
    with Recorder() as recorder:
        layer(x).sum().backward()
    assert recorder.found == [Product("forward", 2, True, 16, 3, 4), Product("weights", 2, True, 3, 16, 4)]
    assert recorder.found[0].flops == 2 * 2 * 16 * 3 * 4


def test_input_gradients_stop_where_nothing_needs_them() -> None:
    layers = nn.Sequential(Linear(3, 4), Linear(4, 5))
    with Recorder() as recorder:
        torch.autograd.grad(layers(torch.randn(7, 3)).sum(), list(layers.parameters()))
    inputs = [p for p in recorder.found if p.kind == "inputs"]
    assert inputs == [Product("inputs", 1, False, 7, 5, 4)]  # of the second layer; the first one's input is data


@pytest.mark.parametrize("recipe", ["sac", "sac_v1"])
def test_sac_by_hand(recipe: str) -> None:
    """Three layers a network: products forward, for weights, for inputs of all layers but the first, for the action."""
    actor, critic = layer_flops(OBS, 2 * ACTIONS), 2 * layer_flops(OBS + ACTIONS, 1)
    state = layer_flops(OBS, 1)
    forward, both = 1, 2  # and the gradient of the inputs of the upper layers
    upper = {"actor": actor - 2 * BATCH * WIDTH * OBS, "critic": critic - 2 * 2 * BATCH * WIDTH * (OBS + ACTIONS)}
    action = 2 * 2 * BATCH * WIDTH * ACTIONS
    policy = both * actor + upper["actor"] + forward * critic + upper["critic"] + action
    learned = both * critic + upper["critic"]
    expected = {
        "sac": forward * actor + forward * critic + learned + policy,
        "sac_v1": policy + learned + both * state + (state - 2 * BATCH * WIDTH * OBS) + forward * state,
    }[recipe]
    assert sum(p.flops for p in products(agent(recipe), window())) == expected


@pytest.mark.parametrize(("recipe", "spec", "told"), [("qc", (2, ()), 5 * 3), ("sac_hybrid", (2, (3,)), 2)])
def test_of_the_gradient_of_inputs_the_action_alone_is_counted(
    recipe: str, spec: tuple[int, tuple[int, ...]], told: int
) -> None:
    """A plan of five actions has a mark behind each; a critic with a row for each choice reads the numbers alone."""
    run = apply(recipe, Run(device="cpu"))
    built = run.agent.build(Spec({"state": (50,)}, *spec))
    needed = {work.columns for work in products(built, filled(run, built.spec).sample(BATCH)) if work.kind == "inputs"}
    assert told in needed
    assert 50 + told not in needed


def layer_flops(inputs: int, outputs: int) -> int:
    return 2 * BATCH * (inputs * WIDTH + WIDTH * WIDTH + WIDTH * outputs)


@pytest.mark.parametrize("recipe", ["sac", "sac_v1", "tqc", "crossq", "moe"])
def test_nothing_that_is_multiplied_escapes(recipe: str) -> None:
    built = apply(f"{recipe}+tiny", Run()).agent.build(Spec({"state": (OBS,)}, ACTIONS))
    with FlopCounterMode(display=False) as counter, Recorder() as recorder:
        built.update(window())
    assert counter.get_total_flops() == sum(p.flops for p in recorder.found)


KINDS = ("forward", "weights", "inputs")


def test_every_form_computes_the_product_in_place() -> None:
    for product in products(agent("sac"), window()):
        calls = product.forms()
        assert {"mm", "bmm"} <= set(calls)
        assert ("baddbmm" in calls) == (product.kind == "forward")
        with FlopCounterMode(display=False) as counter:
            for call in calls.values():
                call()
        assert counter.get_total_flops() == len(calls) * product.flops


def test_the_floor_runs_each_product_once_in_its_fastest_form() -> None:
    listed = products(agent("sac"), window())
    run = floor(listed, seconds=0.0)
    with FlopCounterMode(display=False) as counter:
        run()
    assert counter.get_total_flops() == sum(p.flops for p in listed)


def test_the_fastest_form_is_the_one_with_the_smallest_median(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = {"mm": lambda: "mm", "bmm": lambda: "bmm"}
    product = SimpleNamespace(forms=lambda: calls)
    seconds = {"mm": iter([9.0, 1.0, 1.0]), "bmm": iter([2.0, 2.0, 2.0])}  # one slow turn is an accident
    monkeypatch.setattr("softrl.bench.floor.block", lambda *_: 1)
    monkeypatch.setattr("softrl.bench.floor.timed", lambda call, _: next(seconds[call()]))
    assert fastest(product, rounds=3) == "mm"
