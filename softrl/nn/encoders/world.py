"""The world model as an encoder: what was seen so far -> features of a recurrent state.

Shapes: see `softrl.types`; L particles, F features of a state, R real decisions, O numbers of an observation.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from softrl.errors import UserError
from softrl.math.generators import forked_generators
from softrl.math.latents import balanced_kl
from softrl.nn.actors import Actor
from softrl.nn.either import AnySight, Either
from softrl.nn.encoders import Encoder, Losses, Value
from softrl.nn.imagine import film, foreseen_error, still
from softrl.nn.particles import Particles
from softrl.nn.readout import DENSE, Readout, check_rowwise
from softrl.nn.rssm import RSSM, Filtered, FilterInputs
from softrl.nn.trunks import TrunkConfig
from softrl.nn.trunks.mlp import MLP
from softrl.types import Atoms, Batch, Carry, Obs, Spec, Window


@dataclass(frozen=True)
class World:
    """A model that is learned to reconstruct and to predict rewards (Dreamer, arXiv 1912.01603, section 4)."""

    sight: AnySight = field(default_factory=Either)
    """How observations are read and reconstructed."""
    dynamics: RSSM = field(default_factory=RSSM)
    """How states follow each other."""
    reward: MLP = DENSE
    """Body of the network that predicts rewards."""
    persistence: MLP = MLP((300, 300, 300), init="lecun", activation="elu")
    """Body of the network that predicts whether an episode goes on."""
    free_nats: float = 3.0
    """Divergence of posterior and prior, in nats on average over a batch, that costs nothing."""
    prior_weight: float = 1.0
    """How fast priors move towards posteriors; 0.8 in DreamerV2."""
    posterior_weight: float = 1.0
    """How fast posteriors move towards priors; 0.2 in DreamerV2."""
    particles: Particles = field(default_factory=Particles)
    """Posterior trajectories that the policy's density is averaged over."""
    sequence: int = 50
    """Rows of a stretch of experience to learn from."""

    def __post_init__(self) -> None:
        if self.free_nats < 0:
            raise UserError(f"agent.encoder.free_nats is {self.free_nats}: it must not be negative, 0 frees none")
        if self.prior_weight <= 0 or self.posterior_weight < 0:
            raise UserError(
                f"agent.encoder.prior_weight is {self.prior_weight} and posterior_weight {self.posterior_weight}: the "
                "first must be positive and the second not negative, such as 0.8 and 0.2"
            )
        if self.sequence < 2:
            raise UserError(f"agent.encoder.sequence is {self.sequence}: to predict takes at least 2 rows, try 50")
        check_rowwise(self.reward, self.persistence)

    @property
    def needs(self) -> frozenset[str]:
        """What several particles ask of the actor."""
        return frozenset({"latents"} if self.particles.count else ())

    @property
    def latents(self) -> int:
        """Latents of a row that the policy reads."""
        return 1 + self.particles.count

    @property
    def views(self) -> int:
        """Rows that the critic learns from for each decision."""
        return self.particles.judged

    def policy_trunk(self, trunk: TrunkConfig) -> TrunkConfig:
        """The trunk of a network that reads what the policy reads: nothing comes before it."""
        return trunk

    def check(self, spec: Spec) -> None:
        """Raises UserError for choices to be made, and where observations and sight do not fit."""
        if spec.choices:
            raise UserError(
                "the world model's recipes act with numbers, and this action space has choices: use a recipe such as "
                "sac, or an environment with a Box of actions"
            )
        if spec.chunk > 1:
            raise UserError("the world model filters after every action: leave out the recipe that brings agent.chunk")
        self.sight.check(spec)

    def build(self, spec: Spec) -> "WorldModel":
        """The module for observations and actions of `spec`; raises UserError as `check` does."""
        self.check(spec)
        return WorldModel(self, spec)


class Trace(NamedTuple):
    """A window as the model saw it; time comes first."""

    given: FilterInputs
    filtered: Filtered  # L = 1
    target: Tensor  # [T,B,O], what was to be reconstructed


class WorldModel(Encoder):
    """z = posterior features, without gradient: the losses of actor and critic never reach the model.

    Features at t + 1 predict the reward and the end that follow action t. Nothing of one episode reaches the next: the
    first row of each has a state of zeros behind it, and so has the first row of a window.
    """

    def __init__(self, config: World, spec: Spec) -> None:
        super().__init__()
        self.config, self.particles, self.action = config, config.particles, spec.action
        features = self.width = self.policy_width = config.dynamics.latent.width + config.dynamics.deterministic
        self.sight = config.sight.build(features, spec)
        self.dynamics = config.dynamics.build(self.sight.width, spec.action)
        self.reward = Readout(config.reward, features, 1)
        self.persistence = Readout(config.persistence, features, 1)

    def forward(self, window: Window, actor: Actor) -> tuple[Batch, Losses]:
        trace = self.trace(window)
        return self.batch(window, self.trajectories(trace)), self.losses(window, trace)

    def trace(self, window: Window) -> Trace:
        """One posterior trajectory of every row, with gradient."""
        target = self.sight.target(window.obs)
        before = torch.cat([torch.zeros_like(window.action[:, :1]), window.action[:, :-1]], 1)
        given = self.dynamics.given(self.sight.embed(target), before, window.first)
        filtered = self.dynamics.filter(given, self.dynamics.start(1, len(window.weight)))
        return Trace(given, filtered, target.transpose(0, 1))

    def losses(self, window: Window, trace: Trace) -> Losses:
        """What the model learns from; divergence and entropies come without gradient, to be logged only."""
        features, params = trace.filtered.features[:, 0], trace.filtered.params[:, 0]  # [T,B,..]
        prior, latent, config = self.dynamics.expected(features), self.dynamics.latent, self.config
        is_decision = self.is_decision(window)  # [T-1,B]
        reward = self.reward(features[1:])[..., 0]
        continues = (window.discount.T[:-1] > 0).float()
        end = F.binary_cross_entropy_with_logits(self.persistence(features[1:])[..., 0], continues, reduction="none")
        weights = (config.prior_weight, config.posterior_weight)
        losses = {
            "reconstruction_loss": self.sight.loss(features, trace.target).mean(),
            "reward_loss": mean_where(is_decision, 0.5 * (reward - window.reward.T[:-1]).square()),
            "continue_loss": mean_where(is_decision, end),
            "kl_loss": balanced_kl(latent.divergence, params, prior, config.free_nats, weights),
        }
        with torch.no_grad():
            metrics = {
                "kl": latent.divergence(params, prior).mean(),
                "prior_entropy": latent.entropy(prior).mean(),
                "posterior_entropy": latent.entropy(params).mean(),
            }
        return losses | metrics

    @torch.no_grad()
    def trajectories(self, trace: Trace) -> Tensor:
        """All particles, the trace's own first, [T,L,B,F]."""
        own = trace.filtered.features
        if not self.particles.count:
            return own
        further = self.dynamics.filter(trace.given, self.dynamics.start(self.particles.count, own.shape[2]))
        return torch.cat([own, further.features], 1)

    def batch(self, window: Window, features: Tensor) -> Batch:
        """The real decisions of a window at particles [T,L,B,F], R = (T-1) * B.

        At a final observation none was made: it weighs 0, and for the policy, whose losses have no weights, another
        row stands in its place, as `stand_ins` says.
        """
        features, is_decision = features.detach().transpose(1, 2), self.is_decision(window)
        columns = torch.arange(is_decision.shape[1], device=features.device)
        now = features[stand_ins(is_decision), columns].flatten(0, 1)  # [R,L,F]
        after, weight = features[1:].flatten(0, 1), is_decision * window.weight
        taken = (x.transpose(0, 1)[:-1] for x in (window.action, window.reward, window.discount))
        action, reward, discount, weight = (
            torch.cat([x.flatten(0, 1)] * self.particles.judged) for x in (*taken, weight)
        )  # [V*R,..]
        return Batch(
            z=self.particles.views(now),
            policy_z=self.particles.read(now),
            next_z=self.particles.ahead(after),
            target_z=self.particles.views(after),
            action=action,
            reward=reward,
            discount=discount,
            weight=weight,
        )

    def is_decision(self, window: Window) -> Tensor:
        """Which rows, but the last, hold a decision whose outcome is the next row, [T-1,B]."""
        assert window.last is not None  # sequences say so
        return ~(window.last[:, :-1] | window.first[:, 1:]).T

    def may_start(self, window: Window) -> Tensor:
        """From which rows a policy may go on: all but final observations, [T*B]."""
        assert window.last is not None  # sequences say so
        return ~window.last.T.flatten()

    def q_for_actor(self, actor_q: Value, b: Batch, action: Tensor) -> Tensor:
        """Q-values of the policy's actions [K,R,A] over all particles of their rows, [K,R].

        `actor_q` returns [K,R*L] for [R*L,F] and [K,R*L,A].
        """
        z = b.policy_z.detach().unflatten(-1, (-1, self.width))  # [R,L,F]
        q = actor_q(z.flatten(0, 1), action.repeat_interleave(z.shape[1], 1))
        return self.particles.pooled(q.unflatten(1, z.shape[:2]))

    def critic_trained(self) -> list[nn.Module]:
        return []

    def self_trained(self) -> list[nn.Module]:
        return [self]

    def average_views(self, target: Atoms) -> Atoms:
        return target

    def follow(self) -> None:
        pass

    def initial(self, count: int) -> Carry:
        features = self.dynamics.start(1, count)[0]
        return {"encoder.features": features, "encoder.action": features.new_zeros(count, self.action)}

    @torch.no_grad()
    def act(self, obs: Obs, carry: Carry) -> tuple[Tensor, Carry]:
        embedding = self.sight.embed(self.sight.target(obs))[:, None]
        first = torch.zeros(embedding.shape[:2], dtype=torch.bool, device=embedding.device)
        given = self.dynamics.given(embedding, carry["encoder.action"][:, None], first)
        features = self.dynamics.filter(given, carry["encoder.features"][None]).features[0, 0]
        return features, carry | {"encoder.features": features}

    def acted(self, action: Tensor, carry: Carry) -> Carry:
        return carry | {"encoder.action": action}

    def watch(self, obs: Obs, action: Tensor, carry: Carry) -> Carry:
        return self.acted(action, self.act(obs, carry)[1])

    def observe(self, obs: Obs) -> None:
        pass

    def measures(self, window: Window) -> dict[str, Tensor]:
        """How far open-loop prediction is off; its draws are apart and change no run."""
        with forked_generators(window.reward):
            return {"prediction_error": foreseen_error(self, window)}

    def pictures(self, window: Window) -> dict[str, Tensor]:
        """The first frames of a row, open-loop prediction and their difference; nothing without pictures."""
        with forked_generators(window.reward):
            return {name: still(frames) for name, frames in film(self, window, rows=1).items()}

    def films(self, window: Window) -> dict[str, Tensor]:
        """Open-loop prediction of some rows, bytes [T,3,height,width]; its draws are apart and change no run."""
        with forked_generators(window.reward):
            return film(self, window)


def mean_where(chosen: Tensor, x: Tensor) -> Tensor:
    """Mean of those entries that are chosen; zero where none is."""
    return (x * chosen).sum() / chosen.sum().clamp(min=1)


def stand_ins(is_decision: Tensor) -> Tensor:
    """The row to learn from at each row of each column, one where something was decided, [T,B] bool -> [T,B].

    Itself, or else the last such row before it, or else the first after it; row 0 in a column that has none.
    """
    rows = torch.arange(len(is_decision), device=is_decision.device)[:, None]
    last = torch.where(is_decision, rows, -1).cummax(0).values
    return torch.where(last < 0, is_decision.int().argmax(0), last)
