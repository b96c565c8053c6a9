"""Every pair of recipes: trained together, or refused with a sentence."""

import itertools
import random
from collections import Counter
from functools import partial

import pytest
import torch
from torch.nn.functional import one_hot

from softrl.agent.agent import Agent
from softrl.agent.kinds import fitted
from softrl.errors import UserError
from softrl.math.chunks import marked
from softrl.recipes import RECIPES, apply, find
from softrl.run.config import Run
from softrl.run.fields import flat
from softrl.types import Spec, Window

SPACES = [Spec({}, 2), Spec({}, 0, (3,)), Spec({}, 2, (2, 3))]
"""Numbers, choices, both: a pair is tried on each until one accepts it."""


def worlds(run: Run) -> list[Spec]:
    """The spaces with what a run observes, its pictures small."""
    if run.env.pixels is None:
        return [spec._replace(obs={"state": (5,)}) for spec in SPACES]
    size, stack = min(run.env.pixels.size, 24), run.env.pixels.stack
    return [spec._replace(obs={"pixels": (3 * stack, size, size)}, stack=stack) for spec in SPACES]


NAMES = [name for name in RECIPES if name != "tiny"]
PAIRS = list(itertools.permutations(NAMES, 2))
SEEDED = random.Random(0).sample(PAIRS, 40)


def window(agent: Agent, seed: int, rows: int = 16) -> Window:
    """A batch of random decisions, or plans of decisions, in the spaces of the agent."""
    g, spec = torch.Generator().manual_seed(seed), agent.spec
    picks = [one_hot(torch.randint(n, (rows, spec.chunk), generator=g), n).float() for n in spec.choices]
    numbers = torch.rand(rows, spec.chunk, spec.continuous, generator=g).mul(2).sub(1)
    action = torch.cat([*picks, numbers], -1)
    if spec.chunk > 1:
        action = marked(action, torch.randint(1, spec.chunk + 1, (rows,), generator=g))
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
    )


def accepting(run: Run) -> Spec:
    """The first space in which the run's agent is possible; raises UserError with the last refusal."""
    *others, last = worlds(run)
    for spec in others:
        try:
            fitted(run.agent, spec).check(spec)
        except UserError:
            continue
        return spec
    fitted(run.agent, last).check(last)
    return last


def stacked(first: str, second: str) -> tuple[Run, Spec] | str:
    """The run of two recipes and a space for it, or the sentence that refuses them."""
    try:
        run = apply(f"{first}+{second}", Run())
        return run, accepting(apply(f"{first}+{second}+tiny", Run()))
    except UserError as error:
        return str(error)


def weights(agent: Agent) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in agent.state_dict().items() if not name.startswith("optim.")}


def moved(agent: Agent, before: dict[str, torch.Tensor], part: str) -> bool:
    now = agent.state_dict()
    return any(not torch.equal(now[name], old) for name, old in before.items() if name.startswith(part))


def verdict(first: str, second: str) -> str:
    """How a pair ends: trained or refused; anything else is an error of the test that asks."""
    run = stacked(first, second)
    if isinstance(run, str):
        assert " " in run
        assert len(run) > 30
        return "refused"
    small = apply(f"{first}+{second}+tiny", Run())
    torch.manual_seed(0)
    try:
        agent = small.agent.build(run[1])
    except UserError:  # known only once the trunk is there: its units cannot be told apart
        return "refused"
    before = weights(agent)
    for i in range(3):
        metrics, error = agent.update(window(agent, i))
        agent.plasticity.intervene(agent, window(agent, i), i + 1)
        assert all(torch.isfinite(value) for value in metrics.values()), metrics
        assert torch.isfinite(error).all()
    assert all(torch.isfinite(value).all() for value in agent.state_dict().values())
    parts = ["actor.", "critic."] + ["temperature.log_alpha"] * small.agent.temperature.learned
    parts += ["lookahead.target."] * any(name.startswith("lookahead.target.") for name in before)
    for part in parts:
        assert moved(agent, before, part), f"{part} has not moved"
    return "trained"


@pytest.mark.parametrize(
    "pairs", [random.Random(1).sample(PAIRS, 150), pytest.param(PAIRS, marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_no_pair_is_refused_without_a_sentence_and_none_loses_what_defines_it(pairs: list[tuple[str, str]]) -> None:
    counts: Counter[str] = Counter()
    alone = {name: flat(apply(name, Run())) for name in NAMES}
    for first, second in pairs:
        run = stacked(first, second)
        counts["refused" if isinstance(run, str) else "accepted"] += 1
        if isinstance(run, str):
            assert not run.endswith("."), run
            continue
        values = flat(run[0])
        for name in (first, second):
            assert {path: values[path] for path in find(name).defines} == {
                path: alone[name][path] for path in find(name).defines
            }
    print(dict(counts))
    assert counts["accepted"] > counts["refused"] > 0


@pytest.mark.parametrize(("first", "second"), SEEDED, ids=["+".join(pair) for pair in SEEDED])
def test_a_seeded_pair_trains_or_is_refused(first: str, second: str) -> None:
    assert verdict(first, second) in ("trained", "refused")


@pytest.mark.slow
def test_every_pair_trains_or_is_refused() -> None:
    counts = Counter(verdict(first, second) for first, second in PAIRS)
    print(dict(counts))
    assert counts["trained"] > counts["refused"]


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_alone_trains(name: str) -> None:
    assert verdict("sac", name) == "trained" if name != "sac" else True
