"""Settings that change while a run goes on: which can, and what of its checkpoint gives way to them."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from softrl.data.origin import findable
from softrl.errors import UserError
from softrl.run.clock import UpdateRatio
from softrl.run.config import Run
from softrl.run.fields import difference, from_json, get, override, to_json
from softrl.run.kinds import show
from softrl.run.modules import check_modules
from softrl.run.resolve import resolve
from softrl.run.saved import Saved

if TYPE_CHECKING:
    from softrl.run.trainer import Trainer

EXTENDED = ("steps", "minutes")
"""Fields that say when a run ends, which is no change of what it does until then."""
OPEN = (
    *("train.", "eval.", "video.", "checkpoint.", "log.", "precision", "compile", "threads", "collect"),
    *("replay.steps", "replay.dataset_share", "replay.sampler."),
    *(f"agent.{part}." for part in ("optim", "temperature", "lookahead", "target_rule", "actor_rule", "regression")),
    *(f"agent.{part}." for part in ("reward_scale", "penalty", "imitation", "regularizer", "plasticity")),
    *(f"agent.{part}." for part in ("explorer", "chunk")),
    *(f"agent.encoder.{name}" for name in ("tau", "free_nats", "prior_weight", "posterior_weight")),
)
"""How the paths of fields begin that can change, if nothing below closes them."""
CLOSED = {
    *("agent.temperature.initial", "agent.explorer.optimism", "agent.explorer.price"),  # said of the first update alone
    *("agent.explorer.rate", "agent.chunk.length"),  # what was learned is in units of them
    *("replay.sampler.alpha", "replay.sampler.epsilon"),  # in all priorities that are stored
}
CHOSEN, UNCHOSEN = ("device", "compile", "collect", "threads"), ("auto", None)
"""Fields that a run has a choice in the place of, and what says that there is none as yet."""
NAME = "env.name"
"""What the environment is called, which may change; which one it is, its state in the checkpoint says."""
NETWORKS = {"trunk", "head"}
"""Names of parts, anywhere in a path, whose fields say what the stored weights compute."""
IN_STATE = {
    "temperature.target": {"agent.temperature.target_per_action", "agent.temperature.target_share"},
    "temperature.log_alpha": {"agent.temperature.value"},
    **{f"optim.{name}.learning_rate": {f"agent.optim.{name}.learning_rate"} for name in ("value", "encoder", "actor")},
    "optim.temperature.learning_rate": {"agent.optim.temperature.learning_rate"},
}
"""Settings that lie in an agent's state, where a checkpoint brings back the old ones -> the fields they are made of."""


class Settings:
    """What a run is configured as, in each of its checkpoints: config.json may say something else later."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def state_dict(self) -> dict[str, Any]:
        """The configuration."""
        return {"run": to_json(self.run)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing: a run goes by its config.json, and `load` sees to what was another."""


def can_change(path: str) -> bool:
    """Whether a field may have another value from some frame on."""
    return path in EXTENDED or (path.startswith(OPEN) and path not in CLOSED and NETWORKS.isdisjoint(path.split(".")))


def overridden(run: Run, values: Mapping[str, Any]) -> Run:
    """The run with other values, each `auto` among them replaced by a choice; raises UserError."""
    given = override(run, values)
    edited = {path for path in CHOSEN if get(given, path) in UNCHOSEN}  # by hand, in config.json
    resolved = resolve(given) if values or edited else given
    return override(given, {path: get(resolved, path) for path in edited.union(values)})


def made_with(saved: Saved, run: Path) -> Run | None:
    """The configuration that a checkpoint was made with; None where it does not say, or in words no longer known."""
    try:
        check_modules(saved.parts["settings"]["run"], run)
        made: Run = from_json(Run, saved.parts["settings"]["run"])
        return made
    except (KeyError, UserError):
        return None


def changes(made: Run, asked: Run, named: Collection[str], run: Path) -> dict[str, str]:
    """What is set anew after a checkpoint, path -> words: what differs, and what was `named` although it does not.

    Raises UserError for what cannot change within a run.
    """
    told = {path: f"{path} is {show(get(asked, path))}, as before" for path in named if can_change(path)}
    for path, old, new in difference(made, asked):
        if path == NAME:
            continue
        if not can_change(path):
            edited = "" if path in named else f"; put {old} back in {run / 'config.json'}"
            raise UserError(
                f"{path} cannot change within a run, from {old} to {new}: `softrl train` makes another, with --init "
                f"{run} from these weights where they fit{edited}"
            )
        if path not in EXTENDED:
            told[path] = f"{path} is {new}, no longer {old}"
    return told


def moved(made: Run, asked: Run, before: Run, run: Path) -> str:
    """What is told of a run that goes on under another name of its environment, nothing where it has the same.

    `before` is what its config.json says. Raises UserError where the environment can be found by the name that it had:
    the other would be another one.
    """
    old, new = made.env.name, asked.env.name
    if new == old:
        return ""
    if findable(old):
        edited = f"; put {old} back in {run / 'config.json'}" if before.env.name != old else ""
        raise UserError(
            f"{run} goes on in its own environment, {old}: to learn in {new} from its weights, write "
            f"softrl train {new} --init {run}{edited}"
        )
    return f"the run goes on in {new}, in the place of {old}"


def load(trainer: "Trainer", saved: Saved, made: Run, changed: Mapping[str, str], elsewhere: str = "") -> list[str]:
    """Go on from a checkpoint that was made with other settings; returns, and logs, what there is to be told.

    What lies in the state follows its fields only where these were changed: a callback may have set it.
    """
    fresh = {name: value.clone() for name, value in trainer.agent.state_dict().items() if name in IN_STATE}
    told = trainer.load(saved, elsewhere)
    state = trainer.agent.state_dict()
    for name in fresh:
        if not IN_STATE[name].isdisjoint(changed):
            state[name].copy_(fresh[name])
    adjust_clocks(trainer, made)
    lines = [f"from frame {trainer.count.env_steps} on {words}" for words in changed.values()]
    for line in lines:
        trainer.log.text(line)
    return told + lines


def adjust_clocks(trainer: "Trainer", made: Run) -> None:
    """Let the next marks be those of the present periods, and updates be owed at the present rate from here on."""
    run, count = trainer.run, trainer.count
    for clock, period, before in (
        (trainer.log_due, run.log.every, made.log.every),
        (trainer.evaluation_due, run.eval.every, made.eval.every),
        (trainer.checkpoint_due, run.checkpoint.every or run.eval.every, made.checkpoint.every or made.eval.every),
        (trainer.video_due, run.video.every, made.video.every),
    ):
        if period != before:
            clock.restart(count.env_steps)
    if run.train.updates_per_decision != made.train.updates_per_decision:
        old = UpdateRatio(made.train.updates_per_decision)
        old.load_state_dict(trainer.owed.state_dict())
        trainer.owed.load_state_dict({"origin": count.decisions, "given": -old(count.decisions)})
