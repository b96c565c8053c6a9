"""The lists of benchmarks/lists: every line names a recipe and flags that there are, and a folder of its own."""

import sys
from pathlib import Path

import pytest

from softrl.cli.flags import split, switches
from softrl.cli.train import Options, configured, understood
from softrl.run.config import Run
from softrl.run.fields import override

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import jobs

BENCHMARKS = Path(jobs.__file__).parent
LISTS = sorted((BENCHMARKS / "lists").glob("*.txt"))


def runs(path: Path) -> list[Run]:
    """The configurations of a list's lines that train with softrl."""
    found = [split(job.words[2:], switches(Options()) | {"help"}) for job in jobs.read(path, Path()) if job.resumable]
    return [override(configured(words), understood(words)[1]) for words in found]


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.stem)
def test_every_line_is_understood(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEERS_PYTHON", "python")
    for run in runs(path):
        assert run.seed > 0  # 0 is for trying things out
        assert run.steps > run.train.warmup


def test_what_is_compared_differs_in_nothing_else() -> None:
    by_task: dict[str, set[tuple[int | None, int, int]]] = {}
    for run in runs(BENCHMARKS / "lists" / "worlds.txt"):
        kind = "pixels" if run.env.pixels else "states"
        by_task.setdefault(f"{run.env.name} from {kind}", set()).add((run.env.repeat, run.steps, run.train.warmup))
    assert {len(settings) for settings in by_task.values()} == {1}
    assert len(by_task) == 5


def test_only_the_entropy_of_the_target_differs() -> None:
    """The other half are runs of worlds.txt, further."""
    same = {"steps": 1, "seed": 1, "agent.encoder.particles.entropy": "marginal"}
    found = runs(BENCHMARKS / "lists" / "entropies.txt")
    assert [(run.agent.encoder.particles.entropy, run.seed) for run in found] == [("marginal", 1), ("marginal", 2)]  # type: ignore[union-attr]
    [marginal] = {override(run, same) for run in found}
    further = [
        run
        for run in runs(BENCHMARKS / "lists" / "worlds.txt")
        if run.recipe == marginal.recipe and run.env == marginal.env and run.steps > found[0].steps
    ]
    assert {(run.agent.encoder.particles.entropy, run.seed) for run in further} == {
        ("conditional", 1),
        ("conditional", 2),
    }
    assert {override(run, same) for run in further} == {marginal}


def test_the_best_are_trained_as_they_were_chosen() -> None:
    same = {"env.name": "HalfCheetah-v4", "seed": 1}
    names = ("half_hour.txt", "best_three.txt")
    chosen, best = ({override(run, same) for run in runs(BENCHMARKS / "lists" / name)} for name in names)
    assert {run.recipe for run in best} == {"flashsac", "xqc", "crossq", "sac"}
    assert len(best) == 4
    assert best < chosen
