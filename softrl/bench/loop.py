"""`softrl bench loop`: environment steps a second of training, and where the time of a step goes."""

import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import torch
from torch.profiler import ProfilerActivity, profile

from softrl.bench.memory import peak
from softrl.bench.settings import DATA, Settings, taken, texts, told
from softrl.bench.timing import Stopwatch, block, settle, table, timed
from softrl.bench.update import full, least, listed
from softrl.data.envs import ASYNCHRONOUS
from softrl.data.names import canonical
from softrl.data.replay import Replay
from softrl.recipes import apply
from softrl.run.caller import left_as_it_was
from softrl.run.config import Run, at_least
from softrl.run.fields import override
from softrl.run.resolve import resolve
from softrl.run.trainer import Trainer

UPDATE, EVALUATION, SAVE, TRANSFER, REST = "update", "evaluation", "checkpoint", "transfer", "rest"
PARTS = ("act", "environment", "replay add", "replay sample", TRANSFER, UPDATE, "log", REST)
COPIES = ("Memcpy HtoD", "Memcpy DtoH")
"""How the profiler calls copies from the host to the device and back."""
PROFILED = 100  # environment steps in which the profiler looks for them
WARMUP = 1_000  # random actions before the first update
FLOOR_SECONDS, FLOOR_BLOCKS = 0.1, 5  # length and number of the blocks in which the floor is timed
GROUPS = ("agent.", "env.", "replay.", "train.")
FIXED = ("env.name", "train.warmup", *DATA)
"""Of these groups what has a flag of its own, or is the same in every loop."""
LONG = 100_000_000  # no clock of evaluations or checkpoints is due so far out


@dataclass(frozen=True)
class Options:
    """Flags of the command."""

    env: str = "HalfCheetah-v5"
    """Environment to train in."""
    recipe: str = "sac"
    """Recipe to train with."""
    steps: int = 3_000
    """Environment steps that are measured, after warming up."""
    settle: int = 500
    """Environment steps with updates before that, which are not measured: compiling, caches."""
    rows: int | None = None
    """Rows in replay before the first update, those of warming up repeated; none is 100000, or 4000 of pictures."""
    envs: int = 1
    """Environments that are stepped together."""
    threads: int | None = None
    """Threads of torch; none chooses as training does."""
    compile: Literal["auto", "off", "graph", "cudagraph"] = "auto"
    """How the update runs; auto compiles where a compiler is."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the networks are."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Numbers in the products of the update."""
    json: bool = False
    """Print one JSON object."""

    def __post_init__(self) -> None:
        at_least(1, {f"--{name}": getattr(self, name) for name in ("steps", "settle", "envs", "threads")})
        at_least(0, {"--rows": self.rows})


def settable(options: Options) -> tuple[Run, list[str]]:
    """The recipe's run, and the paths of the settings of it that count for a loop."""
    run = chosen(options)
    return run, taken(run, GROUPS, FIXED)


def report(options: Options, settings: Settings = MappingProxyType({})) -> Iterator[str]:
    """The lines of the table, or one JSON object."""
    run = configured(options, settings)
    result = measure(run, options)
    if options.json:
        yield json.dumps(result | {"settings": texts(settings)})
        return
    yield (
        f"{options.env}, {told(run.recipe, settings)}, {run.device}, {run.threads} threads, compile {run.compile}: "
        f"{result['steps_per_second']:.1f} env steps/s, {result['updates_per_step']:.2f} updates a step, "
        f"{result['peak_mib']:.0f} MiB at most"
    )
    total = sum(result["ms"].values())
    rows = [(part, f"{ms:.3f}", f"{ms / total:.1%}") for part, ms in result["ms"].items()]
    yield from table([("", "ms a step", "share"), *rows])
    yield f"outside the update: {result['outside']:.1%}"
    if floor := result["floor_ms"]:
        update, step = result["ms"][UPDATE] / floor, 1e3 / result["steps_per_second"] / floor
        yield (
            f"over the floor, the {floor:.3f} ms a step that the update's matrix products take alone: the update "
            f"{update:.2f}, the whole step {step:.2f}"
        )
    yield (
        f"beside: {result['evaluation_seconds']:.1f} s for an evaluation of {run.eval.episodes} episodes, "
        f"{result['checkpoint_seconds']:.2f} s for a checkpoint, {result['first_seconds']:.1f} s for the first updates "
        "beyond what later ones take"
    )


def chosen(options: Options) -> Run:
    """The recipe's run on this environment."""
    return apply(options.recipe, override(Run(), {"env.name": canonical(options.env)}))


def configured(options: Options, settings: Settings = MappingProxyType({})) -> Run:
    """The run with these settings, and with nothing due while it is measured but the log."""
    run = override(chosen(options), settings)
    run = replace(run, envs=options.envs, threads=options.threads, compile=options.compile, device=options.device)
    run = replace(run, precision=options.precision)
    far = {"steps": LONG, "train.warmup": WARMUP, "eval.every": LONG, "checkpoint.every": LONG, "video.every": "never"}
    return resolve(override(run, far))


def measure(run: Run, options: Options) -> dict[str, Any]:
    """Train in a temporary folder; milliseconds a step by part, and what is not part of a step beside."""
    with tempfile.TemporaryDirectory() as folder, left_as_it_was():
        trainer = Trainer(run, options.env, Path(folder))
        watch = Stopwatch()
        watch.watch(UPDATE, trainer, "compiled_update")
        watch.watch(EVALUATION, trainer, "evaluate")
        watch.watch(SAVE, trainer, "save")
        trainer.run_due_events()  # the evaluation and the checkpoint of step 0
        once = dict(watch.seconds)
        advance(trainer, WARMUP)
        fill(trainer.replay, full(run) if options.rows is None else options.rows)
        begin, first = time.perf_counter(), trainer.count.env_steps
        while not trainer.count.updates:  # a window of many environments may be long in coming
            advance(trainer, trainer.count.env_steps + 1)
        advance(trainer, trainer.count.env_steps + options.settle)
        settled, steps = time.perf_counter() - begin, trainer.count.env_steps - first
        whole = stretch(trainer, watch, options.steps)
        watch.wait = settle
        watch_parts(watch, trainer)  # only now: looking at a clock twenty times a step takes time of its own
        parts = stretch(trainer, watch, options.steps)
        held = peak()
        copied = transfer(trainer)
        floor = whole.updates * floor_of_an_update(trainer)
        trainer.close()
    seconds = sum(whole.ms.values()) / 1e3  # a step
    return {
        **asdict(options),
        "threads": run.threads,
        "compile": run.compile,
        "device": run.device,
        "steps_per_second": 1 / seconds,
        "updates_per_step": whole.updates,
        "outside": outside(parts if run.device == "cuda" else whole),
        "floor_ms": floor,
        "ms": {part: ({TRANSFER: copied} | parts.ms).get(part, 0.0) for part in PARTS},
        "peak_mib": held,
        "evaluation_seconds": once[EVALUATION],
        "checkpoint_seconds": once[SAVE],
        "first_seconds": max(0.0, settled - steps * seconds),
    }


def floor_of_an_update(trainer: Trainer) -> float:
    """Milliseconds of an update's matrix products alone, on average; the agent learns a little on the way."""
    run = trainer.run
    call = least(listed(run, lambda: trainer.agent, trainer.replay), run.device, FLOOR_SECONDS)
    times = [timed(call, block(call, FLOOR_SECONDS)) for _ in range(FLOOR_BLOCKS)]
    return 1e3 * statistics.median(times) / run.train.actor_every


def fill(replay: Replay, rows: int) -> None:
    """Repeat what replay holds up to so many rows: a few would stay in the processor's cache, and be sampled sooner."""
    here = replay.newest
    times = min(rows // replay.envs, replay.length) // here
    if times < 2:
        return
    held = replay.rows(0, here)
    replay.restore(times * here, ((here * i, held) for i in range(times)))
    if replay.prioritised:
        alike = (~replay.invalid[: times * here]).flatten().float()
        replay.sampler.load_state_dict(replay.sampler.state_dict() | {"priority": alike})


class Stretch(NamedTuple):
    """What was measured over some environment steps."""

    ms: defaultdict[str, float]  # a step by part, what no part was watched for under REST
    updates: float  # a step


def stretch(trainer: Trainer, watch: Stopwatch, env_steps: int) -> Stretch:
    """Train for so many environment steps."""
    watch.clear()
    settle()
    first, updates, begin = trainer.count.env_steps, trainer.count.updates, time.perf_counter()
    advance(trainer, first + env_steps)
    settle()
    seconds, steps = time.perf_counter() - begin, trainer.count.env_steps - first
    watch.seconds[REST] = seconds - sum(watch.seconds.values())
    ms = {part: 1e3 * spent / steps for part, spent in watch.seconds.items()}
    return Stretch(defaultdict(float, ms), (trainer.count.updates - updates) / steps)


def outside(measured: Stretch) -> float:
    """Share of a step that is not the update; on a GPU, of steps whose parts do not overlap."""
    return 1 - measured.ms[UPDATE] / sum(measured.ms.values())


def advance(trainer: Trainer, env_steps: int) -> None:
    """Train on to that many environment steps, as `Trainer.train` does."""
    while trainer.count.env_steps < env_steps:
        trainer.advance()
        trainer.run_due_events()


def watch_parts(watch: Stopwatch, trainer: Trainer) -> None:
    """Time the parts of a trainer's step beside the update."""
    watch.watch("act", trainer.collector, "choose")
    whole, halves = ("step",), ("step_async", "step_wait")  # of a worker process, only the waiting is of this loop
    for method in halves if isinstance(trainer.env, ASYNCHRONOUS) else whole:
        watch.watch("environment", trainer.env, method)
    watch.watch("replay add", trainer.replay, "add")
    watch.watch("replay sample", trainer.replay, "sample")
    for method in ("add", "write", "episode"):
        watch.watch("log", trainer.log, method)


def transfer(trainer: Trainer) -> float:
    """Milliseconds a step of copies between host and device, most of which run beside other parts; none on a CPU."""
    if trainer.run.device == "cpu":
        return 0.0
    first = trainer.count.env_steps
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        advance(trainer, first + PROFILED)
        torch.cuda.synchronize()
    copies = [event for event in profiler.key_averages() if event.key.startswith(COPIES)]
    return sum(event.device_time_total for event in copies) / 1e3 / (trainer.count.env_steps - first)
