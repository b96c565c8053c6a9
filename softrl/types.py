"""The six nouns of softrl: Spec, Step, Window, Batch, Atoms, Actions.

Shapes, here and in every file:

    N  environments          B  rows of a batch        T  rows of a window
    A  width of an action    D  width of a latent      E  members of an ensemble
    K  weighted actions      C  log-prob components    M  atoms of a return distribution
    V  views of a row        P  width of what the policy reads
    W  features of a layer, or numbers in a row of outputs
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

Shape = tuple[int, ...]
Obs = dict[str, Tensor]
Metrics = dict[str, Tensor]  # 0-d tensors on the device
Carry = dict[str, Tensor]  # recurrent state: what parts remember between acts, by name, leading axis [N]


class Spec(NamedTuple):
    """What environment, agent and replay agree on.

    Spaces and frame stack are the environment's, the discount is the run's, and which windows replay must return is set
    by the agent from its parts. Each field says whose it is.
    """

    obs: dict[str, Shape]  # environment: shapes of the observations by name
    continuous: int  # environment: continuous action components, each in [-1, 1]
    choices: tuple[int, ...] = ()  # environment: sizes of the discrete choices, one-hots before the continuous part
    chunk: int = 1  # agent: actions of a chunk, chosen at once
    gamma: float = 0.99  # run: discount of one decision, train.gamma
    prefixes: bool = False  # agent: whether every beginning of a chunk is to be valued, and not whole ones only
    stack: int = 1  # environment: newest frames that lie one after the other in the channels of `pixels`
    sequence: int = 0  # agent: rows of a window that is a stretch of experience; 0 for windows of single decisions
    best: float = 0.0  # agent: share of the finished episodes whose rows windows point out; 0 points out none

    @property
    def action(self) -> int:
        """Width A of one action: one-hots, then the continuous part."""
        return sum(self.choices) + self.continuous


class Step(NamedTuple):
    """One row of the replay buffer, which the collector writes for each environment."""

    obs: Obs  # [N,..]
    action: Tensor  # [N,A]
    reward: Tensor  # [N]
    terminated: Tensor  # [N] bool
    last: Tensor  # [N] bool: a final observation, never the start of a transition
    left: Tensor | int = 1  # [N]: actions of the plan that were still to be executed, this one included


class Window(NamedTuple):
    """A batch of what replay says at once: transitions, of one step, n steps or a chunk, or sequences.

    A transition has two observations, T actions (the first, or those of a chunk, each with its mask behind it) and one
    return, R = 1. A sequence (`Spec.sequence`) has T of everything, R = T, and may span episodes.
    """

    obs: Obs  # [B,2,..], of a sequence [B,T,..]
    action: Tensor  # [B,T,A], of chunks [B,T,A+1]
    reward: Tensor  # [B,R]
    discount: Tensor  # [B,R]
    first: Tensor  # [B,R] bool: the decision opens an episode
    weight: Tensor  # [B], ones for uniform replay
    index: Tensor  # type: ignore[assignment]  # [B], where the rows came from
    last: Tensor | None = None  # [B,T] bool, in sequences: a final observation, whose decision is none
    best: Tensor | None = None  # [B] bool, where `Spec.best` asks: of one of the best episodes in replay

    def map(self, change: Callable[[Tensor], Tensor]) -> "Window":
        """The same window with every tensor changed."""
        obs = {name: change(value) for name, value in self.obs.items()}
        return Window(obs, *(None if value is None else change(value) for value in self[1:]))  # type: ignore[arg-type]


class Batch(NamedTuple):
    """What the update sees: latent, flat, one decision a row.

    `discount` is gamma^m * (not terminated): n-step returns, chunks, truncation and termination are all in here.
    Where an encoder gives V views of a row, B stands for V*B, the first view of all rows first; the policy learns from
    the first view.
    """

    z: Tensor  # [B,D], what the critic reads
    policy_z: Tensor  # [B/V,P], what the policy reads, z unless the encoder shows it something else
    next_z: Tensor  # [B,P], what the policy reads at the next observation
    target_z: Tensor  # [B,D], what the critic's target reads there
    action: Tensor  # [B,A]
    reward: Tensor  # [B]
    discount: Tensor  # [B]
    weight: Tensor  # [B]
    best: Tensor | None = None  # [B/V] bool, that of the window
    old_z: Tensor | None = None  # [B,D], what the critic's target reads at z's observation, where that is not z


class Atoms(NamedTuple):
    """A return distribution: M weighted values."""

    value: Tensor  # [..,M]
    prob: Tensor  # [..,M], sums to 1

    def mean(self) -> Tensor:
        """Expected return, [..]."""
        return (self.value * self.prob).sum(-1)

    def expected(self) -> "Atoms":
        """The expected return as the only atom, [..,1]."""
        value = self.mean()[..., None]
        return Atoms(value, value.new_ones(()).expand_as(value))

    def pool(self, dim: int) -> "Atoms":
        """Mixture with equal weights over `dim`, whose entries become further atoms."""
        size = self.value.shape[dim]
        value = self.value.movedim(dim, -2).flatten(-2)
        prob = self.prob.movedim(dim, -2).flatten(-2)
        return Atoms(value, prob / size)


class Actions(NamedTuple):
    """A policy's answer, ready for an expectation: K weighted actions for each row."""

    value: Tensor  # [K,B,A]
    log_prob: Tensor  # [K,B,C]
    prob: Tensor  # [K,B], sums to 1 over K

    def expectation(self, of: Tensor) -> Tensor:
        """Policy mean of a quantity given for each of the K actions, [K,B,..] -> [B,..]."""
        prob = self.prob.reshape(self.prob.shape + (1,) * (of.dim() - 2))
        return (prob * of).sum(0)
