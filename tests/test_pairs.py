"""Every pair of recipes: trained together, or refused with a sentence."""

import copy
import dataclasses
import itertools
import random
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import one_hot

from softrl.agent.action_space import adapt_to_action_space
from softrl.agent.agent import Agent
from softrl.agent.compile import compiled
from softrl.agent.config import AgentConfig
from softrl.agent.lookahead import Joint
from softrl.agent.plasticity import ContinualBackprop, ReDo, Reset, ShrinkAndPerturb
from softrl.errors import UserError
from softrl.math.chunks import masked
from softrl.math.rules import Average, Minimum, SubsetMinimum, Truncate
from softrl.nn.augment import Shift
from softrl.nn.auxiliary import Contrast, Reconstruction
from softrl.nn.normalize import ReturnScale
from softrl.recipes import RECIPES, apply, find
from softrl.run.config import Run
from softrl.run.fields import get, override
from softrl.run.kinds import show
from softrl.types import Spec, Window

SPACES = [Spec({}, 2), Spec({}, 0, (3,)), Spec({}, 2, (2, 3))]
"""Numbers, choices, both: a pair is tried on each until one accepts it."""


def worlds(run: Run) -> list[Spec]:
    """The spaces with what a run observes."""
    if run.env.pixels is None:
        return [spec._replace(obs={"state": (5,)}) for spec in SPACES]
    size, stack = run.env.pixels.size, run.env.pixels.stack
    return [spec._replace(obs={"pixels": (3 * stack, size, size)}, stack=stack) for spec in SPACES]


NAMES = [name for name in RECIPES if name != "tiny"]
PAIRS = list(itertools.permutations(NAMES, 2))
SEEDED = random.Random(0).sample(PAIRS, 40)
COUNTED = "counted"
"""The property under which a test tells what it counted; all are printed at the end."""
SOON: dict[type, dict[str, float]] = {
    Reset: {"every": 3},
    ShrinkAndPerturb: {"every": 3},
    ReDo: {"every": 3, "threshold": 0.9},
    ContinualBackprop: {"maturity": 1, "rate": 0.5},
}
"""Interventions that do not wait for a thousand updates."""


def window(agent: Agent, seed: int, rows: int = 16) -> Window:
    """A batch of random decisions, or plans of decisions, in the spaces of the agent."""
    g, spec = torch.Generator().manual_seed(seed), agent.spec
    picks = [one_hot(torch.randint(n, (rows, spec.chunk), generator=g), n).float() for n in spec.choices]
    numbers = torch.rand(rows, spec.chunk, spec.continuous, generator=g).mul(2).sub(1)
    action = torch.cat([*picks, numbers], -1)
    if spec.chunk > 1:
        action = masked(action, torch.randint(1, spec.chunk + 1, (rows,), generator=g))
    length = spec.sequence or 1
    if spec.sequence:
        action = action.expand(rows, length, -1)
    draws = {"state": torch.randn, "pixels": partial(torch.randint, 256, dtype=torch.uint8)}
    flags = torch.zeros(rows, length, dtype=torch.bool)
    return Window(
        {name: draws[name]((rows, max(length, 2), *shape), generator=g) for name, shape in spec.obs.items()},
        action,
        torch.randn(rows, length, generator=g),
        torch.full((rows, length), 0.99),
        flags,
        torch.ones(rows),
        torch.arange(rows),
        flags if spec.sequence else None,
        torch.arange(rows) % 3 == 0 if spec.best else None,
    )


def accepting(run: Run, home: int = 0) -> Spec:
    """The first space in which the run's agent is possible; raises UserError with the refusal of the space `home`."""
    refusals = []
    for spec in worlds(run):
        try:
            adapt_to_action_space(run.agent, spec).check(spec)
        except UserError as error:
            refusals.append(error)
        else:
            return spec
    raise refusals[home]


@cache
def home(recipe: str) -> int:
    """The place in SPACES of the first that the recipe is for."""
    run = apply(recipe, Run())
    return worlds(run).index(accepting(run))


def stacked(first: str, second: str, env: str = "") -> tuple[Run, Spec] | str:
    """The run of two recipes and a space for it, or the sentence that refuses them."""
    try:
        run = apply(f"{first}+{second}", override(Run(), {"env.name": env}))
        spec = accepting(run, home(first))
        run.replay.check(spec._replace(chunk=run.agent.chunk.length, sequence=run.agent.encoder.sequence), Path())
    except UserError as error:
        return str(error)
    return run, spec


def weights(agent: Agent) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in agent.state_dict().items() if not name.startswith("optim.")}


def moved(agent: Agent, before: dict[str, torch.Tensor], part: str) -> bool:
    now = agent.state_dict()
    return any(not torch.equal(now[name], old) for name, old in before.items() if name.startswith(part))


def verdict(first: str, second: str) -> tuple[str, str]:
    """How a pair ends, trained or refused, and the sentence that refuses it; anything else is an error."""
    run = stacked(first, second)
    if isinstance(run, str):
        assert " " in run
        assert len(run) > 30
        return "refused", run
    small = apply(f"{first}+{second}+tiny", Run())
    soon = dataclasses.replace(small.agent.plasticity, **SOON.get(type(small.agent.plasticity), {}))
    torch.manual_seed(0)
    try:
        agent = dataclasses.replace(small.agent, plasticity=soon).build(accepting(small))
    except UserError as error:  # known only once the trunk is there: its units cannot be told apart
        return "refused", str(error)
    before = weights(agent)
    for i in range(3):
        finite_update(agent, i)
    parts = ["actor.", "critic."] + ["temperature.log_alpha"] * small.agent.temperature.learned
    parts += ["lookahead.target."] * any(name.startswith("lookahead.target.") for name in before)
    parts += ["explorer."] * any(weight.requires_grad for weight in agent.explorer.parameters())
    for part in parts:
        assert moved(agent, before, part), f"{part} has not moved"
    learned = weights(agent)
    for done in (1, 2, 3):
        agent.intervene(window(agent, done), done)
    assert type(soon) not in SOON or moved(agent, learned, "critic."), "the intervention does nothing"
    finite_update(agent, 3)
    return "trained", ""


def finite_update(agent: Agent, seed: int) -> None:
    """One update that leaves nothing but numbers."""
    metrics, error = agent.update(window(agent, seed))
    assert all(torch.isfinite(value) for value in metrics.values()), metrics
    assert torch.isfinite(error).all()
    assert all(torch.isfinite(value).all() for value in agent.state_dict().values())


def pace(run: Run) -> float:
    """Steps of the policy a decision."""
    return run.train.updates_per_decision / run.train.actor_every


TASKS = ("cheetah_run", "Hopper-v5")
"""Environments for which recipes have values of their own."""
IS: dict[str, Callable[[AgentConfig], bool]] = {
    "droq": lambda agent: agent.critic.trunk.dropout > 0 and agent.critic.trunk.norm == "layer",  # type: ignore
    "redq": lambda agent: agent.critic.members == 10 and isinstance(agent.target_rule, SubsetMinimum),
    "sac_n": lambda agent: agent.critic.members == 10 and isinstance(agent.target_rule, Minimum),
    "tqc": lambda agent: agent.critic.members == 5 and isinstance(agent.target_rule, Truncate),
    "crossq": lambda agent: isinstance(agent.lookahead, Joint),
    "c51": lambda agent: isinstance(agent.reward_scale, ReturnScale),
    "bro": lambda agent: agent.plasticity.every is None and agent.critic.trunk.activation == "relu",  # type: ignore
    "bro_mlp": lambda agent: agent.critic.trunk.activation == "relu2",  # type: ignore
    "resets": lambda agent: isinstance(agent.plasticity, Reset) and agent.plasticity.every is not None,
    "sac_ae": lambda agent: isinstance(agent.encoder.auxiliary, Reconstruction),  # type: ignore
    "sac_pixels": lambda agent: not isinstance(agent.encoder.auxiliary, (Reconstruction, Contrast)),  # type: ignore
    "curl": lambda agent: isinstance(agent.encoder.auxiliary, Contrast),  # type: ignore
    "drq": lambda agent: isinstance(agent.encoder.augmentation, Shift),  # type: ignore
    "smac": lambda agent: agent.encoder.latents == 33,
}
"""What some recipes are, said once more by hand."""


FREE = {"hidden", "tau", "value"}
"""Widths, a rate and a temperature: a later recipe may set them inside what defines another, and says so."""


def definition(name: str, run: Run) -> dict[str, Any]:
    """The entries that define a recipe, as a run of it alone has them, and what it gives to parts among these."""
    entries = {path: get(run, path) for path in find(name).defines}
    given = {
        f"{path}.{field.name}": getattr(part, field.name)
        for path, part in entries.items()
        if dataclasses.is_dataclass(part)
        for field in dataclasses.fields(part)
        if field.default is not dataclasses.MISSING and field.name not in FREE
        if getattr(part, field.name) != field.default
    }
    return entries | given


@pytest.mark.parametrize(
    ("env", "stride"),
    [("", 1), *((env, 7) for env in TASKS), *(pytest.param(env, 1, marks=pytest.mark.slow) for env in TASKS)],
)
def test_no_pair_is_refused_without_a_sentence_and_none_loses_what_defines_it(
    env: str, stride: int, record_property: Any
) -> None:
    counts: Counter[str] = Counter()
    alone = {name: apply(find(name).complete_name, override(Run(), {"env.name": env})) for name in NAMES}
    definitions = {name: definition(name, alone[name]) for name in NAMES}
    for first, second in PAIRS[::stride]:
        run = stacked(first, second, env)
        counts["refused" if isinstance(run, str) else "accepted"] += 1
        if isinstance(run, str):
            assert not run.endswith("."), run
            continue
        slower = min(pace(alone[first]), pace(alone[second]))
        # A third is what the delay of one recipe makes of the updates of the other.
        assert pace(run[0]) >= 0.99 * slower / 3, f"{first}+{second} starves the policy"
        for name in (first, second):
            for path, value in definitions[name].items():
                assert show(get(run[0], path)) == show(value), f"{first}+{second} is no {name}: {path}"
            assert IS.get(name, lambda agent: True)(run[0].agent), f"{first}+{second} is no {name}"
    for outcome, count in counts.items():
        record_property(COUNTED, (f"pairs {outcome} in {env or 'any task'}", count))
    assert counts["accepted"] > counts["refused"] > 0


def test_the_first_recipe_keeps_what_defines_it_where_a_task_says_otherwise() -> None:
    """SimBa takes one critic on DeepMind Control, of which the truncation of five has no use."""
    run = apply("tqc+simba", override(Run(), {"env.name": "cheetah_run"}))
    assert (run.agent.critic.members, run.env.repeat) == (5, 2)
    assert apply("simba", override(Run(), {"env.name": "cheetah_run"})).agent.critic.members == 1


@pytest.mark.parametrize("name", ["swimmer_swimmer6", "lqr_lqr_2_1", "make_env"])
def test_tasks_of_deepmind_control_are_known_by_name(name: str) -> None:
    assert (apply("simba", override(Run(), {"env.name": name})).env.repeat == 2) == (name != "make_env")


@pytest.mark.parametrize("rules", ["redq", "tqc", "sac_n"])
def test_the_update_of_2018_follows_the_rule_of_the_target(rules: str) -> None:
    """The state value's target is made with it, so another rule gives other weights."""
    run = apply(f"sac_v1+{rules}+tiny", Run())
    plain = dataclasses.replace(run.agent, target_rule=Average())
    after = []
    for config in (run.agent, plain):
        torch.manual_seed(0)
        agent = config.build(Spec({"state": (5,)}, 2))
        torch.manual_seed(1)
        agent.update(window(agent, 0))
        after.append(agent.lookahead.state_dict())
    assert any(not torch.equal(after[0][name], after[1][name]) for name in after[0])


@pytest.mark.parametrize(("first", "second"), SEEDED, ids=["+".join(pair) for pair in SEEDED])
def test_a_seeded_pair_trains_or_is_refused(first: str, second: str, record_property: Any) -> None:
    outcome, _ = verdict(first, second)  # which asserts
    record_property(COUNTED, (f"seeded pairs {outcome}", 1))


@pytest.mark.parametrize("policy", ["sac_discrete", "sd_sac", "ddsac", "beta", "deterministic", "gsde"])
def test_policies_of_every_kind_train_from_pixels(policy: str) -> None:
    assert verdict(policy, "drq") == verdict("drq", policy) == ("trained", "")


@pytest.mark.slow
def test_every_pair_trains_or_is_refused(record_property: Any) -> None:
    counts = Counter(verdict(first, second)[0] for first, second in PAIRS)
    for outcome, count in counts.items():
        record_property(COUNTED, (f"all pairs {outcome}", count))
    assert counts["trained"] > counts["refused"]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "sac"])
def test_every_recipe_trains_on_what_it_stands_on(name: str) -> None:
    assert verdict(find(name).on or "sac", name) == ("trained", "")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_update_is_one_graph_and_agrees_with_eager(name: str) -> None:
    """Traced without a C++ compiler; `fullgraph=True` raises at any graph break.

    Weights, metrics and errors are compared after one update: from the second on, batch norm at these sizes makes a
    thousandth of one rounding error.
    """
    small = apply(f"{find(name).complete_name}+tiny", Run())
    torch.manual_seed(0)
    eager = small.agent.build(accepting(small))
    graph = copy.deepcopy(eager)
    torch._dynamo.reset()
    with torch._dynamo.config.patch(trace_autograd_ops=True):
        step = torch.compile(graph.update_fn, fullgraph=True, backend="eager")
        for seed in range(2):
            torch.manual_seed(seed)
            expected, expected_error = eager.update(window(eager, seed))
            torch.manual_seed(seed)
            metrics, error = step(graph, window(graph, seed))
            assert metrics.keys() == expected.keys()
            if seed == 0:
                torch.testing.assert_close(metrics, expected, atol=1e-5, rtol=1e-4)
                torch.testing.assert_close(error, expected_error, atol=1e-5, rtol=1e-4)
                assert unlike(eager, graph) < 1e-3  # where a gradient is a rounding error, as of xqc's input norm
    assert all(value.isfinite().all() for value in graph.state_dict().values())


IN_OTHER_SPACES = ("sac_ae", "latent_sac+states", "qc_adaptive", "sac_discrete", "sac_hybrid")
"""Recipes that learn from pictures, sequences, plans or choices; `tests/agent/test_compile.py` has those of states."""


def unlike(one: Agent, other: Agent) -> float:
    """Share of all numbers in two states that differ by more than a hundred thousandth."""
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return float(torch.cat([((a.double() - b.double()).abs() > 1e-5).flatten() for a, b in pairs]).double().mean())


@pytest.mark.slow
@pytest.mark.parametrize("name", IN_OTHER_SPACES)
def test_a_compiled_update_in_another_space_agrees_with_eager(name: str) -> None:
    """With the compiler of training. Where a gradient is a rounding error, Adam makes a whole step of its sign.

    One update, as above.
    """
    small = apply(f"{name}+tiny", Run())
    torch.manual_seed(0)
    eager = small.agent.build(accepting(small))
    graph = copy.deepcopy(eager)
    step = compiled(graph.update_fn, "graph")
    torch.manual_seed(0)
    expected, expected_error = eager.update(window(eager, 0))
    torch.manual_seed(0)
    metrics, error = step(graph, window(graph, 0))
    torch.testing.assert_close(metrics, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(error, expected_error, atol=1e-4, rtol=1e-4)
    assert unlike(eager, graph) < 1e-2
