"""Captured updates against eager ones, with a stand-in for CUDA graphs that notes a call and does it again."""

import copy
import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import torch._dynamo.testing
from torch import Tensor

from softrl.agent.agent import Agent
from softrl.agent.capture import WARM_UPS, Captured, CudaGraph, Graph, in_turn, parts, recorded, tensors
from softrl.agent.compile import packed
from softrl.errors import UserError
from softrl.recipes import apply
from softrl.run.config import Run
from softrl.types import Spec, Window

SPEC = Spec({"state": (5,)}, 2)


class Rehearsal:
    """Notes a call as a CUDA graph does: no state changes, and replays put their results where the first ones lie."""

    def __init__(self, agent: Agent, diary: list[str]) -> None:
        self.agent, self.diary = agent, diary

    def warm(self, call: Callable[[], Any]) -> Any:
        self.diary.append("warm")
        return call()

    def record(self, call: Callable[[], Any]) -> Any:
        self.diary.append("record")
        state, numbers = copy.deepcopy(self.agent.state_dict()), torch.get_rng_state()
        self.call, self.result = call, call()
        self.agent.load_state_dict(state)
        torch.set_rng_state(numbers)
        for place in found(self.result):
            place.zero_()  # nothing was done yet
        return self.result

    def replay(self) -> None:
        self.diary.append("replay")
        for place, value in zip(found(self.result), found(self.call()), strict=True):
            place.copy_(value)


def found(answer: Any) -> list[Tensor]:
    """The tensors in an answer."""
    if isinstance(answer, Tensor):
        return [answer]
    return [tensor for part in answer for tensor in found(part)] if isinstance(answer, (list, tuple)) else []


def agents(recipe: str = "sac") -> tuple[Agent, Agent]:
    agent = apply(f"{recipe}+tiny", Run()).agent.build(SPEC)
    return agent, copy.deepcopy(agent)


def equal(one: Agent, other: Agent) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def rehearsed(function: Callable[..., Any], agent: Agent) -> tuple[Captured, list[str]]:
    diary: list[str] = []

    def graph() -> Graph:
        return Rehearsal(agent, diary)

    return Captured(function, graph), diary


@pytest.mark.parametrize("recipe", ["sac", "redq", "crossq", "simbav2"])
def test_every_call_is_one_update(recipe: str, window: Callable[..., Window]) -> None:
    eager, other = agents(recipe)
    step, diary = rehearsed(packed(other.update_fn), other)
    for i in range(9):
        batch, flags = window(), {"actor": i % 2 == 0, "follow": True}
        torch.manual_seed(i)
        expected = packed(eager.update_fn)(eager, batch, **flags)
        torch.manual_seed(i)
        names, values, error = step(other, batch, **flags)
        assert names == expected[0]
        assert torch.equal(values, expected[1])
        assert torch.equal(error, expected[2])
        assert equal(eager, other)
    assert diary.count("record") == len(step.launches) == 2  # with the actor and without
    assert diary.count("warm") == 2 * WARM_UPS
    assert diary.count("replay") == 9 - 2 * WARM_UPS


def test_a_recording_is_of_one_agent_one_shape_and_one_set_of_flags(window: Callable[..., Window]) -> None:
    one, other = agents()
    seen: list[int] = []

    def look(agent: Agent, batch: Window, **flags: bool) -> Tensor:
        seen.append(batch.reward.data_ptr())
        return batch.reward.sum() * 1.0

    step, _ = rehearsed(look, one)
    for _ in range(WARM_UPS + 2):
        for rows in (4, 8):
            batch = window(rows)
            assert torch.equal(step(one, batch, actor=True), batch.reward.sum())
    assert len(step.launches) == len(step.windows) == 2
    assert len(set(seen)) == 2  # windows are read where they were the first time
    step(one, window(4), actor=False)
    step(other, window(4), actor=True)
    assert len(step.launches) == 4
    assert len(step.windows) == 2


def test_nothing_is_held_that_nobody_uses(window: Callable[..., Window]) -> None:
    """A cycle would keep the memory of a GPU until python looks for cycles."""
    agent, _ = agents()
    step, _ = rehearsed(lambda agent, batch: batch.reward.sum(), agent)
    step(agent, window())
    left = [weakref.ref(thing) for thing in (step, *next(iter(step.windows.values())).obs.values())]
    gc.disable()
    try:
        del step
        assert [thing() for thing in left] == [None, None]
    finally:
        gc.enable()


def test_a_recording_that_fails_leaves_its_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch leaves it only where the recording ends well; other threads' work must not end it."""
    entered: list[Any] = []

    @contextmanager
    def stream(which: str) -> Iterator[None]:
        entered.append(which)
        try:
            yield
        finally:
            entered.append(f"left {which}")

    @contextmanager
    def graph(*_: Any, capture_error_mode: str) -> Iterator[None]:
        entered.append(capture_error_mode)
        yield
        raise RuntimeError("not permitted when stream is capturing")

    for name, stand_in in {
        "stream": stream,
        "graph": graph,
        "current_stream": lambda: "here",
        "CUDAGraph": lambda: None,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    with pytest.raises(UserError, match="cannot be a CUDA graph"):
        recorded(CudaGraph("pool", "side"), lambda: None)
    assert entered == ["here", "thread_local", "left here"]


def test_the_window_of_the_caller_is_left_alone(window: Callable[..., Window]) -> None:
    agent, _ = agents()
    step, _ = rehearsed(lambda agent, batch: batch.reward.zero_(), agent)
    batch = window()
    before = batch.reward.clone()
    step(agent, batch)
    assert torch.equal(batch.reward, before)


def test_an_update_that_waits_for_the_device_is_refused_with_a_way_out(window: Callable[..., Window]) -> None:
    agent, _ = agents()

    class Refusing(Rehearsal):
        def record(self, call: Callable[[], Any]) -> Any:
            raise RuntimeError("operation not permitted when stream is capturing")

    step = Captured(lambda agent, batch: batch.reward, lambda: Refusing(agent, []))
    for _ in range(WARM_UPS):
        step(agent, window())
    with pytest.raises(UserError, match="--compile graph"):
        step(agent, window())


@pytest.mark.parametrize("recipe", ["sac", "redq", "sac_v1", "simbav2"])
def test_several_updates_in_a_call_equal_as_many_calls(recipe: str, window: Callable[..., Window]) -> None:
    one, other = agents(recipe)
    several = in_turn(packed(other.update_fn))
    for turn in range(2):
        batch = window(3 * 8)
        actor, follow = (False, True, False), (True, False, True)
        torch.manual_seed(turn)
        expected = [
            packed(one.update_fn)(one, part, actor=a, follow=f)
            for part, a, f in zip(parts(batch, 3), actor, follow, strict=True)
        ]
        torch.manual_seed(turn)
        answers = several(other, batch, actor=actor, follow=follow)
        for (names, values, error), (known, numbers, gap) in zip(answers, expected, strict=True):
            assert names == known
            assert torch.equal(values, numbers)
            assert torch.equal(error, gap)
    assert equal(one, other)


def test_several_updates_are_one_recording(window: Callable[..., Window]) -> None:
    eager, other = agents()
    step, diary = rehearsed(in_turn(packed(other.update_fn)), other)
    for i in range(WARM_UPS + 2):
        batch, flags = window(32), {"actor": (False, True), "follow": (True, True)}
        torch.manual_seed(i)
        in_turn(packed(eager.update_fn))(eager, batch, **flags)
        torch.manual_seed(i)
        step(other, batch, **flags)
    assert equal(eager, other)
    assert diary == [*["warm"] * WARM_UPS, "record", "replay", "replay"]


def test_one_compiled_update_serves_launches_of_one_and_of_several(window: Callable[..., Window]) -> None:
    """Replay's windows are views with strides of their own; what is read from a launch's copies has always the same."""
    counter = torch._dynamo.testing.CompileCounter()

    @torch.compile(backend=counter, dynamic=False)
    def update(agent: Any, batch: Window, *, actor: bool) -> Tensor:
        return batch.reward.sum() + batch.obs["state"].sum()

    step, _ = rehearsed(in_turn(update), agents()[0])
    for rows in (8, 24, 8, 16):
        batch = window(rows)
        strided = batch.obs["state"].transpose(0, 1).contiguous().transpose(0, 1)
        flags = {"actor": (True,) * (rows // 8)}
        answers = step(None, batch._replace(obs={"state": strided}), **flags)
        assert torch.allclose(sum(answers), batch.reward.sum() + strided.sum(), atol=1e-4)
    assert counter.frame_count == 1


def test_parts_are_the_rows_in_order(window: Callable[..., Window]) -> None:
    batch = window(12)._replace(last=torch.arange(12)[:, None] > 5)
    split = parts(batch, 3)
    for values, *pieces in zip(tensors(batch), *map(tensors, split), strict=True):
        assert torch.equal(torch.cat(pieces), values)
        assert all(len(piece) == 4 for piece in pieces)
    assert split[0]._fields == batch._fields
    assert parts(batch, 1) == [batch]
    assert parts(window(4), 2)[0].last is None


@pytest.mark.gpu
def test_a_cuda_graph_equals_eager_updates(window: Callable[..., Window]) -> None:
    eager, other = (agent.cuda() for agent in agents())
    step = Captured(in_turn(packed(other.update_fn)))
    for i in range(WARM_UPS + 3):
        batch = window(32)
        there = batch._replace(
            obs={name: value.cuda() for name, value in batch.obs.items()},
            **{name: value.cuda() for name, value in batch._asdict().items() if isinstance(value, Tensor)},
        )
        flags = {"actor": (False, True), "follow": (True, True)}
        torch.manual_seed(i)
        in_turn(packed(eager.update_fn))(eager, there, **flags)
        torch.manual_seed(i)
        step(other, there, **flags)
    pairs = zip(eager.state_dict().values(), other.state_dict().values(), strict=True)
    assert max(float((a - b).abs().max()) for a, b in pairs) < 1e-6
