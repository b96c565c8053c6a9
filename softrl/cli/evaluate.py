"""`softrl evaluate`: the returns of a run's policy."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import Literal

from softrl.cli.options import parse
from softrl.cli.output import answer
from softrl.errors import UserError


@dataclass(frozen=True)
class Options:
    """Flags of the command."""

    episodes: int = 10
    """Episodes to play."""
    seed: int = 0
    """Where the episodes' seeds come from, none of which training has used."""
    stochastic: bool = False
    """Act as while collecting, exploration included, instead of taking the policy's mode."""
    video: str | None = None
    """Writes a video (.mp4) of an episode with the first seed; with --stochastic it is not one of those counted."""
    json: bool = False
    """Print one JSON object."""
    checkpoint: int | Literal["latest", "best"] = "latest"
    """Which weights: the latest, the best of all evaluations, or those of a kept step."""
    env: str | None = None
    """Another environment with the same spaces, by name: needed where the run's own came from Python or has moved."""

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise UserError(f"episodes is {self.episodes}: play at least one")


def main(words: Sequence[str]) -> None:
    """Evaluate; raises UserError."""
    if parsed := parse("evaluate", words, Options(), 1, 1):
        (run,), options = parsed
        from softrl import api
        from softrl.run.evaluate import caution

        result = api.evaluation(
            run,
            options.env,
            episodes=options.episodes,
            deterministic=not options.stochastic,
            video=options.video,
            which=options.checkpoint,
            seed=options.seed,
        )
        if told := caution(result):
            print(f"softrl: {told}", file=sys.stderr)
        summary = {
            "return_mean": fmean(result.returns),
            "return_sd": pstdev(result.returns),
            "return_min": min(result.returns),
            "return_max": max(result.returns),
            "length_mean": fmean(result.lengths),
        }
        if result.successes:
            summary["success_mean"] = fmean(result.successes)
        if planned := [told for told in result.plans if told and None not in told]:
            summary["chunk_length_mean"], summary["confidence_mean"] = map(fmean, zip(*planned, strict=True))
        if options.json:
            answer(json.dumps({**summary, "returns": result.returns, "lengths": result.lengths}))
        else:
            answer(sentence(summary, options.episodes))


def sentence(summary: dict[str, float], episodes: int) -> str:
    """The summary in a line."""
    words = (
        "return {return_mean:.1f}, sd {return_sd:.1f}, from {return_min:.1f} to {return_max:.1f}, over {episodes} "
        + ("episode" if episodes == 1 else "episodes")
        + " of {length_mean:.0f} steps"
        + (", success {success_mean:.0%}" if "success_mean" in summary else "")
        + (", {chunk_length_mean:.1f} actions of a plan executed" if "chunk_length_mean" in summary else "")
    )
    return words.format(**summary, episodes=episodes)
