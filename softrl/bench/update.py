"""`softrl bench update`: the time of one update, eager and compiled, over the floor of its products."""

import itertools
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor

from softrl.agent.agent import Agent
from softrl.agent.capture import WARM_UPS, CudaGraphs, Graph
from softrl.agent.compile import Mode, compiled, packed
from softrl.bench.floor import Work, floor, products
from softrl.bench.settings import DATA, Settings, taken, texts, told
from softrl.bench.timing import Call, paired, table
from softrl.data.replay import Replay
from softrl.errors import UserError
from softrl.nn.augment import Still
from softrl.nn.layers import set_precision
from softrl.recipes import apply
from softrl.run.config import Run, at_least
from softrl.run.fields import override
from softrl.run.heap import keep_freed
from softrl.run.resolve import resolve
from softrl.run.seed import repeatable
from softrl.run.trainer import DTYPES
from softrl.types import Shape, Spec, Window

MODES: dict[str, tuple[Mode, ...]] = {
    "both": ("graph", "off"),
    "off": ("off",),
    "graph": ("graph",),
    "cudagraph": ("cudagraph",),
}
NAMES = {"graph": "compiled", "off": "eager", "cudagraph": "CUDA graph"}
SAMPLE, AUGMENTATION = "replay sample", "augmentation"
FIRST = "first_seconds"  # from the start of an agent to where each kind of its updates has run once, compiling included
GROUPS = ("agent.", "replay.", "train.", "env.pixels.")
FIXED = (
    *("train.batch", "train.warmup", "train.updates_per_decision"),
    *("replay.capacity", "replay.memory_map", "env.pixels.camera", *DATA),
)
"""Of these groups what has a flag of its own, or does nothing to an update."""
ROWS, PICTURES = 100_000, 4_000  # in replay while something is timed, of states and of pictures


@dataclass(frozen=True)
class Options:
    """Flags of the command; the sizes are those of HalfCheetah."""

    recipe: str = "sac"
    """Recipe whose update is measured."""
    threads: int | None = None
    """Threads of torch; none chooses as training does."""
    batch: int | None = None
    """Rows of a batch; none takes the recipe's."""
    observations: int = 17
    """Numbers in an observation."""
    actions: int = 6
    """Numbers in an action."""
    choices: tuple[int, ...] = ()
    """Sizes of the choices in an action, which come before its numbers."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Numbers in the products of the update; those of the floor stay float32."""
    compile: Literal["both", "off", "graph", "cudagraph"] = "both"
    """Which updates to measure: eager, compiled, both of these, or compiled and replayed as a CUDA graph."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where update, replay and floor are; on a GPU the floor is a CUDA graph."""
    pairs: int = 12
    """Blocks of updates, each followed by a block of the floor."""
    seconds: float = 0.3
    """Length of a block."""
    json: bool = False
    """Print one JSON object."""

    def __post_init__(self) -> None:
        positive = ("threads", "batch", "observations", "pairs")
        at_least(1, {f"--{name}": getattr(self, name) for name in positive})
        at_least(0, {"--actions": self.actions})
        if min(self.choices, default=self.actions + 1) < 2:
            raise UserError("an action needs numbers or choices of 2 at least: raise --actions or --choices")


def settable(options: Options) -> tuple[Run, list[str]]:
    """The recipe's run, and the paths of the settings of it that count for an update."""
    run = apply(options.recipe, Run())
    return run, taken(run, GROUPS, FIXED)


def report(options: Options, settings: Settings = MappingProxyType({})) -> Iterator[str]:
    """The lines of the table, or one JSON object."""
    run = configured(options, settings)
    torch.set_num_threads(run.threads or 1)
    keep_freed()  # as training does
    repeatable()
    result = measure(run, options)
    if options.json:
        yield json.dumps(result | {"settings": texts(settings)})
        return
    yield (
        f"{told(run.recipe, settings)}: {seen(run, options)}, actions of {options.actions + sum(options.choices)}, "
        f"batch {run.train.batch}, {run.device}, "
        f"{run.threads} threads, {run.precision}; floor: {result['products']:g} products, {result['gflop']:.2f} GFLOP"
    )
    rows = [("", "ms", "over the floor", "lowest", "highest")]
    for name, figures in result["measured"].items():
        rows.append((name, *(f"{figures[key]:.3f}" for key in ("ms", "median", "lowest", "highest"))))
    yield from table(rows)
    parts = {SAMPLE: "a sample of replay", AUGMENTATION: "augmentation, by itself and eager,"}
    names = [NAMES[mode] for mode in MODES[options.compile]]
    for name, (part, words) in itertools.product(names, parts.items()):
        if part in result["measured"]:
            share = result["measured"][part]["ms"] / result["measured"][name]["ms"]
            yield f"{words} takes {share:.1%} of the {name} update"
    took = (f"{result['measured'][name][FIRST]:.1f} s for the first {name} update" for name in names)
    yield f"beside: {' and '.join(took)}, compiling included"


def configured(options: Options, settings: Settings = MappingProxyType({})) -> Run:
    """The recipe's run with the settings and the options' sizes."""
    run = override(apply(options.recipe, Run()), settings)
    train = replace(run.train, batch=options.batch or run.train.batch)
    run = replace(run, train=train, threads=options.threads, precision=options.precision)
    return resolve(replace(run, device=options.device, compile="off"))


def seen(run: Run, options: Options) -> str:
    """What an agent of the recipe observes, and how much of it."""
    ((name, shape),) = space(run, options).obs.items()
    return f"{name} of {'x'.join(map(str, shape))}"


def space(run: Run, options: Options) -> Spec:
    """The world in which the update is measured."""
    pixels = run.env.pixels
    if pixels is None:
        return Spec({"state": (options.observations,)}, options.actions, options.choices)
    images: dict[str, Shape] = {"pixels": (3 * pixels.stack, pixels.size, pixels.size)}
    return Spec(images, options.actions, options.choices, stack=pixels.stack)


def measure(run: Run, options: Options) -> dict[str, Any]:
    """Milliseconds of an update, of a sample of replay and of augmentation, as pairs with the floor measured them."""
    spec = run.agent.build(space(run, options)).spec
    replay = filled(run, spec)
    cycle = run.train.actor_every  # updates until the products repeat: none of them is for the targets
    needed = listed(run, lambda: built(run, spec), replay)
    calls: dict[str, Call] = {}
    first = {}
    for mode in MODES[options.compile]:
        begin = time.perf_counter()
        calls[NAMES[mode]] = updates(run, spec, replay, mode, cycle)
        first[NAMES[mode]] = {FIRST: time.perf_counter() - begin}
    calls[SAMPLE] = lambda: [replay.sample(run.train.batch) for _ in range(cycle)]
    calls |= augmenting(run, replay, cycle)
    yardstick = least(needed, run.device, options.seconds)
    measured = {}
    for name, call in calls.items():
        ratio = paired(call, yardstick, options.pairs, options.seconds)
        measured[name] = {"ms": 1e3 * ratio.seconds / cycle, **ratio._asdict(), **first.get(name, {})}
    return {
        **asdict(options),
        "threads": run.threads,
        "batch": run.train.batch,
        "products": len(needed) / cycle,
        "gflop": sum(product.flops for product in needed) / cycle / 1e9,
        "measured": measured,
    }


def listed(run: Run, agent: Callable[[], Agent], replay: Replay) -> list[Work]:
    """The products of a cycle of updates; each is noted with what `agent` returns, which it changes."""
    return [
        product
        for i in range(1, run.train.actor_every + 1)
        for product in products(agent(), replay.sample(run.train.batch), i % run.train.actor_every == 0)
    ]


def least(needed: list[Work], device: str, seconds: float) -> Call:
    """A call that computes these products, where the updates do; `seconds` is how long it will be timed."""
    with torch.device(device):
        return on_device(floor(needed, min(0.005, seconds / 50)), device)


def updates(run: Run, spec: Spec, replay: Replay, mode: Mode, cycle: int) -> Call:
    """A call that makes the next `cycle` updates of an agent, as the trainer makes them; compiled when it returns."""
    agent = built(run, spec)
    set_precision(agent, DTYPES[run.precision])
    step = compiled(packed(agent.update_fn), mode, run.device)
    windows: Iterator[Window] = itertools.cycle([replay.sample(run.train.batch) for _ in range(8)])
    flags = [
        {"actor": number % run.train.actor_every == 0, "follow": number % run.train.target_every == 0}
        for number in range(1, math.lcm(run.train.actor_every, run.train.target_every) + 1)
    ]
    coming, numbers = itertools.cycle(flags), itertools.count(1)

    def call() -> None:
        for _ in range(cycle):
            window = next(windows)
            agent.intervene(window, next(numbers))
            step(agent, window, **next(coming))

    for kind in {tuple(each.values()): each for each in flags}.values():  # compiles what is rare, too
        for _ in range(WARM_UPS + 1 if mode == "cudagraph" else 1):
            step(agent, next(windows), **kind)
    return call


def augmenting(run: Run, replay: Replay, cycle: int) -> dict[str, Call]:
    """A call that draws the random views of `cycle` updates, by name; nothing where images are seen as they are."""
    encoder: Any = run.agent.encoder
    augmentation = getattr(encoder, "augmentation", Still())
    if not augmentation.random:
        return {}
    images = replay.sample(run.train.batch).obs["pixels"]
    # Of both ends of a row, and one more for an auxiliary that compares two views of the first.
    drawn = [images[:, 0], images[:, -1]] * augmentation.views + [images[:, 0]] * encoder.auxiliary.compares
    return {AUGMENTATION: lambda: [augmentation.draw(each) for _ in range(cycle) for each in drawn]}


def built(run: Run, spec: Spec) -> Agent:
    """An agent of the recipe where the run wants it."""
    return run.agent.build(spec).to(run.device)


def on_device(call: Call, device: str) -> Call:
    """A call as it is on a CPU, and as one launch on a GPU, which would otherwise wait for each."""
    if device == "cpu":
        return call
    graph = CudaGraphs()()
    graph.warm(call)
    graph.record(call)
    return partial(replayed, graph, call)


def replayed(graph: Graph, call: Call) -> None:
    """Replay a recorded call, which is held here: the recording reads and writes memory that is the call's."""
    graph.replay()


def full(run: Run) -> int:
    """Rows that replay holds while something is timed: more than a processor keeps in its caches."""
    return PICTURES if run.env.pixels else ROWS


def filled(run: Run, spec: Spec) -> Replay:
    """A replay of random rows, whose stacks are made of as many pictures as they can be and whose plans are whole."""
    rows = full(run)
    replay = Replay(replace(run.replay, capacity=rows), spec, 1, run.train.gamma, seed=0, device=run.device)
    columns = {name: drawn(column) for name, column in replay.rows(0, rows).items()}
    marks = {name: (torch.rand(columns[name].shape) < 1e-3).float() for name in ("terminated", "first", "last")}
    places = {"age": spec.stack - 1, "left": spec.chunk}
    placed = {name: torch.full_like(columns[name], place) for name, place in places.items() if name in columns}
    replay.restore(rows, [(0, columns | marks | placed)])
    return replay


def drawn(column: Tensor) -> Tensor:
    """Random numbers in the place of a column's, bytes for bytes."""
    return torch.randn(column.shape) if column.is_floating_point() else torch.randint_like(column.cpu(), 256)
