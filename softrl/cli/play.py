"""`softrl play`: a video of a run's policy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from softrl.cli.options import parse
from softrl.cli.output import answer


@dataclass(frozen=True)
class Options:
    """Flags of the command."""

    out: str | None = None
    """The .mp4 file to write; none is RUN/videos/play.mp4."""
    seed: int = 0
    """Where the episode's seed comes from."""
    checkpoint: int | Literal["latest", "best"] = "latest"
    """Which weights: the latest, the best of all evaluations, or those of a kept step."""
    env: str | None = None
    """Another environment with the same spaces, by name: needed where the run's own came from Python or has moved."""


def main(words: Sequence[str]) -> None:
    """Film one episode; raises UserError."""
    if parsed := parse("play", words, Options(), 1, 1):
        (run,), options = parsed
        from softrl import api

        answer(str(api.play(run, out=options.out, which=options.checkpoint, seed=options.seed, env=options.env)))
