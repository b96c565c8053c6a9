"""Compiled updates are one graph and agree with eager ones."""

import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from softrl.agent import compile as compiling
from softrl.agent.agent import Agent
from softrl.agent.capture import Captured
from softrl.agent.compile import compiled, guards_of_the_call, launched, packed, with_own_code_object
from softrl.agent.config import AgentConfig
from softrl.errors import UserError
from softrl.recipes import apply
from softrl.run.config import Run
from softrl.types import Spec, Window

SPEC = Spec({"state": (5,)}, 2)
FAST = ("tqc+l2_init",)


def window(seed: int, batch: int = 64) -> Window:
    g = torch.Generator().manual_seed(seed)
    return Window(
        {"state": torch.randn(batch, 2, 5, generator=g)},
        torch.rand(batch, 1, 2, generator=g),
        torch.randn(batch, 1, generator=g),
        torch.full((batch, 1), 0.99),
        torch.zeros(batch, 1, dtype=torch.bool),
        torch.ones(batch),
        torch.arange(batch),
    )


def difference(one: Agent, other: Agent) -> float:
    """The largest over all tensors, each in units of its own largest entry where that is above 1."""
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return max(float((a - b).abs().max() / a.abs().max().clamp_min(1)) for a, b in pairs)


def small(recipe: str) -> AgentConfig:
    return apply(f"{recipe}+tiny", Run()).agent


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["sac", "sac_v1", "redq", "tqc", "hl_gauss", "bro", "simbav2", "crossq", "flashsac"])
def test_graph_equals_eager(recipe: str) -> None:
    """`fullgraph=True` raises at any graph break. Pictures, sequences, plans and choices: `tests/test_pairs.py`."""
    torch.manual_seed(0)
    eager = small(recipe).build(SPEC)
    graph = copy.deepcopy(eager)
    step = compiled(graph.update_fn, "graph")
    for i in range(6):
        flags = {"actor": i % 2 == 0, "follow": i % 3 == 0}
        torch.manual_seed(i)
        expected, expected_error = eager.update(window(i), **flags)
        torch.manual_seed(i)
        metrics, error = step(graph, window(i), **flags)
        torch.testing.assert_close(metrics, expected, atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(error, expected_error, atol=1e-4, rtol=1e-3)
    assert difference(eager, graph) < 3e-5  # Adam's first steps are as long for a gradient that is all rounding


@pytest.mark.parametrize("recipe", FAST)
def test_the_update_is_one_graph(recipe: str) -> None:
    """Traced without a C++ compiler; `fullgraph=True` raises at any graph break. All recipes: `tests/test_pairs.py`."""
    torch._dynamo.reset()
    agent = small(recipe).build(SPEC)
    before = agent.optim.value.count.clone()
    with torch._dynamo.config.patch(trace_autograd_ops=True):
        torch.compile(agent.update_fn, fullgraph=True, backend="eager")(agent, window(0))
    assert agent.optim.value.count == before + 1


def test_off_is_the_function_itself() -> None:
    agent = AgentConfig().build(SPEC)
    assert compiled(agent.update_fn, "off") is agent.update_fn


def test_several_updates_a_call_compile_the_single_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """And CUDA graphs hold what is compiled."""
    seen: list[Any] = []

    def traced(update: Any, mode: str, device: str) -> Any:
        seen.append(update)
        return lambda agent, batch, **flags: (mode, len(batch.reward), flags)

    monkeypatch.setattr(compiling, "traced", traced)
    step = AgentConfig().build(SPEC).update_fn
    answers = launched(step, "graph")(None, window(0, 6), actor=(True, False), follow=(False, True))
    assert answers == [("graph", 3, {"actor": True, "follow": False}), ("graph", 3, {"actor": False, "follow": True})]
    assert isinstance(compiled(step, "cudagraph", "cuda"), Captured)
    assert isinstance(launched(step, "cudagraph", "cuda"), Captured)
    assert seen == [step] * 3


@pytest.mark.parametrize("cuda", [False, True])
def test_kernels_are_called_from_cpp_where_the_agent_is_on_the_cpu(cuda: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether or not there is a GPU beside; and gradients are traced, in one graph or not at all."""
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(compiling, "compiler", lambda: "g++")
    monkeypatch.setattr(torch, "compile", lambda update, **options: told.append(options))
    with torch._dynamo.config.patch(trace_autograd_ops=False):
        for make in (compiled, launched):
            for device in ("cpu", "cuda"):
                make(lambda: None, "graph", device)
        assert torch._dynamo.config.trace_autograd_ops
    assert [options["options"]["cpp_wrapper"] for options in told] == [True, False] * 2
    assert all(options["fullgraph"] for options in told)


def test_without_a_compiler_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "compiler", lambda: None)
    for there, mode in ((False, "graph"), (True, "graph"), (True, "cudagraph")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        with pytest.raises(UserError, match=f"{mode} needs a C.. compiler .* g\\+\\+"):
            compiled(lambda: None, mode, "cuda" if there else "cpu")


def test_cuda_graphs_need_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="CUDA"):
        compiled(lambda: None, "cudagraph", "cuda")


def test_cuda_graphs_are_of_agents_on_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside an idle GPU too: the graph of an update on the processor is empty, and its replays learn nothing."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for make in (compiled, launched):
        with pytest.raises(UserError, match="is for --device cuda, and this is --device cpu"):
            make(lambda: None, "cudagraph", "cpu")


@pytest.mark.slow
def test_another_batch_or_flag_is_another_graph() -> None:
    """The guards that are left are those that tell calls apart."""
    torch.manual_seed(0)
    eager = AgentConfig().build(SPEC)
    graph = copy.deepcopy(eager)
    step = compiled(graph.update_fn, "graph")
    for i, (batch, flags) in enumerate([(64, {}), (32, {}), (64, {"actor": False}), (64, {})]):
        torch.manual_seed(i)
        eager.update(window(i, batch), **flags)
        torch.manual_seed(i)
        step(graph, window(i, batch), **flags)
    assert difference(eager, graph) < 1e-5


@pytest.mark.slow
def test_guards_that_are_left_are_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch names them: none of the agent's parts, all of the window and the flags."""
    torch._dynamo.reset()
    kept: list[str] = []

    def watched(guards: Sequence[Any]) -> list[bool]:
        answer = guards_of_the_call(guards)
        kept.extend(guard.name for guard, keep in zip(guards, answer, strict=True) if keep)
        return answer

    agent = small("sac").build(SPEC)
    with torch._dynamo.config.patch(trace_autograd_ops=True):
        step = torch.compile(packed(agent.update_fn), backend="eager", options={"guard_filter_fn": watched})
        step(agent, window(0), actor=True, follow=False)
    assert len(kept) < 40
    for name in ("window.reward", "window.obs['state']", "flags['actor']", "flags['follow']"):
        assert any(name in guard.replace("L['window']", "window").replace("L['flags']", "flags") for guard in kept), (
            name
        )
    assert not any(guard.startswith(("agent", "L['agent']")) for guard in kept)


def test_what_is_compiled_for_one_agent_is_not_taken_for_another() -> None:
    def two(x: int, *, y: int = 2) -> int:
        return x * y

    one, other = with_own_code_object(two), with_own_code_object(two)
    assert one(3) == other(3) == 6
    assert one(3, y=5) == 15
    assert len({two.__code__, one.__code__, other.__code__}) == 3
