"""No update makes the host wait for the device, and of a decision only the copy of its actions does."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot
from torch.utils._python_dispatch import TorchDispatchMode

from softrl.agent.agent import Agent
from softrl.agent.capture import WARM_UPS
from softrl.agent.optim import AdamOptimizer
from softrl.data import envs
from softrl.data.collect import Collector
from softrl.data.replay import Replay, ReplayConfig
from softrl.data.sumtree import SumTree
from softrl.recipes import RECIPES as ALL, apply, find
from softrl.run.caller import left_as_it_was
from softrl.run.config import Run
from softrl.run.fields import override
from softrl.run.resolve import resolve
from softrl.run.trainer import Trainer
from softrl.types import Obs, Spec, Step

WAITING = {
    *("_local_scalar_dense", "item", "is_nonzero", "equal", "allclose"),  # numbers for Python
    *("nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive"),  # shapes that the numbers decide
    *("_linalg_check_errors", "lift_fresh"),  # checks, and constants that come from Python
}
FAST = (
    *("sac", "sac_v1", "tqc", "crossq", "bro", "simbav2", "flashsac", "per"),
    *("qc_adaptive", "sac_discrete", "sac_ae"),
)
WORLDS = tuple(f"{recipe}+states" for recipe in ("dreamer", "dreamer_discrete", "smac", "latent_sac"))
SLOW = (*WORLDS, *(find(recipe).complete_name for recipe in ALL if recipe not in (*FAST, "tiny", "states")))
RECIPES = [*FAST, *(pytest.param(recipe, marks=pytest.mark.slow) for recipe in SLOW)]
NOWHERE = ("sac", "crossq", "simbav2")
"""Those of the fast tier on torch's device `meta`."""
NO_KERNEL = ("beta",)
"""Torch has no kernel on `meta` for the gradient of a gamma draw."""
SPACES = {"sac_discrete": (0, (3,)), "sd_sac": (0, (3,)), "ddsac": (0, (3,)), "sac_hybrid": (2, (3,))}


class Waits(TorchDispatchMode):
    """Counts, by name, the operations for which the host waits when they run on a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name, _, overload = func.name().removeprefix("aten::").partition(".")
        if (
            name in WAITING
            or (name == "normal" and "Tensor" in overload)  # which looks for a negative deviation
            or (name == "repeat_interleave" and overload == "Tensor")
            or (name in ("index", "index_put", "index_put_") and any(map(is_mask, args[1])))
            or (name in ("index_put", "index_put_") and args[2].dim() == 0)  # a number from the host
        ):
            self.found[name] += 1
        return result


def is_mask(index: Tensor | None) -> bool:
    return index is not None and index.dtype in (torch.bool, torch.uint8)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x[0].item(),
        lambda x: bool((x > 0).any()),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: x.masked_select(x > 0),
        lambda x: x.unique(),
        lambda x: x.index_put_((x > 0,), torch.zeros(())),
        lambda x: x * torch.tensor(2.0),
        lambda x: torch.normal(x, x.abs()),
        lambda x: torch.equal(x, x),
        lambda x: x.repeat_interleave(torch.arange(4)),
        lambda x: x.__setitem__(torch.arange(2), 0.0),
    ],
)
def test_what_waits_is_found(call: Callable[[Tensor], Any]) -> None:
    x = torch.randn(4)
    with Waits() as waits:
        call(x)
    assert waits.found


def test_what_does_not_wait_is_not_found() -> None:
    x, index = torch.randn(4), torch.arange(2)
    with Waits() as waits:
        x[index] = torch.where(x > 0, x, 1.0)[index].exp() + torch.randn(2)
        x.masked_fill_(x > 0, 1.0)
        x.clone().to(torch.float64)
        x[0] += x.sort().values.sum()
    assert not waits.found


def run_of(recipe: str) -> Run:
    run = apply(f"{recipe}+tiny", Run())
    return replace(run, replay=replace(run.replay, capacity=200))


def spec_of(run: Run, recipe: str) -> Spec:
    continuous, choices = SPACES.get(recipe, (2, ()))
    if run.env.pixels is None:
        return Spec({"state": (5,)}, continuous, choices)
    size, stack = run.env.pixels.size, run.env.pixels.stack
    return Spec({"pixels": (3 * stack, size, size)}, continuous, choices, stack=stack)


def observed(spec: Spec, envs: int = 2) -> Obs:
    draws = {"state": torch.randn, "pixels": lambda *shape: torch.randint(256, shape, dtype=torch.uint8)}
    return {name: draws[name](envs, *shape) for name, shape in spec.obs.items()}


def rows(spec: Spec, count: int, envs: int = 2) -> Iterator[Step]:
    """Random rows of episodes of twenty."""
    for time in range(count):
        picks = [one_hot(torch.randint(size, (envs,)), size).float() for size in spec.choices]
        action = torch.cat([*picks, torch.rand(envs, spec.continuous)], -1)
        last = torch.full((envs,), time % 20 == 19)
        flag = torch.zeros(envs, dtype=torch.bool)
        yield Step(observed(spec, envs), action, torch.randn(envs), flag, last, left=torch.ones(envs).long())


def made(recipe: str) -> tuple[Agent, Replay]:
    """A small agent, and replay of random rows."""
    run = run_of(recipe)
    agent = run.agent.build(spec_of(run, recipe))
    replay = Replay(run.replay, agent.spec, 2, 0.99, seed=0)
    for row in rows(agent.spec, 60):
        replay.add(row)
    return agent, replay


@pytest.mark.parametrize("recipe", RECIPES)
def test_an_update_waits_for_nothing(recipe: str) -> None:
    agent, replay = made(recipe)
    window = replay.sample(16)
    with Waits() as waits:
        agent.update(window)
        agent.update(window, actor=False, follow=False)
    assert not waits.found


def test_priorities_wait_for_nothing() -> None:
    """Replay as a whole asks its mask on the host: what it asks of the device only a GPU can tell."""
    tree, cells, share = SumTree(10, torch.device("cpu")), torch.tensor([3, 4]), torch.rand(5)
    with Waits() as waits:
        tree.set(cells, torch.ones(2))
        tree.find(share)
        tree.fill(torch.ones(4))
    assert not waits.found


def there(row: Step) -> Step:
    """As the collector gives it: what the agent saw and chose is on the GPU, what the environment said is not."""
    obs = {name: value.cuda() for name, value in row.obs.items()}
    assert isinstance(row.left, Tensor)
    return row._replace(obs=obs, action=row.action.cuda(), left=row.left.cuda())


def acting(recipe: str, envs: int) -> tuple[Agent, Step]:
    """An agent on torch's device `meta`, and a row as the collector gives it."""
    run = run_of(recipe)
    with torch.device("meta"):
        agent = run.agent.build(spec_of(run, recipe))
    step = next(rows(agent.spec, 1, envs))
    obs = {name: value.to("meta") for name, value in step.obs.items()}
    return agent, step._replace(obs=obs, action=step.action.to("meta"))


def elsewhere(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Updates on torch's device `meta`, whose tensors raise when they are asked for numbers or copied to the host."""
    monkeypatch.setattr(AdamOptimizer, "move_fused", AdamOptimizer.move_traced)  # the fused step knows no such device
    agent, replay = made(recipe)
    window = replay.sample(16)
    with torch.device("meta"):
        agent = agent.config.build(agent.spec)
    assert {value.device.type for value in agent.state_dict().values()} == {"meta"}
    obs = {name: value.to("meta") for name, value in window.obs.items()}
    rest = {name: value.to("meta") for name, value in window._asdict().items() if isinstance(value, Tensor)}
    for flag in (True, False):
        metrics, error = agent.update(window._replace(obs=obs, **rest), actor=flag, follow=flag)
        assert {value.device.type for value in (*metrics.values(), error)} == {"meta"}


@pytest.mark.parametrize("envs", [1, 2])  # torch draws one number in another way than two
@pytest.mark.parametrize("recipe", RECIPES)
def test_acting_asks_nothing_of_the_device(recipe: str, envs: int) -> None:
    """Plans ask whose is used up: to spare the others a network is worth more than a wait."""
    agent, step = acting(recipe, envs)
    if agent.spec.chunk > 1:
        with pytest.raises(NotImplementedError, match="nonzero"):
            agent.act(step.obs, agent.initial(envs))
        return
    action, carry = agent.act(step.obs, agent.initial(envs))
    agent.observe(step, carry)
    action, _ = agent.act(step.obs, carry, deterministic=True)
    assert action.device.type == "meta"


def test_plans_ask_once_a_decision() -> None:
    agent, _ = made("qc_adaptive")
    carry = agent.initial(2)
    with Waits() as waits:
        for step in rows(agent.spec, 3):
            _, carry = agent.act(step.obs, carry)
            carry = agent.observe(step, carry)
    assert waits.found == {"nonzero": 3}


def test_units_drawn_anew_ask_once_a_look() -> None:
    agent, replay = made("sac+continual_backprop")
    window = replay.sample(16)
    with Waits() as waits:
        agent.plasticity.intervene(agent, window, 1)
    assert waits.found == {"_local_scalar_dense": 1}


@pytest.mark.parametrize("recipe", NOWHERE)
def test_an_update_stays_on_its_device(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere(recipe, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [recipe for recipe in (*FAST, *SLOW) if recipe not in (*NOWHERE, *NO_KERNEL)])
def test_every_update_stays_on_its_device(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere(recipe, monkeypatch)


def test_of_a_decision_the_actions_alone_are_copied_to_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    world = envs.vector("Pendulum-v1", Run().env, 2, seed=0)
    agent = run_of("sac").agent.build(envs.spec(world))
    collector, replay = (
        Collector(world, agent, agent.spec, seed=0),
        Replay(ReplayConfig(50), agent.spec, 2, 0.9, seed=0),
    )
    copies: Counter[str] = Counter()

    def watch(name: str) -> None:
        method = getattr(Tensor, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            copies[name] += 1
            return method(*args, **kwargs)

        monkeypatch.setattr(Tensor, name, counted)

    # Not numpy: it copies nothing, and of a tensor that lies on a device it raises.
    for name in ("cpu", "tolist", "item", "__bool__", "__float__", "__int__", "__index__"):
        watch(name)
    for _ in range(5):
        replay.add(collector.collect().row)
    world.close()
    assert copies == {"cpu": 5}


@pytest.mark.gpu
@pytest.mark.parametrize("recipe", RECIPES)
def test_an_update_waits_for_nothing_on_a_gpu(recipe: str) -> None:
    run = run_of(recipe)
    agent = run.agent.build(spec_of(run, recipe)).cuda()
    replay = Replay(run.replay, agent.spec, 2, 0.99, seed=0, device="cuda")
    for row in rows(agent.spec, 60):
        replay.add(there(row))
    agent.update(replay.sample(16))  # what is set up once may wait
    more = [there(row) for row in rows(agent.spec, 3)]
    torch.cuda.set_sync_debug_mode("error")
    try:
        for row in more:
            replay.add(row)
            window = replay.sample(16)
            _, error = agent.update(window)
            replay.update_priorities(window.index, error)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@left_as_it_was()
@pytest.mark.parametrize("mode", ["off", "graph", "cudagraph"])
def test_the_updates_of_a_run_wait_for_nothing_on_a_gpu(mode: str, tmp_path: Path) -> None:
    values = {"env.name": "Pendulum-v1", "device": "cuda", "compile": mode, "train.warmup": 20, "threads": 1}
    run = resolve(override(apply("sac+tiny", Run()), values | {"log.diagnostics": None}))
    trainer = Trainer(run, "Pendulum-v1", tmp_path)
    while trainer.count.updates < 2 * WARM_UPS:
        trainer.advance()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            trainer.update()
    finally:
        torch.cuda.set_sync_debug_mode("default")
        trainer.close()
