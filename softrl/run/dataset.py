"""The data set that a run learns from besides what it brings itself, kept whole in the run's folder."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import torch as safetensors

from softrl.agent.agent import Agent
from softrl.data.layout import Layout
from softrl.data.mixed import Mixed
from softrl.data.partial import Partial
from softrl.data.priority import Uniform
from softrl.data.recorded import columns
from softrl.data.replay import Columns, Replay
from softrl.data.spaces import FlatActions, spelled
from softrl.errors import UserError, disk_errors
from softrl.run import spaces
from softrl.run.config import Run
from softrl.run.fields import from_json
from softrl.run.files import file_digest, replace_file
from softrl.run.folder import read_config
from softrl.run.kinds import show
from softrl.run.paths import expanded
from softrl.run.resolve import SMALLEST
from softrl.run.saved import available, read
from softrl.run.seed import derive
from softrl.run.segments import blocks
from softrl.types import Shape, Spec

FILE = "dataset.safetensors"
AT_ONCE, EPISODES = 65_536, 256
"""Rows, and episodes side by side, that are told to normalisers at a time."""
DECIDING = ("name", "arguments", "repeat", "pixels", "partial", "push")
"""Settings of an environment that change what its rows mean, or what happens in it."""


def experience(run: Run, replay: Replay, agent: Agent, actions: Any, folder: Path) -> Replay | Mixed:
    """What updates learn from: replay, and beside it the run's data set where it has one.

    `actions` are the environment's, flat. The first call copies the rows of the data set into the run's folder, and
    the run can be resumed whatever becomes of their source; before the first checkpoint the agent's normalisers are
    told of them. Raises UserError for a data set that cannot be read, is of
    another environment, or is no longer the one that the run has learned from.
    """
    source, spec = run.replay.dataset, replay.spec
    if source is None:
        return replay
    if run.train.batch < 2:
        raise UserError(f"train.batch is {run.train.batch}: with replay.dataset a batch has at least two windows")
    kept, lost = folder / FILE, ""
    if not kept.exists():
        rows = recorded(source, run, spec, actions)
        lost = f", for it was lost and {source} has changed since"
        with disk_errors(f"{kept}", "make room for the data set's rows"):
            replace_file(kept, safetensors.save(rows))
    sha256 = file_digest(kept)
    if learned_from(folder) not in (None, sha256):
        if lost:
            kept.unlink()
        raise UserError(f"{kept} is not what this run has learned from{lost}: put back a copy of that file")
    rows = safetensors.load_file(kept)
    if not available(folder):
        acquaint(agent, rows, run.device)
    return Mixed(replay, held(source, rows, run, spec), run.replay.dataset_share, sha256)


@torch.no_grad()
def acquaint(agent: Agent, rows: Columns, device: str) -> None:
    """Take the rows of a data set, [n,N,..], into running statistics as if they had been collected.

    Half of what is learned is drawn from them: scaled by what the run has met by itself, the place of an object that it
    has not moved yet would be nothing but a sign, and rewards that it does not get would lie outside any support.
    """
    if "obs.state" in rows:  # pictures are not normalised
        for part in rows["obs.state"].flatten(0, 1).split(AT_ONCE):
            agent.encoder.observe({"state": part.to(device)})
    reward, last, first = (rows[name][..., 0].T.clone() for name in ("reward", "last", "first"))  # [N,n]
    first[:, 0] = 1  # of what was cut as well
    starts = first.flatten().nonzero()[:, 0]
    lengths = torch.diff(starts, append=torch.tensor([first.numel()]))
    reward, last = reward.flatten(), last.flatten().bool()
    for group in lengths.argsort(descending=True).split(EPISODES):  # of like lengths
        carry = agent.reward_scale.initial(len(group))
        for t in range(int(lengths[group[0]])):
            inside = t < lengths[group]
            at = torch.where(inside, starts[group] + t, 0)
            carry = carry | agent.reward_scale.observe(reward[at], inside & ~last[at], carry)


def learned_from(folder: Path) -> str | None:
    """Sha256 of the data set of a run, as its newest checkpoint has it; None before the first, and in older ones."""
    if not available(folder):
        return None
    sha256: str | None = read(folder, only={"sampling"}).parts["sampling"].get("sha256")
    return sha256


def recorded(source: str, run: Run, spec: Spec, actions: FlatActions) -> Columns:
    """The rows of a data set, [n,N,..] by name, as replay keeps them; raises UserError where a run cannot use it."""
    if expanded(source).is_dir():
        return matching_columns(source, of_run(expanded(source), run, actions), spec)
    if "state" not in spec.obs or run.env.partial != Partial():
        raise UserError(
            f"the data set {source} holds whole states: leave out env.pixels and env.partial, or give the folder of a "
            "run with the same ones"
        )
    if run.env.repeat != 1:
        raise UserError(
            f"the data set {source} has decisions of one frame, and env.repeat is {run.env.repeat}: use --env.repeat 1"
        )
    return matching_columns(source, columns(str(expanded(source)), actions, spec.obs["state"][0]), spec)


def of_run(folder: Path, run: Run, actions: FlatActions) -> Columns:
    """What the newest checkpoint of another run has in replay; raises UserError where its environment was another."""
    theirs = from_json(Run, read_config(folder)).env
    for name in DECIDING:
        there, here = getattr(theirs, name), getattr(run.env, name)
        if there != here:
            told = f"{folder} was recorded with env.{name} {show(there)}, and this run has {show(here)}"
            raise UserError(f"{told}: let both agree, in env.{name} and what is in it")
    kept = spaces.read(folder)
    if kept and kept.action != actions.space:
        there, here = spelled(kept.action), spelled(actions.space)
        raise UserError(f"{folder} was recorded with actions {there}, and this run has {here}: let both agree")
    state = read(folder, only={"replay"}).parts["replay"]
    pieces = [rows for _, rows in blocks(folder / "replay", state)]
    if not pieces:
        raise UserError(f"{folder} has nothing in replay at its newest checkpoint: let it run on first")
    return {name: torch.cat([piece[name] for piece in pieces]) for name in pieces[0]}


def matching_columns(source: str, rows: Columns, spec: Spec) -> Columns:
    """Those rows that this agent's replay keeps; what was decided elsewhere was decided anew at every step.

    Raises UserError where a column is missing or of another shape.
    """
    layout = Layout(spec)
    known = {"left": torch.ones_like(rows["reward"])} | rows
    wanted: dict[str, Shape] = {name: (place.stop - place.start,) for name, place in layout.places.items()}
    wanted |= {f"obs.{name}": (shape[0] // spec.stack, *shape[1:]) for name, shape in layout.pictures.items()}
    for name, shape in wanted.items():
        found = tuple(known[name].shape[2:]) if name in known else None
        if found != shape:
            raise UserError(
                f"the data set {source} has {'no' if found is None else found} {name} where this run has {shape}: it "
                "is of another environment"
            )
    return {name: known[name] for name in wanted}


def held(source: str, rows: Columns, run: Run, spec: Spec) -> Replay:
    """A replay that holds exactly these rows; raises UserError where no window starts in them."""
    count, envs = rows["reward"].shape[:2]
    room = replace(
        run.replay,
        capacity=max(count, SMALLEST) * envs,
        sampler=Uniform(),
        memory_map=False,
        host=run.replay.host or run.replay.memory_map,
    )
    data = Replay(room, spec, envs, run.train.gamma, derive(run.seed, "dataset"), run.device)
    data.ranking.cut(rows["first"][0, :, 0] == 0)  # episodes whose beginning nobody recorded
    data.ranking.fill(rows["reward"][..., 0], rows["last"][..., 0].bool())
    data.restore(count, [(0, rows)])
    if not data.ready:
        raise UserError(f"the data set {source} is too short: no window of this run starts in its {count} rows")
    return data
