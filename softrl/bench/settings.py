"""Which settings of a run a measurement takes beside its own flags, and how they are told."""

from collections.abc import Collection, Mapping
from typing import Any

from softrl.run.config import Run
from softrl.run.fields import settings
from softrl.run.kinds import show

Settings = Mapping[str, Any]
"""Dotted path of a run's field -> value."""
DATA = ("replay.dataset", "replay.dataset_share")
"""Settings that need files, whose reading nothing here measures."""


def taken(run: Run, groups: tuple[str, ...], without: Collection[str]) -> list[str]:
    """The paths of those settings of a run that begin like one of `groups`, without some."""
    return [path for path in settings(run) if path.startswith(groups) and path not in without]


def told(recipe: str, values: Settings) -> str:
    """A recipe and what was set beside it: `tqc, agent.critic.members 2`."""
    return ", ".join([recipe, *texts(values)])


def texts(values: Settings) -> list[str]:
    """A path and its value each."""
    return [f"{path} {show(value)}" for path, value in values.items()]
