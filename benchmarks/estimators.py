"""Draws docs/estimators.png: estimators of a density with its latent integrated out, against numerical integration.

The toy policy of tests/math/test_latents.py: a | z ~ N(z, 1/2) with z ~ N(0, 1). An error is what an estimator answers
for an action, from the latent that acted and K others, less the logarithm of the integral over all latents.
"""

import argparse
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import matplotlib
import torch
from matplotlib.figure import Figure
from torch import Tensor

from softrl.math.densities import normal_log_prob
from softrl.math.latents import log_mean_exp, naive, nested
from softrl.plots.style import GREY, SETTINGS, Look, legend, line, save

OUT = Path(__file__).resolve().parent.parent / "docs" / "estimators.png"
STD = 0.5  # of the policy given a latent
EXTRA = (0, 1, 2, 4, 8, 16, 32, 64, 128)  # K
BLOCKS, DRAWS = 200, 1_000
NODES = torch.linspace(-9, 9, 181, dtype=torch.float64)  # plenty for smooth integrands that vanish at both ends


def alone(log_prob: Tensor) -> Tensor:
    """The mean over the other latents only."""
    return log_mean_exp(log_prob[..., 1:])


ESTIMATORS: dict[str, tuple[Callable[[Tensor], Tensor], Look]] = {
    "naive": (naive, line(0)),
    "nested": (nested, line(1) | {"linestyle": "--"}),
    "without the acting latent: too low": (alone, {"color": GREY, "linestyle": ":"}),
}


def given(action: Tensor, latent: Tensor) -> Tensor:
    """log pi(a | z)."""
    return normal_log_prob((action - latent) / STD, torch.tensor(math.log(STD), dtype=action.dtype))


def integrated(action: Tensor) -> Tensor:
    """log of the integral of pi(a | z) p(z) over z by the trapezoid rule, [N] -> [N]."""
    prior = normal_log_prob(NODES, torch.zeros((), dtype=NODES.dtype))
    return torch.trapezoid((given(action[:, None], NODES) + prior).exp(), NODES).log()


def measured() -> dict[tuple[str, int], Tensor]:
    """Errors of every estimator with every number of further latents, all from the same draws, [BLOCKS*DRAWS] each."""
    draw = partial(torch.randn, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pairs = [(name, extra) for name in ESTIMATORS for extra in EXTRA if extra or name in ("naive", "nested")]
    found: dict[tuple[str, int], list[Tensor]] = {pair: [] for pair in pairs}
    for _ in range(BLOCKS):
        latent = draw(DRAWS, 1 + EXTRA[-1])
        action = latent[:, 0] + STD * draw(DRAWS)
        log_prob, truth = given(action[:, None], latent), integrated(action)
        for name, extra in pairs:
            found[name, extra].append(ESTIMATORS[name][0](log_prob[:, : 1 + extra]) - truth)
    return {pair: torch.cat(blocks) for pair, blocks in found.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and draw it."""
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    errors = measured()
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(8.4, 3.1), layout="constrained")
        bias, spread = figure.subplots(1, 2)
        for name, (_, look) in ESTIMATORS.items():
            mine = {extra: error for (other, extra), error in errors.items() if other == name}
            places = [EXTRA.index(extra) for extra in mine]
            means, deviations = ([float(value) for value in map(f, mine.values())] for f in (torch.mean, torch.std))
            for extra, mean, deviation in zip(mine, means, deviations, strict=True):
                print(f"{name:34} K = {extra:3}   bias {mean:+.4f}   standard deviation {deviation:.4f}")
            bias.plot(places, [abs(mean) for mean in means], marker=".", label=name, **look)
            spread.plot(places, deviations, marker=".", label=name, **look)
        bias.set_ylabel(r"size of the bias of $\log \hat\pi(a)$, nats")
        spread.set_ylabel("standard deviation of the error, nats")
        for axis, ticks in ((bias, (0.01, 0.1, 1)), (spread, (0.2, 0.5, 1, 2, 5))):
            axis.set_yscale("log", subs=[])
            axis.set_yticks(ticks, [str(tick) for tick in ticks])
            axis.set_xticks(range(len(EXTRA)), [str(extra) for extra in EXTRA])
            axis.set_xlabel("further latents K")
        legend(figure, [bias])
        save(figure, OUT)


if __name__ == "__main__":
    main()
