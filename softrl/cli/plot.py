"""`softrl plot`: learning curves of runs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from softrl.cli.options import parse
from softrl.cli.output import answer


@dataclass(frozen=True)
class Options:
    """Flags of the command."""

    out: str = "curves.png"
    """The picture to write, .png or .svg."""
    by: Literal["recipe", "env", "seed"] = "recipe"
    """What each curve stands for."""
    reference: str | None = None
    """A method whose published scores are drawn beside the curves, such as sac."""


def main(words: Sequence[str]) -> None:
    """Draw; raises UserError."""
    if parsed := parse("plot", words, Options(), 1, math.inf):
        runs, options = parsed
        from softrl.plots.curves import plot
        from softrl.run.paths import expanded

        answer(str(plot(list(map(expanded, runs)), expanded(options.out), options.by, options.reference)))
