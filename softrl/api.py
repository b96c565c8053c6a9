"""softrl from Python: train, resume, load, evaluate, play, make, spec, recipe."""

import itertools
import math
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium

from softrl.agent.agent import Agent
from softrl.agent.compile import compiled
from softrl.agent.update import update
from softrl.data import envs, graphics
from softrl.data.names import canonical, control_task, registry
from softrl.data.partial import Partial
from softrl.data.pixels import Pixels
from softrl.data.push import Push
from softrl.data.sources import Source
from softrl.errors import UserError
from softrl.plots.curves import curve
from softrl.recipes import apply
from softrl.run import folder as folders, video as videos
from softrl.run.checkpoint import fitting
from softrl.run.config import Run
from softrl.run.console import open_console
from softrl.run.evaluate import Evaluation, Policy, evaluate as run_episodes, filmed
from softrl.run.fields import from_json, override, to_json
from softrl.run.observations import own
from softrl.run.resolve import check_device, resolve
from softrl.run.saved import read
from softrl.run.seed import derive
from softrl.run.trainer import Callback, Progress, Trainer
from softrl.types import Spec

__all__ = ["Policy", "Progress", "evaluate", "load", "make", "play", "recipe", "resume", "spec", "train"]


class RunResult(NamedTuple):
    """What training leaves."""

    path: Path  # the run folder
    finished: bool  # False when a signal or the callback stopped it before its last step
    best: float | None  # highest mean return of an evaluation
    last: float | None  # mean return of the last one


def recipe(name: str, env: str = "") -> Run:
    """The configuration of a recipe, or of several joined by `+`, for the environment of that name."""
    return apply(name, override(Run(), {"env.name": env} if env else {}))


def name_of(env: Source) -> str:
    """What a run folder is called after: an environment's name, id or class."""
    if isinstance(env, str):
        return canonical(env)
    if isinstance(env, gymnasium.Env):
        return env.spec.id if env.spec else type(env.unwrapped).__name__
    return getattr(env, "__name__", "environment").strip("<>")


def train(
    env: Source,
    recipe: str = "sac",
    steps: int | None = None,
    seed: int = 0,
    run: str | Path | None = None,
    callback: Callback | None = None,
    quiet: bool = True,
    init: str | Path | None = None,
    command: Sequence[str] = (),
    **overrides: Any,
) -> RunResult:
    """Train an agent on an environment: a name, a factory or a Gymnasium environment.

    `overrides` are dotted names of the configuration, such as `**{"agent.critic.members": 3}`; `init` starts from
    another run's weights; `callback` is called with `Progress` and stops the run by answering True.

    Raises:
        UserError: a name, value, pair of parts or folder that cannot be; nothing on disk is changed then.
    """
    given = {"seed": seed, **overrides} | ({} if steps is None else {"steps": steps})
    say = print_unless(quiet)
    configured = apply(recipe, override(Run(), {"env.name": name_of(env)}), say)
    configured = resolve(override(configured, given))
    refuse(env, configured)
    if configured.steps <= configured.train.warmup:
        warmup = configured.train.warmup
        say(f"nothing will be learned: {configured.steps} steps end before train.warmup, {warmup}, does")
    weights = None if init is None else weights_of(Path(init))
    path = folders.create(
        to_json(configured),
        command or [Path(sys.argv[0]).name, *sys.argv[1:]],
        env=configured.env.name,
        recipe=configured.recipe,
        seed=configured.seed,
        run=None if run is None else Path(run),
    )
    with ExitStack() as held:
        try:
            held.enter_context(folders.locked(path))
            trainer = Trainer(configured, env, path)
            if weights is not None:
                start_from(trainer.agent, weights, init)
            trainer.save()  # from here on the run can be resumed, whatever ends it
        except UserError:
            folders.withdraw(path)
            raise
        return finish(trainer, quiet, callback)


AT_ONCE = 10
"""Episodes of an evaluation that are played side by side."""


def refuse(env: Source, configured: Run) -> None:
    """Raise what training would raise before its first step, while no folder is made yet."""
    made = envs.make(env, configured.env)
    configured.agent.build(envs.spec(made))
    limit = envs.limit(made)
    repeat = envs.repeats(env, configured.env)
    made.close()
    if limit is not None and configured.agent.chunk.length > math.ceil(limit / repeat):
        raise UserError(
            f"agent.chunk.length {configured.agent.chunk.length} is longer than an episode of {limit} frames: plan "
            "fewer actions at once"
        )
    compiled(update, configured.compile)
    if isinstance(configured.video.every, int):
        graphics.prepare(configured.video.size)


def resume(
    run: str | Path,
    steps: int | None = None,
    quiet: bool = True,
    callback: Callback | None = None,
    env: Source | None = None,
) -> RunResult:
    """Go on with a run exactly where its newest checkpoint stands; `steps` may extend it.

    `env` is needed where the run was started from a factory or an environment object.

    Raises:
        UserError: no such run, one in use, torn or from a newer softrl; or fewer steps than it has.
    """
    path = Path(run)
    folders.read_config(path)
    with folders.locked(path):
        configured = configuration(path)
        check_device(configured.device, f"{path} was begun on one and is resumed on one; `softrl play` works anywhere")
        if steps is not None and steps < configured.steps:
            raise UserError(
                f"{path} was started with {configured.steps} steps: --steps can extend a run, not shorten it"
            )
        if steps is not None:
            configured = replace(configured, steps=steps)
        trainer = Trainer(configured, source_of(env, configured), path)
        for line in trainer.load():
            print_unless(quiet)(line)
        if trainer.finished():
            print_unless(quiet)(f"{path} is at its end, {trainer.count.env_steps} steps: ask for more to go on")
        folders.write_config(path, to_json(configured))
        return finish(trainer, quiet, callback)


def finish(trainer: Trainer, quiet: bool, callback: Callback | None) -> RunResult:
    """Train to the end and draw the curve."""
    console = open_console(trainer.run.steps, trainer.count.env_steps, quiet)
    try:
        trainer.train(console, callback)
    finally:
        console.close()
        trainer.close()
    curve(trainer.folder)
    return RunResult(trainer.folder, trainer.finished(), trainer.count.best, trainer.last)


def weights_of(path: Path) -> dict[str, Any]:
    """State of the agent in a run's newest checkpoint, or in a checkpoint; raises UserError where there is none."""
    run, which = located(path, "latest")
    folders.read_config(run)
    state: dict[str, Any] = read(run, which, only=["agent"]).parts["agent"]
    return state


def start_from(agent: Agent, weights: dict[str, Any], origin: str | Path | None) -> None:
    """Load the weights of a run; raises UserError where they do not fit."""
    with fitting(origin):
        agent.load_state_dict(weights)


def configuration(run: Path) -> Run:
    """The configuration that a run folder was made with."""
    configured: Run = from_json(Run, folders.read_config(run))
    return configured


def source_of(env: Source | None, run: Run) -> Source:
    """The environment that was given, or else the one of that name; raises UserError where a name does not tell it."""
    if env is not None:
        return env
    name = run.env.name
    if not (":" in name or "/" in name or name in registry() or control_task(name)):
        raise UserError(
            f"the run learned in an environment of your own, '{name}', whose name does not tell how to make it: "
            "give it again from Python, as in softrl.load(run, env=make_env); the command line takes registered ids, "
            "and MODULE:ID where importing the module registers the id"
        )
    return name


def print_unless(quiet: bool) -> Callable[[str], None]:
    """Where sentences for people go."""
    return (lambda line: None) if quiet else print


def located(path: str | Path, which: str | int) -> tuple[Path, str | int]:
    """Run folder and checkpoint of a path, which may be either."""
    path = Path(path)
    if path.parent.name != "checkpoints":
        return path, which
    if not re.fullmatch(r"best|step_\d+", path.name):
        raise UserError(f"{path} is no checkpoint: their names are best and step_ with a number")
    return path.parent.parent, "best" if path.name == "best" else int(path.name.removeprefix("step_"))


def load(path: str | Path, which: str | int = "latest", env: Source | None = None) -> Policy:
    """The policy of a run folder: its latest checkpoint, the `best`, or that of a step; or of a checkpoint's path.

    Raises:
        UserError: there is no such run or checkpoint, or it is torn.
    """
    run, which = located(path, which)
    configured = configuration(run)
    source = source_of(env, configured)
    made = envs.make(source, configured.env)
    agent = configured.agent.build(envs.spec(made)._replace(gamma=configured.train.gamma))
    start_from(agent, read(run, which, only=["agent"]).parts["agent"], run)
    space = made.action_space.space  # type: ignore[attr-defined]  # made gives FlatActions
    policy = Policy(agent, space, configured, own(made), source)
    made.close()
    return policy


def evaluate(
    policy: Policy | str | Path,
    env: Source | None = None,
    episodes: int = 10,
    deterministic: bool = True,
    seed: int = 0,
) -> list[float]:
    """Returns of whole episodes of a policy, or of a run folder's, on its own environment or another like it."""
    return evaluation(policy, env, episodes, deterministic, seed=seed).returns


def evaluation(
    policy: Policy | str | Path,
    env: Source | None = None,
    episodes: int = 10,
    deterministic: bool = True,
    video: str | Path | None = None,
    which: str | int = "latest",
    seed: int = 0,
) -> Evaluation:
    """Whole episodes of a policy, or of a run folder's, on its own environment or another: returns and lengths.

    `video` writes the first episode to that file. Seeds are those of `seed`, not those used while training.

    Raises:
        UserError: no such run or checkpoint, or an environment that it does not fit or that fails.
    """
    if episodes < 1:
        raise UserError(f"episodes is {episodes}: an evaluation has at least 1")
    policy = policy if isinstance(policy, Policy) else load(policy, which, env)
    source = policy.source if env is None else env
    seeds = [derive(seed, "evaluation", episode) for episode in range(episodes)]
    parts = [batch(policy, source, seeds[i : i + AT_ONCE], deterministic) for i in range(0, episodes, AT_ONCE)]
    if video is not None:
        videos.write(Path(video), *filmed(policy.agent, source, policy.run, seeds[0], deterministic))
    return Evaluation(*(list(itertools.chain(*column)) for column in zip(*parts, strict=True)))


def batch(policy: Policy, source: Source, seeds: Sequence[int], deterministic: bool) -> Evaluation:
    """One episode for each seed, in as many environments side by side."""
    vec = envs.vector(source, replace(policy.run.env, workers="sync"), len(seeds), seeds[0])
    try:
        return run_episodes(policy.agent, vec, seeds, deterministic)
    finally:
        vec.close()


def play(
    path: str | Path,
    out: str | Path | None = None,
    which: str | int = "latest",
    seed: int = 0,
    env: Source | None = None,
) -> Path:
    """A video of one episode of a run's policy; answers the file, RUN/videos/play.mp4 unless `out` says where.

    `env` is needed where the run was started from a factory or an environment object. Raises UserError.
    """
    policy = load(path, which, env)
    target = Path(out) if out else located(path, which)[0] / "videos" / "play.mp4"
    videos.write(target, *filmed(policy.agent, policy.source, policy.run, derive(seed, "evaluation", 0)))
    return target


def make(
    env: Source,
    seed: int | None = None,
    repeat: int | None = None,
    pixels: Pixels | None = None,
    partial: Partial = Partial(),
    push: Push = Push(),
) -> gymnasium.Env[Any, Any]:
    """A Gymnasium environment as agents see it: flat float32 observations or stacked pictures, actions in [-1, 1].

    `agent.act` answers such actions. `Policy.predict` answers the environment's own: step with
    `env.action_space.encode(action)`.
    """
    return envs.make(env, envs.EnvConfig(repeat=repeat, pixels=pixels, partial=partial, push=push), seed)


def spec(env: gymnasium.Env[Any, Any]) -> Spec:
    """What an agent must know of an environment from `make`; raises UserError for any other."""
    try:
        return envs.spec(env)
    except AttributeError as error:
        raise UserError(
            "softrl.spec takes an environment from softrl.make: write softrl.spec(softrl.make(env))"
        ) from error
