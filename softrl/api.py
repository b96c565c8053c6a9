"""softrl from Python: train, resume, load, evaluate, play, make, spec, recipe."""

import itertools
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium

from softrl.agent.action_space import replaced, without_effect
from softrl.data import envs
from softrl.data.envs import EnvConfig
from softrl.data.failures import one_line
from softrl.data.names import canonical
from softrl.data.origin import OWN, name_of, source_of
from softrl.data.partial import Partial
from softrl.data.pixels import Pixels
from softrl.data.push import Push
from softrl.data.sources import Source
from softrl.errors import Caution, Refused, UserError
from softrl.plots.curves import curve
from softrl.recipes import apply
from softrl.run import change, folder as folders, spaces, video as videos
from softrl.run.caller import left_as_it_was
from softrl.run.checkpoint import verified
from softrl.run.checks import check_arguments, check_drawing, checked, seen_in
from softrl.run.config import Run, at_least
from softrl.run.console import announce, open_console
from softrl.run.evaluate import Evaluation, Policy, caution, evaluate as run_episodes, filmed
from softrl.run.fields import from_json, override, to_json
from softrl.run.folder import located
from softrl.run.idle import idle_settings
from softrl.run.observations import own
from softrl.run.paths import expanded, standing, typed
from softrl.run.progress import Callback, Progress, check_callable
from softrl.run.readback import check_readable
from softrl.run.resolve import Begun, cautions, check_device, going_on, resolve
from softrl.run.seed import derive
from softrl.run.signals import interrupted_by_signals
from softrl.run.trainer import Trainer
from softrl.run.versions import moved_on
from softrl.run.weights import start_from, take, told as begun_from, weights_of
from softrl.types import Spec

__all__ = ["Policy", "Progress", "RunResult", "evaluate", "load", "make", "play", "recipe", "resume", "spec", "train"]


class RunResult(NamedTuple):
    """What training leaves."""

    path: Path  # the run folder
    finished: bool  # False when a signal or the callback stopped it before its last step
    best: float | None  # highest mean return of an evaluation
    last: float | None  # mean return of the last one

    def __fspath__(self) -> str:
        """The run folder, for all that takes a path."""
        return str(self.path)


def recipe(name: str, env: str = "") -> Run:
    """The configuration of a recipe, or of several joined by `+`, for the environment of that name.

    Raises:
        UserError: an unknown recipe or environment, or recipes that exclude each other.
    """
    return apply(name, override(Run(), {"env.name": canonical(env)} if env else {}))


@left_as_it_was()
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
    """Train an agent on an environment, in a run folder of its own.

    `env` is a name (a Gymnasium id, or a task of DeepMind Control), a class or function that makes an environment, or
    an environment, which is copied. `recipe` is one, or several joined by `+`. `steps` counts frames, 100,000 by
    default. `run` is the folder, by default runs/ENV/RECIPE/seedS, numbered where that exists. `callback` is called
    with `Progress` at each log write and evaluation, and stops the run by returning True. With `quiet=False` progress
    is printed. `init` starts from another run's weights, with the optimisers and the entropy target of this
    configuration, and lets that policy explore through `train.warmup`. `command` is what command.txt shall say.
    `overrides` are all other fields, under the names of their flags: `envs=8`, or `**{"agent.critic.members": 3}`.

    Ctrl-C and SIGTERM end the run with everything saved: it is not `finished` then, and `resume` goes on. A process has
    one training at a time, which leaves threads and global generators as they were.

    Raises:
        UserError: a name, value, pair of parts or folder that cannot be; nothing on disk is changed then.
    """
    check_callable(callback)
    home = Path.cwd()  # which an environment may leave
    given = {"seed": seed, **overrides} | ({} if steps is None else {"steps": steps})
    name = name_of(env)
    taken_over: list[str] = []
    # A recipe has the same values for a task and for one that was made of it.
    plain = apply(recipe, override(Run(), {"env.name": name.removesuffix(OWN)}), taken_over.append)
    asked = override(plain, {"env.name": name, **given})
    configured = resolve(asked)
    weights = None if init is None else weights_of(expanded(init))
    seen = checked(env, configured, taken_over.append)
    idle = [*without_effect(configured.agent, plain.agent, seen.spec), *idle_settings(asked, plain, seen.spec)]
    for line in [*taken_over, *cautions(configured), *replaced(configured.agent, seen.spec), *idle]:
        tell(line, quiet)
    check_readable(configured)
    place = folders.create(
        to_json(configured),
        command or typed(),
        env=configured.env.name,
        recipe=configured.recipe,
        seed=configured.seed,
        home=home,
        run=None if run is None else expanded(run),
        more={spaces.FILE: spaces.to_json(seen), **begun_from(init)},
    )
    with ExitStack() as held:
        try:
            held.enter_context(interrupted_by_signals())
            held.enter_context(folders.locked(place))
            trainer = Trainer(configured, env, place, place.relative_to(home) if run is None else expanded(run))
            held.callback(trainer.close)
            trainer.may_stop_compiling = asked.compile == "auto"
            if weights is not None and init is not None:
                start_from(trainer.agent, weights, init)
                trainer.count.initialised = True
            trainer.save()  # from here on the run can be resumed, whatever ends it
        except BaseException:  # also Ctrl-C
            folders.withdraw(place)
            raise
        return finish(trainer, quiet, callback)


AT_ONCE = 10
"""Episodes of an evaluation that are played side by side."""


@left_as_it_was()
def resume(
    run: str | Path,
    steps: int | None = None,
    quiet: bool = True,
    callback: Callback | None = None,
    env: Source | None = None,
    minutes: float | None = None,
    command: Sequence[str] = (),
    **overrides: Any,
) -> RunResult:
    """Go on with a run exactly where its newest checkpoint stands; `steps` and `minutes`, of the whole run, extend it.

    `env` is needed where the run was started from a factory or an environment object; a name is remembered. `overrides`
    are fields that have another value from here on, under the names of their flags, as in
    `**{"agent.optim.actor.learning_rate": 1e-4}`; nothing else changes. What config.json says otherwise than the
    checkpoint, edited by hand, counts as such. `command` is what command.txt shall say of them.

    Raises:
        UserError: no such run, one in use, torn or from a newer softrl; fewer steps or minutes than it has; an
            environment of another kind; or a field that does not exist, takes no such value or cannot change in a run.
    """
    path, place, say = expanded(run), standing(run), print_unless(quiet)
    check_callable(callback)
    folders.read_config(path)
    with ExitStack() as held:
        held.enter_context(folders.locked(path))
        before = configuration(path)
        check_device(before.device, f"{path} was begun on one and is resumed on one; `softrl play` works anywhere")
        configured = change.overridden(extended(before, path, steps, minutes), overrides)  # `auto` asks how long
        if isinstance(env, str):
            configured = override(configured, {change.NAME: canonical(env)})
        saved = verified(path)
        made = change.made_with(saved, path) or before
        elsewhere = change.moved(made, configured, before, path)
        changed = change.changes(made, configured, overrides, path)
        source = source_of(env, configured.env.name)
        seen_in(source, configured.env, spaces.read(place))
        if "video.every" in changed:
            check_drawing(source, configured)
        kept = saved.parts["replay"]
        rows = configured.envs * (kept["newest"] - kept["oldest"])
        trainer = Trainer(configured, source, place, path, Begun(rows, saved.parts["count"]["env_steps"]))
        held.callback(trainer.close)
        trainer.may_stop_compiling = overrides.get("compile") == "auto"
        told = [*change.load(trainer, saved, made, changed, elsewhere), *moved_on(place, trainer.log.text)]
        for line in [*told, *going_on(configured, trainer.count.updates, overrides)]:
            tell(line, quiet, Refused if line in saved.warnings else Caution)
        del saved  # as large as the networks
        whole = trainer.count.evaluated == trainer.count.env_steps
        if trainer.out_of_time() and whole:
            say(f"{path} is at its end, its {configured.minutes:g} minutes are over: --minutes can extend them")
        elif trainer.finished() and whole:
            say(f"{path} is at its end, {trainer.count.env_steps} steps: ask for more to go on")
        if configured != before and (changed or not trainer.finished()):
            folders.write_config(place, to_json(configured))
        if changed:
            if overrides:
                folders.add_command(place, command or typed())
            trainer.save()  # after config.json: a run that is killed in between makes the same change again
        return finish(trainer, quiet, callback)


def extended(run: Run, path: Path, steps: int | None, minutes: float | None) -> Run:
    """A run with as many steps and minutes as are asked for; raises UserError for fewer than it has."""
    asked = {name: value for name, value in {"steps": steps, "minutes": minutes}.items() if value is not None}
    longer = override(run, asked)
    if longer.steps < run.steps:
        raise UserError(f"{path} has {run.steps} steps already: --steps can extend a run, not shorten it")
    if longer.minutes is not None and run.minutes is not None and longer.minutes < run.minutes:
        raise UserError(f"{path} has {run.minutes:g} minutes already: --minutes can extend a run, not shorten it")
    return longer


def finish(trainer: Trainer, quiet: bool, callback: Callback | None) -> RunResult:
    """Train to the end and draw the curve; where that cannot be drawn, a line in the log."""
    run, left = trainer.run, trainer.run.left(trainer.seconds())
    with closing(open_console(run.steps, trainer.count.env_steps, quiet, run.compile != "off", left)) as console:
        trainer.train(console, callback)
    try:
        curve(trainer.folder)
    except Exception as error:  # matplotlib may lack a place for its fonts
        trainer.log.text(f"no curve: {one_line(error)}")
    return RunResult(trainer.place(), trainer.ended, trainer.count.best, trainer.count.last)


def configuration(run: Path) -> Run:
    """The configuration that a run folder was made with."""
    configured: Run = from_json(Run, folders.read_config(run))
    return configured


def tell(line: str, quiet: bool, kind: type[Warning] = Caution) -> None:
    """Say what matters even to a quiet caller."""
    if quiet:
        warnings.warn(line, kind, stacklevel=4)
    else:
        announce(line)


def print_unless(quiet: bool) -> Callable[[str], None]:
    """Where sentences for people go."""
    return (lambda line: None) if quiet else announce


def load(path: str | Path, which: str | int = "latest", env: Source | None = None) -> Policy:
    """The policy of a run folder: its latest checkpoint, the `best`, or that of a step; or of a checkpoint's path.

    It can be loaded without its environment, and `predict` then works; `env` is needed to evaluate a policy that
    learned in an environment of your own.

    Raises:
        UserError: there is no such run or checkpoint, it is torn, or the environment is of another kind than its own.
    """
    run, which = located(expanded(path), which)
    configured = configuration(run)
    kept, weights = spaces.read(run), weights_of(run, which)
    seen = kept if env is None and kept else seen_in(source_of(env, configured.env.name), configured.env, kept)
    agent = configured.agent.build(seen.spec._replace(gamma=configured.train.gamma))
    take(agent, weights, run)
    return Policy(agent, seen.action, configured, seen.observation, env)


def evaluate(
    policy: Policy | str | Path,
    env: Source | None = None,
    episodes: int = 10,
    deterministic: bool = True,
    seed: int = 0,
) -> list[float]:
    """Returns of whole episodes of a policy, or of a run folder's, on its own environment or another like it.

    With `deterministic=False` the agent acts as while it collects, exploration included. An episode that does not seem
    to end is cut, with a warning. Raises UserError as `evaluation` does.
    """
    result = evaluation(policy, env, episodes, deterministic, seed=seed)
    if told := caution(result):
        warnings.warn(told, Caution, stacklevel=2)
    return result.returns


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

    With `deterministic=False` the agent acts as while it collects, exploration included. `video` writes an episode of
    the first seed to that file; where actions are drawn it is another one than the first that counts. Seeds are those
    of `seed`, not those used while training.

    Raises:
        UserError: no such run or checkpoint, an environment that it does not fit or that fails, or no episodes.
    """
    at_least(1, {"episodes": episodes})
    at_least(0, {"seed": seed})
    target = None if video is None else videos.target(video)
    policy = policy if isinstance(policy, Policy) else load(policy, which, env)
    source = source_of(env, policy.source)
    seeds = [derive(seed, "evaluation", episode) for episode in range(episodes)]
    if target is not None:  # first, because it is what may not work here
        film(policy, source, target, seeds[0], deterministic)
    parts = [side_by_side(policy, source, seeds[i : i + AT_ONCE], deterministic) for i in range(0, episodes, AT_ONCE)]
    return Evaluation(*(list(itertools.chain(*column)) for column in zip(*parts, strict=True)))


def side_by_side(policy: Policy, source: Source, seeds: Sequence[int], deterministic: bool) -> Evaluation:
    """One episode for each seed, in as many environments."""
    vec = envs.vector(source, replace(policy.run.env, workers="sync"), len(seeds), seeds[0])
    try:
        spaces.check_same_spec(policy.agent.spec, envs.spec(vec))
        spaces.check_same_actions(policy.flat.space, vec.single_action_space.space)  # type: ignore[attr-defined]
        spaces.check_same_observations(policy.observed, own(vec.envs[0]))  # type: ignore[attr-defined]
        return run_episodes(policy.agent, vec, seeds, deterministic)
    finally:
        vec.close()


def film(policy: Policy, source: Source, target: Path, seed: int, deterministic: bool = True) -> None:
    """One episode of a policy to an .mp4 file; raises UserError where it cannot be made."""
    made = envs.make(source, policy.run.env)
    try:
        spaces.check_same_spec(policy.agent.spec, envs.spec(made))
        spaces.check_same_actions(policy.flat.space, made.action_space.space)  # type: ignore[attr-defined]
        spaces.check_same_observations(policy.observed, own(made))
    finally:
        made.close()
    videos.write(target, *filmed(policy.agent, source, policy.run, seed, deterministic))


def play(
    path: str | Path,
    out: str | Path | None = None,
    which: str | int = "latest",
    seed: int = 0,
    env: Source | None = None,
) -> Path:
    """A video of one episode of a run's policy; returns the file, RUN/videos/play.mp4 unless `out` says where.

    `env` is needed where the run was started from a factory or an environment object. Raises UserError.
    """
    at_least(0, {"seed": seed})
    file = expanded(out) if out else located(expanded(path), which)[0] / "videos" / "play.mp4"
    target = videos.target(file)
    policy = load(path, which, env)
    film(policy, source_of(env, policy.source), target, derive(seed, "evaluation", 0))
    return file


def make(
    env: Source,
    seed: int | None = None,
    repeat: int | None = None,
    pixels: Pixels | None = None,
    partial: Partial = Partial(),
    push: Push = Push(),
    time_limit: int | None = None,
    arguments: dict[str, Any] | None = None,
) -> gymnasium.Env[Any, Any]:
    """A Gymnasium environment as agents see it: flat float32 observations or stacked pictures, actions in [-1, 1].

    Each action is held for `repeat` frames, 1 unless given; with `pixels` a task of DeepMind Control has the number of
    the recipes for pixels (PlaNet's), so that their policies fit; those with a world model learn at 2. An episode is
    cut after `time_limit` frames. `arguments` are those of the constructor, for an environment given by its name.
    `agent.act` returns such actions. `Policy.predict` returns the environment's own: step with
    `env.action_space.encode(action)`.

    Raises:
        UserError: no such environment, spaces that agents cannot use, or settings that do not fit it.
    """
    numbers = {name: value for name, value in (("repeat", repeat), ("time_limit", time_limit)) if value is not None}
    config = override(EnvConfig(pixels=pixels, partial=partial, push=push, arguments=arguments), numbers)
    at_least(0, {"seed": seed})
    check_arguments(env, config)
    return envs.make(env, config, seed)


def spec(env: gymnasium.Env[Any, Any]) -> Spec:
    """What an agent must know of an environment from `make`; raises UserError for any other.

    Its discount is 0.99; for that of a recipe, `softrl.spec(env)._replace(gamma=run.train.gamma)`.
    """
    try:
        return envs.spec(env)
    except AttributeError as error:
        raise UserError(
            "softrl.spec takes an environment from softrl.make: write softrl.spec(softrl.make(env))"
        ) from error
