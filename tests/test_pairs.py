"""Every pair of recipes: trained together, or refused with a sentence."""

import itertools
import random
from collections import Counter

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

SPECS = [Spec({"state": (5,)}, 2), Spec({"state": (5,)}, 0, (3,)), Spec({"state": (5,)}, 2, (2, 3))]
"""Numbers, choices, both: a pair is tried on each until one accepts it."""
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
    return Window(
        {"state": torch.randn(rows, 2, 5, generator=g)},
        action,
        torch.randn(rows, 1, generator=g),
        torch.full((rows, 1), 0.99),
        torch.zeros(rows, 1, dtype=torch.bool),
        torch.ones(rows),
        torch.arange(rows),
    )


def accepting(run: Run) -> Spec:
    """The first space in which the run's agent is possible; raises UserError with the last refusal."""
    for spec in SPECS[:-1]:
        try:
            fitted(run.agent, spec).check(spec)
        except UserError:
            continue
        return spec
    fitted(run.agent, SPECS[-1]).check(SPECS[-1])
    return SPECS[-1]


def stacked(first: str, second: str) -> tuple[Run, Spec] | str:
    """The run of two recipes and a space for it, or the sentence that refuses them."""
    try:
        run = apply(f"{first}+{second}", Run())
        return run, accepting(run)
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
    "pairs", [random.Random(1).sample(PAIRS, 500), pytest.param(PAIRS, marks=pytest.mark.slow)], ids=["some", "all"]
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
