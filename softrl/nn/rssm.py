"""The recurrent state-space model (PlaNet, arXiv 1811.04551, section 3; Dreamer, arXiv 1912.01603).

Shapes: see `softrl.types`; L trajectories of a row, F = S + H features, S of them stochastic and H deterministic;
X numbers of an embedding.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from softrl.errors import UserError
from softrl.nn.latents import AnyLatent, Normal
from softrl.nn.layers import Activation, ActivationName, Linear
from softrl.nn.readout import Readout
from softrl.nn.trunks.mlp import MLP


@dataclass(frozen=True)
class RSSM:
    """A state with a deterministic half, a gated recurrent unit, and a stochastic half that is inferred or predicted.

    h_t = GRU(act(W [z_{t-1}, a_{t-1}] + b), h_{t-1})
    prior  z_t ~ p(. | h_t),    posterior  z_t ~ q(. | h_t, x_t)

    As in PlaNet (arXiv 1811.04551, section 3).
    """

    deterministic: int = 200
    """Numbers in the deterministic half."""
    units: int = 200
    """Units of every layer in between."""
    latent: AnyLatent = field(default_factory=Normal)
    """The stochastic half."""
    activation: ActivationName = "elu"
    """Nonlinearity of these layers."""

    def __post_init__(self) -> None:
        if self.deterministic < 1 or self.units < 1:
            raise UserError(
                f"the world model has {self.deterministic} deterministic numbers and {self.units} hidden units: each "
                "must be at least 1"
            )
        if self.activation == "crelu":
            raise UserError("activation crelu is twice as wide as its inputs, and a state is not: use elu or silu")

    def build(self, embedding: int, action: int) -> "Dynamics":
        """The module for embeddings and actions of these widths."""
        return Dynamics(self, embedding, action)


class FilterInputs(NamedTuple):
    """What a filter is given, with all that does not depend on its state computed beforehand; time comes first."""

    keep: Tensor  # [T,B,1]: 0 where an episode opens and the state before means nothing
    action: Tensor  # [T,B,hidden], what the action before adds
    seen: Tensor  # [T,B,hidden], what the observation adds


class Filtered(NamedTuple):
    """What a filter returns."""

    features: Tensor  # [T,L,B,F]
    params: Tensor  # [T,L,B,..], of the posteriors


class GatedCell(nn.Module):
    """h' = (1 - u) n + u h, a gated recurrent unit (Cho et al. 2014, arXiv 1406.1078), as in torch.nn.GRUCell.

    r, u = sigmoid(W x + V h),    n = tanh(W_n x + r (V_n h))
    """

    def __init__(self, inputs: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.inputs = Linear(inputs, 3 * size, init="lecun")
        self.state = Linear(size, 3 * size, init="lecun")

    def forward(self, x: Tensor, state: Tensor) -> Tensor:  # [1,R,i], [1,R,H] -> [1,R,H]
        gates_x, new_x = self.inputs(x).split([2 * self.size, self.size], -1)
        gates_h, new_h = self.state(state).split([2 * self.size, self.size], -1)
        reset, update = (gates_x + gates_h).sigmoid().chunk(2, -1)
        return torch.lerp(torch.addcmul(new_x, reset, new_h).tanh(), state, update)


class Dynamics(nn.Module):
    """Filters what was seen, and imagines what may come. Features are [z, h]; those before an episode are zero."""

    def __init__(self, config: RSSM, embedding: int, action: int) -> None:
        super().__init__()
        latent, hidden, self.deterministic = config.latent, config.units, config.deterministic
        self.latent, self.width = latent, latent.width + config.deterministic
        self.activation = Activation(config.activation)
        # One layer each, cut in two where a part can be computed for all times at once.
        self.from_latent, self.from_action = cut(latent.width, action, hidden)
        self.cell = GatedCell(hidden, config.deterministic)
        self.from_state, self.from_seen = cut(config.deterministic, embedding, hidden)
        self.posterior = Linear(hidden, latent.numbers, init="lecun")
        self.prior = Readout(MLP((hidden,), "lecun", config.activation), config.deterministic, latent.numbers)

    def given(self, embedding: Tensor, before: Tensor, first: Tensor) -> FilterInputs:
        """Embeddings [B,T,X], the actions before them [B,T,A] and where episodes open, [B,T], made ready."""
        keep = (~first).T[..., None].to(embedding.dtype)  # [T,B,1]
        action = self.over(self.from_action, before.transpose(0, 1) * keep)
        return FilterInputs(keep, action, self.over(self.from_seen, embedding.transpose(0, 1)))

    def filter(self, given: FilterInputs, start: Tensor) -> Filtered:
        """L posterior trajectories of each row from features [L,B,F], independent of each other."""
        noise = self.latent.noise((len(given.keep), *start.shape[:2]), start)
        features, steps, posteriors = start, [], []
        for keep, action, seen, drawn in zip(*given, noise, strict=True):
            state = self.moved(features * keep, action)
            params = self.over(self.posterior, self.activation(self.over(self.from_state, state) + seen))
            features = torch.cat([self.latent.draw(params, drawn), state], -1)
            steps.append(features)
            posteriors.append(params)
        return Filtered(torch.stack(steps), torch.stack(posteriors))

    def imagine(self, features: Tensor, action: Tensor) -> Tensor:
        """Features drawn from the prior after an action, [R,F], [R,A] -> [R,F]."""
        state = self.moved(features[None], self.from_action(action))
        noise = self.latent.noise(state.shape[:2], state)
        return torch.cat([self.latent.draw(self.prior(state), noise), state], -1)[0]

    def expected(self, features: Tensor) -> Tensor:
        """The parameters of the priors of what was inferred, for features of any leading axes."""
        return self.prior(features[..., -self.deterministic :])

    def moved(self, features: Tensor, action: Tensor) -> Tensor:
        """The deterministic half after an action, [L,B,F] and what the action adds [..,B,hidden] -> [L,B,H]."""
        latent, state = features.split([self.latent.width, self.deterministic], -1)
        x = self.activation(self.over(self.from_latent, latent) + action).flatten(0, 1)[None]
        return self.cell(x, state.flatten(0, 1)[None])[0].unflatten(0, state.shape[:2])

    def over(self, layer: nn.Module, x: Tensor) -> Tensor:
        """A layer over two leading axes, [a,b,i] -> [a,b,o]."""
        return layer(x.flatten(0, 1))[0].unflatten(0, x.shape[:2])

    def start(self, trajectories: int, rows: int) -> Tensor:
        """The features before an episode, [L,B,F]."""
        return self.from_latent.weight.new_zeros(trajectories, rows, self.width)


def cut(left: int, right: int, outputs: int) -> tuple[Linear, Linear]:
    """A layer of left + right inputs as two whose sum it is, drawn as one would be."""
    share = left / (left + right)
    return (
        Linear(left, outputs, init="lecun", bias=False, gain=share**0.5),
        Linear(right, outputs, init="lecun", gain=(1 - share) ** 0.5),
    )
