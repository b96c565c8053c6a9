"""Imagination: what a world model expects to come, under a policy or under actions that were taken.

Shapes: see `softrl.types`; H decisions ahead, R starts, F features.
"""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from softrl.errors import UserError
from softrl.nn.actors import Actor
from softrl.types import Actions, Window

if TYPE_CHECKING:
    from softrl.nn.encoders.world import WorldModel


class Imagined(NamedTuple):
    """What came of a start; decision t leads from features t to features t + 1."""

    features: Tensor  # [H+1,R,F]
    actions: Actions  # of the H decisions of each start: [1,H*R,..], the first decision of all starts first
    reward: Tensor  # [H,R]
    continue_prob: Tensor  # [H,R], probability that the episode goes on


def imagine(world: "WorldModel", actor: Actor, start: Tensor, horizon: int) -> Imagined:
    """The policy in the model, from features [R,F] (Dreamer, arXiv 1912.01603, algorithm 1).

    Gradients reach the policy through rewards and features of the model, from action to action; what the policy reads
    is held fixed. Raises UserError for a horizon below one.
    """
    check_horizon(horizon)
    features, chosen = [start], []
    for _ in range(horizon):
        actions = actor(features[-1].detach())
        features.append(world.dynamics.imagine(features[-1], actions.value[0]))
        chosen.append(actions)
    path = torch.stack(features)
    after = path[1:]
    joined = Actions(*(torch.cat(parts, 1) for parts in zip(*chosen, strict=True)))
    return Imagined(path, joined, world.reward(after)[..., 0], world.persistence(after)[..., 0].sigmoid())


def check_horizon(horizon: int) -> None:
    """Refuse to imagine nothing; raises UserError."""
    if horizon < 1:
        raise UserError(
            f"agent.lookahead.horizon is {horizon}: imagination needs at least one decision ahead, Dreamer takes 15"
        )


@torch.no_grad()
def open_loop(world: "WorldModel", window: Window, seen: int) -> Tensor:
    """What the model expects to see after `seen` observations, given the actions that were taken, [T,B,O].

    The first entries are reconstructions of what was seen, the others follow from priors alone: open-loop prediction.
    An episode that opens later is predicted from a state of zeros. Raises UserError where nothing is left to predict.
    """
    length = window.action.shape[1]
    if not 1 <= seen < length:
        raise UserError(
            f"{seen} of {length} observations are to be seen: see at least 1 and leave at least 1 to foresee"
        )
    features = list(world.trace(window).filtered.features[:seen, 0])
    for t in range(seen, length):
        keep = ~window.first[:, t, None]
        features.append(world.dynamics.imagine(features[-1] * keep, window.action[:, t - 1] * keep))
    return world.sight.predict(torch.stack(features))


def prediction_error(world: "WorldModel", window: Window, seen: int = 5) -> Tensor:
    """Mean squared error of open-loop prediction in every row, [T,B]; the first `seen` are reconstructions."""
    target = world.sight.target(window.obs).transpose(0, 1)
    return (open_loop(world, window, seen) - target).square().flatten(2).mean(2)


def foreseen_error(world: "WorldModel", window: Window, seen: int = 5) -> Tensor:
    """Mean squared error of open-loop prediction over all that follows from what was seen, a number.

    `seen` observations, or all but the last of a shorter window, are seen. Nobody can tell where an episode that opens
    later begins, so it does not count; the error is not a number where every row is of such an episode.
    """
    seen = min(seen, window.action.shape[1] - 1)
    follows = window.first[:, seen:].cumsum(1).T == 0
    return prediction_error(world, window, seen)[seen:][follows].mean()


def film(world: "WorldModel", window: Window, rows: int = 6, seen: int = 5) -> dict[str, Tensor]:
    """Truth, prediction and difference below each other, some rows side by side: `open_loop`, bytes [T,3,3*h,rows*w].

    `seen` frames, or all but the last of a shorter window, are reconstructed and the others predicted. There is no film
    where observations are no pictures.
    """
    window = window.map(lambda x: x[:rows])
    target = world.sight.target(window.obs).transpose(0, 1)
    predicted = open_loop(world, window, min(seen, len(target) - 1))
    shown = [world.sight.visible(x) for x in (target, predicted, 0.5 * (predicted - target))]
    panels = [x.permute(0, 2, 3, 1, 4).flatten(-2) for x in shown if x is not None]  # [T,3,h,rows*w]
    return {"open_loop": torch.cat(panels, 2)} if panels else {}


def still(film: Tensor, frames: int = 16) -> Tensor:
    """The first frames of a film side by side, bytes [T,3,h,w] -> [3,h,frames*w]."""
    return torch.cat(list(film[:frames]), -1)
