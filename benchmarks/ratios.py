"""What the raw numbers of benchmarks/results/speed say: ratios, with their ranges and targets."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from raw import Row, Turn, by_name, flag, joined, newest, parts, read, single

from softrl.bench.settings import told

TARGETS = {
    "sac": {"sb3": 2.3, "torchrl": 2.3, "torchrl compiled": 2.3, "sbx": 1.6},
    "tqc": {"sb3": 3.0},
    "tqc_2": {"sbx": 1.2},
    "crossq": {"sb3": 3.0, "sbx": 1.2},
    "droq": {"sbx": 1.2},
    "redq": {"torchrl": 3.0, "torchrl compiled": 3.0},
}
"""What each recipe's loop is to be at least, times its peers'."""
SET = {"tqc_2": ("tqc", {"agent.critic.members": 2})}
"""What is no recipe by itself but one with other settings, as a peer has them."""
IN_BFLOAT16 = TARGETS | {"sac": {"sb3": 3.0, "torchrl": 3.0, "torchrl compiled": 3.0, "sbx": 2.2}}
"""The same where our products are in bfloat16."""
ON_GPU = {"sb3": 8.0, "torchrl": None, "torchrl compiled": 1.5, "torchrl CUDA graph": 1.5}
"""What our updates a second are to be at least on a GPU, times the peers'; a CUDA graph is what TorchRL compiles to."""
OURS, OURS_IN_BFLOAT16, OURS_AT_ONCE = "softrl", "softrl bfloat16", "softrl 16 a launch"
UPDATES = {"compiled": 1.1, "CUDA graph": 1.1, "eager": None, "bfloat16": 0.65, "replay sample": None}
"""What the parts of an update of `sac` may take at most, over the floor in float32."""
RECIPE_OVER_FLOOR = 1.5
"""What a recipe's compiled update may take at most, over its own floor."""
SHARES = {"acting": 0.05, "outside the update": 0.15}
"""What may take at most which share of a step."""
WAITING = 0.05
"""The share of a step from pixels that may be spent waiting for the environment."""
SAMPLING = 0.15
"""What fetching a sample from replay and moving its pictures may take of the time of both and the rest of an update."""
HEAVY = {
    "pixels": {"floor": 1.3, "plain": 1.5},
    "dreamer": {"floor": 1.6, "plain": 1.5},
    "latent_sac": {"floor": 1.6},
    "smac": {"floor": 1.6},
}
"""Tables of `benchmarks/heavy.py`: what a compiled or eager update may take at most over its floor, and is to save."""
PARTICLES = {"smac_8": 1.1, "smac_16": 1.2, "smac_32": 1.4}
"""What an update of `smac` may take at most over one of `latent_sac`, by the number of further latents."""
FIRST_CALL = "s for the first"
"""Column with what compiling takes."""
WORKERS = ("sync", "async", "envpool")
"""Kinds of workers that environments run in side by side."""
SIDE_BY_SIDE = {
    "env steps/s in training": ("training", 1),
    "decisions/s alone": ("stepping", 0),
    "updates a step": ("updates", 2),
}
"""Columns of their table: those of the raw numbers, and digits."""
LEAST = 3
"""Turns of a contender below which a measurement says too little."""
PEERS = {
    "sb3": "Stable-Baselines3",
    "sbx": "SBX",
    "torchrl": "TorchRL",
    "torchrl compiled": "compiled TorchRL",
    "torchrl CUDA graph": "TorchRL in a CUDA graph",
}
APART = 2.0
"""How many times the median, or as small a share of it, a turn may be where a verdict is to say anything."""
CANNOT = "not measured: the processor has no bfloat16 instructions"


class Figure(NamedTuple):
    """One line of a table."""

    family: str
    what: str
    ratios: tuple[float, ...]  # median, lowest, highest; nothing where it could not be measured
    target: float | None
    least: bool  # the target is what the ratio is to be at least, not at most
    turns: tuple[Turn, ...]
    more: Mapping[str, str]  # further columns

    @property
    def verdict(self) -> str:
        """Whether the target is met."""
        if not self.ratios:
            return CANNOT
        if self.target is None:
            return ""
        median, lowest, highest = self.ratios
        if highest > APART * median or lowest < median / APART:
            return "disturbed"
        return "yes" if (self.ratios[0] >= self.target) == self.least or self.ratios[0] == self.target else "no"

    @property
    def bound(self) -> str:
        """The target with its direction."""
        return "" if self.target is None else f"{'>=' if self.least else '<='} {self.target:g}"

    @property
    def spread(self) -> str:
        """The range of the ratios."""
        return f"{self.ratios[1]:.2f} to {self.ratios[2]:.2f}" if self.ratios else ""

    def sentence(self) -> str:
        """The line as it is printed after a measurement."""
        if not self.ratios:
            return f"{self.family}, {self.what}: {CANNOT}"
        word = {"yes": "met", "no": "missed"}.get(self.verdict, self.verdict)
        target = f"; target {self.bound}: {word}" if self.bound else ""
        more = "".join(f"; {value} {name}" for name, value in self.more.items())
        return f"{self.family}, {self.what}: {self.ratios[0]:.3f} ({self.spread}{target}){more}"


def figures(folder: Path) -> list[Figure]:
    """Every figure that the raw numbers in a folder give, from the newest measurement on each machine."""
    found = [figure for algorithm in TARGETS for figure in loops(folder, algorithm)]
    heavy = [figure for table in HEAVY for figure in updates_of(folder, table)]
    overheads = [figure for form in ("compiled", "eager") for figure in particles(folder, form)]
    many = [figure for kind in WORKERS for figure in environments(folder, kind)]
    rates = [figure for name in (OURS, OURS_AT_ONCE) for figure in updates_a_second(folder, name)]
    return [
        *found,
        *rates,
        *many,
        *shares(folder),
        *waiting(folder),
        *sampling(folder),
        *updates(folder),
        *recipes(folder),
        *heavy,
        *overheads,
    ]


# ------------------------------------------------------------ families


def loops(folder: Path, algorithm: str) -> Iterator[Figure]:
    """A recipe's loop against those of its peers."""
    trained = told(*SET.get(algorithm, (algorithm, {})))
    family, table = f"{trained}: environment steps a second, over a peer's", loop_table(algorithm)
    contenders = [(OURS, TARGETS), (OURS_IN_BFLOAT16, IN_BFLOAT16)]
    for name, targets in contenders:
        for peer, target in targets.get(algorithm, {}).items():
            what = f"{name} over {PEERS[peer]}"
            turns = joined(read(folder, table, name), read(folder, table, peer))
            for group in newest(turns, LEAST):
                ratios = [speed(ours) / speed(theirs) for ours, theirs in group]
                speeds = (statistics.median(map(speed, rows)) for rows in zip(*group, strict=True))
                more = {"env steps/s, ours and theirs": " and ".join(f"{value:.1f}" for value in speeds)}
                first = " and ".join(filter(None, map(first_call, zip(*group, strict=True))))
                more |= {FIRST_CALL: first} if first else {}
                yield Figure(family, f"{what}, {flag(group[0][0], '--env')}", spread(ratios), target, True, group, more)
            if not turns and name == OURS_IN_BFLOAT16:
                cannot = [group for group in newest(single(read(folder, table, OURS)), LEAST) if lacks(group)]
                yield from (Figure(family, what, (), target, True, group, {}) for group in cannot)


def updates_a_second(folder: Path, name: str) -> Iterator[Figure]:
    """The updates of `sac` that a second has room for, with a sample of replay and the log, against the peers'."""
    for peer, target in ON_GPU.items():
        for group in newest(joined(read(folder, "updates", name), read(folder, "updates", peer)), LEAST):
            ours, theirs = zip(*group, strict=True)
            column = "updates_per_second"
            ratios = [float(mine[column]) / float(other[column]) for mine, other in group]
            speeds = (statistics.median(float(row[column]) for row in rows) for rows in (ours, theirs))
            more = {
                "updates/s, ours and theirs": " and ".join(f"{value:.0f}" for value in speeds),
                FIRST_CALL: f"{first_call(ours)} and {first_call(theirs)}",
            }
            asked = target if group[0][0].get("gpu") and name == OURS else None
            what = f"{name} over {PEERS[peer]}, {flag(group[0][0], '--env')}"
            yield Figure("sac: updates a second", what, spread(ratios), asked, True, group, more)


def environments(folder: Path, kind: str) -> Iterator[Figure]:
    """Training in N environments, at a fixed number of updates a step, over training in the fewest in this process."""
    for group in newest(joined(read(folder, "envs", kind), read(folder, "envs", WORKERS[0])), LEAST):
        counts = [name.removeprefix("training ") for name, value in group[0][0].items() if value and "training" in name]
        family = f"sac: environment steps a second with N environments, over those with {counts[0]}"
        for count in counts:
            ratios = [float(row[f"training {count}"]) / float(base[f"training {counts[0]}"]) for row, base in group]
            more = {
                name: f"{statistics.median(float(row[f'{column} {count}']) for row, _ in group):.{digits}f}"
                for name, (column, digits) in SIDE_BY_SIDE.items()
            }
            what = f"{kind}, N = {count}, {flag(group[0][0], '--env')}"
            yield Figure(family, what, spread(ratios), None, True, group, more)


def shares(folder: Path) -> Iterator[Figure]:
    """What a step of `sac` spends on anything but learning."""
    for group in newest(single(read(folder, loop_table("sac"), OURS)), LEAST):
        found = {
            "acting": [float(row["ms act"]) / sum(parts(row).values()) for (row,) in group],
            "outside the update": [float(row["outside"]) for (row,) in group],
        }
        for what, values in found.items():
            yield Figure("sac: share of a step", what, spread(values), SHARES[what], False, group, {})


def waiting(folder: Path) -> Iterator[Figure]:
    """What a step from pixels spends on waiting for the next picture, which is drawn beside learning."""
    for name in (file.stem.removeprefix("waiting-") for file in sorted(folder.glob("waiting-*.csv"))):
        for group in newest(single(read(folder, "waiting", name)), LEAST):
            steps = [parts(row) for (row,) in group]
            values = [step["environment"] / sum(step.values()) for step in steps]
            took = {"ms": f"{statistics.median(sum(step.values()) for step in steps):.1f}"}
            what = f"{name}, {flag(group[0][0], '--env')}"
            yield Figure(
                "from pixels: share of a step spent waiting", what, spread(values), WAITING, False, group, took
            )


def sampling(folder: Path) -> Iterator[Figure]:
    """What it takes to have moved pictures to learn from, of that and the rest of an update."""
    for file in sorted(folder.glob("sampling-*-fetching.csv")):
        table, names = file.stem.removesuffix("-fetching"), (path.stem for path in folder.glob("sampling-*.csv"))
        recipe = table.removeprefix("sampling-")
        parts_of = [read(folder, table, name) for name in ("fetching", "moving")]
        forms = sorted({name.removeprefix(f"{table}-") for name in names if name.startswith(f"{table}-")})
        for form in (name for name in forms if name not in ("fetching", "moving")):
            for group in newest(joined(*parts_of, read(folder, table, form)), LEAST):
                times = [tuple(float(row["ms"]) for row in turn) for turn in group]
                shares = [(fetching + moving) / (fetching + update) for fetching, moving, update in times]
                took = {"ms": f"{statistics.median(fetching + moving for fetching, moving, _ in times):.1f}"}
                sizes = f"size {float(group[0][0]['size']):g}, batch {float(group[0][0]['batch']):g}"
                what = f"{recipe}, {form.replace('_', ' ')}"
                family = f"from pixels: share of fetching and moving pictures, {sizes}"
                yield Figure(family, what, spread(shares), SAMPLING, False, group, took)


def updates(folder: Path) -> Iterator[Figure]:
    """The update of `sac`, and a sample of replay, over the floor of the update's products."""
    family = "sac: update over the floor of its matrix products, in float32"
    for name, target in UPDATES.items():
        turns = single(read(folder, "update", name))
        for group in newest(turns, 1):
            yield over_floor(family, name, target, group, {})
        if not turns and name == "bfloat16":
            cannot = [group for group in newest(single(read(folder, "update", "compiled")), 1) if lacks(group)]
            yield from (Figure(family, name, (), target, False, group, {"ms": ""}) for group in cannot)


def recipes(folder: Path) -> Iterator[Figure]:
    """The compiled update of every recipe over the floor of its own products."""
    for name, rows in by_name(read(folder, "recipes", "update")).items():
        for group in newest(single(rows), 1):
            size = {"GFLOP": f"{float(group[-1][0]['gflop']):.2f}"}
            yield over_floor("recipes: update over its floor", name, RECIPE_OVER_FLOOR, group, size)


def updates_of(folder: Path, table: str) -> Iterator[Figure]:
    """The update of one recipe of `benchmarks/heavy.py` over its floor, and plain code over the update."""
    names = (file.stem.removeprefix(f"{table}-") for file in sorted(folder.glob(f"{table}-*.csv")))
    for name in (name for name in names if name not in ("floor", "plain")):
        ours = read(folder, table, name)
        for other in ("floor", "plain"):
            for group in newest(joined(ours, read(folder, table, other)), LEAST):
                times = [(float(mine["ms"]), float(other["ms"])) for mine, other in group]
                sizes = f"size {float(group[0][0]['size']):g}, batch {float(group[0][0]['batch']):g}"
                ratios = [mine / yardstick for mine, yardstick in times]
                took = {"ms": f"{statistics.median(mine for mine, _ in times):.1f}"}
                what = f"{name.replace('_', ' ')} over the floor"
                if other == "plain":
                    ratios, what = [1 / ratio for ratio in ratios], f"plain code over {name.replace('_', ' ')}"
                target = HEAVY[table].get(other)
                yield Figure(f"{table}: update, {sizes}", what, spread(ratios), target, other == "plain", group, took)


def particles(folder: Path, form: str) -> Iterator[Figure]:
    """An update of `smac` over one of `latent_sac`, both compiled or both eager."""
    base = read(folder, f"particles-{form}", "latent_sac")
    for name, target in PARTICLES.items():
        for group in newest(joined(read(folder, f"particles-{form}", name), base), LEAST):
            ratios = [float(mine["ms"]) / float(other["ms"]) for mine, other in group]
            sizes = f"size {float(group[0][0]['size']):g}, batch {float(group[0][0]['batch']):g}"
            what = f"{name.replace('_', ', K = ')}, {form}"
            took = {"ms": f"{statistics.median(float(mine['ms']) for mine, _ in group):.1f}"}
            family = f"smac: update over that of latent_sac, {sizes}"
            yield Figure(family, what, spread(ratios), target, False, group, took)


def over_floor(family: str, what: str, target: float | None, group: tuple[Turn, ...], more: Row) -> Figure:
    """A ratio of which every raw row has a median and a range of its own."""
    rows = [row for (row,) in group]
    median = statistics.median(float(row["median"]) for row in rows)
    lowest, highest = min(float(row["lowest"]) for row in rows), max(float(row["highest"]) for row in rows)
    took = {"ms": f"{statistics.median(float(row['ms']) for row in rows):.2f}", FIRST_CALL: first_call(rows)}
    return Figure(family, what, (median, lowest, highest), target, False, group, took | more)


def first_call(rows: Sequence[Row]) -> str:
    """Seconds more that the first updates take, of the first process, and the least of those that found its code."""
    seconds = [float(row["first_seconds"]) for row in rows if row.get("first_seconds")]
    return ", then ".join(f"{value:.1f}" for value in (*seconds[:1], *sorted(seconds[1:])[:1]))


# ------------------------------------------------------------ of rows


def loop_table(algorithm: str) -> str:
    """The name that the raw files of a recipe's loops begin with."""
    return "loop" if algorithm == "sac" else f"loop-{algorithm}"


def speed(row: Row) -> float:
    """Environment steps a second."""
    return float(row["steps_per_second"])


def lacks(group: tuple[Turn, ...]) -> bool:
    """Whether the processor was found to have no bfloat16 instructions."""
    return group[-1][0].get("bfloat16") == "no"


def spread(values: list[float]) -> tuple[float, float, float]:
    """Median, lowest, highest."""
    return statistics.median(values), min(values), max(values)
