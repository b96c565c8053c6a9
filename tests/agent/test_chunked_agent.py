"""Agents that plan: the targets against loops, what an update costs, and lengths that are right in a small world."""

import copy
import dataclasses
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from softrl.agent.agent import Agent
from softrl.agent.chunk import AdaptiveChunk, Chunk
from softrl.agent.config import AgentConfig
from softrl.agent.explore import RepeatedNoise
from softrl.agent.temperature import Learned
from softrl.data.replay import Replay, ReplayConfig
from softrl.errors import UserError
from softrl.nn.actors.gaussian import Gaussian, GaussianActor
from softrl.nn.critics import ActionIn
from softrl.nn.dropout import Dropout
from softrl.nn.trunks.mlp import MLP
from softrl.types import Spec, Step, Window

B, D, A, H, GAMMA = 24, 3, 2, 3, 0.9
SPEC = Spec({"state": (D,)}, A, gamma=GAMMA)
SMALL = MLP((16, 16))
KINDS = [Chunk(H), AdaptiveChunk(H, trunk=MLP((8,)), whole=0.5)]


def built(chunk: Chunk | AdaptiveChunk, **parts: Any) -> Agent:
    torch.manual_seed(0)
    return AgentConfig(actor=Gaussian(SMALL), critic=ActionIn(SMALL), chunk=chunk, **parts).build(SPEC)


def experience(agent: Agent, seed: int = 0) -> Window:
    """A batch from two environments with terminations and truncations."""
    g = torch.Generator().manual_seed(seed)
    replay = Replay(ReplayConfig(1000), agent.spec, 2, GAMMA, seed)
    last = torch.zeros(2, dtype=torch.bool)
    for time in range(60):
        over = torch.rand(2, generator=g) < 0.15
        terminated = over & (torch.rand(2, generator=g) < 0.5) & ~last
        draws = [torch.randn(2, width, generator=g) for width in (D, A, 1)]
        left = torch.full((2,), H - time % H)
        replay.add(Step({"state": draws[0]}, draws[1].tanh(), draws[2][:, 0], terminated, last, left))
        last = over & ~last
    return replay.sample(B)


# ---------------------------------------------------------------- one action is soft actor-critic


def test_a_plan_of_one_action_is_the_plain_agent() -> None:
    """`tests/agent/test_update.py` holds this agent against a textbook."""
    agent = built(Chunk(1))
    assert agent.spec == SPEC
    assert type(agent.actor) is GaussianActor
    assert not [name for name in agent.state_dict() if "plan" in name]
    assert agent.initial(3) == {}
    metrics, _ = agent.update(experience(agent))
    assert metrics["target_entropy"] == agent.temperature.target.sum()
    assert not {"chunk_length", "confidence"} & set(metrics)


# ---------------------------------------------------------------- the update, row by row


class Drawn(NamedTuple):
    """A plan of each row as a critic is told it, the discounted log-density of its executed part, and its length."""

    told: Tensor  # [B,h*(A+1)]
    log_prob: list[float]
    length: list[int]


@torch.no_grad()
def drawn(actor: Any, z: Tensor, whole: float = 0.0) -> Drawn:
    """By loops, with the draws that the actor makes: x_i = tanh(u_i), log pi = sum_i<=k gamma^(i-1) log pi_i.

    Of the plans that the policy's loss judges a share is `whole`.
    """
    mean, log_std = actor.actor.distribution(z)
    noise = torch.randn(B, H, A)
    confidences = None
    if hasattr(actor.lengths, "threshold"):
        confidences = actor.lengths.logits(z).sigmoid()
    lots = torch.rand(B) if whole else torch.ones(B)
    told, log_probs, lengths = [], [], []
    for b in range(B):
        k = H
        if confidences is not None:
            k = 1
            while k < H and confidences[b, k - 1] >= actor.lengths.threshold:
                k += 1
        if lots[b] < whole:
            k = H
        row, log_prob = [], 0.0
        for i in range(H):
            law = torch.distributions.Normal(mean[b].view(H, A)[i], log_std[b].view(H, A)[i].exp())
            u = law.mean + law.stddev * noise[b, i]
            action = u.tanh()
            if i < k:
                log_prob += GAMMA**i * float((law.log_prob(u) - (1 - action.square()).log()).sum())
            row += [*action.tolist(), 1.0] if i < k else [0.0] * (A + 1)
        told.append(row)
        log_probs.append(log_prob)
        lengths.append(k)
    return Drawn(torch.tensor(told), log_probs, lengths)


@pytest.mark.parametrize("chunk", KINDS, ids=["fixed", "adaptive"])
def test_the_update_minimises_the_equations(chunk: Any) -> None:
    """Row by row: the critic's loss, the policy's at the critic that has moved, and the temperature's.

    critic       1/2 (Q - [R + discount * (min Q'(s', x'_1..k) - alpha log pi')])^2
    policy       alpha log pi - min Q(s, x_1..k)
    temperature  alpha * (-log pi - target * sum_{i<=k} gamma^(i-1))
    """
    agent = built(chunk, temperature=Learned(0.3))
    window, actor, alpha = experience(agent), copy.deepcopy(agent.actor), float(agent.temperature().detach())
    here, after = window.obs["state"][:, 0], window.obs["state"][:, -1]
    torch.manual_seed(1)
    later, now = drawn(actor, after), drawn(actor, here, 0.5 if isinstance(chunk, AdaptiveChunk) else 0.0)
    assert (len(set(now.length)) > 1) == isinstance(chunk, AdaptiveChunk)
    with torch.no_grad():
        critic = 0.0
        for b in range(B):
            q = agent.lookahead.target(after[b : b + 1], later.told[b][None, None]).atoms.mean()[:, 0, 0]
            value = float(q.min()) - alpha * later.log_prob[b]
            y = float(window.reward[b]) + float(window.discount[b]) * value
            q = agent.critic(here[b : b + 1], window.action[b].flatten()[None, None]).atoms.mean()[:, 0, 0]
            critic += float((0.5 * (q - y).square()).sum()) / B
    torch.manual_seed(1)
    metrics, error = agent.update(window)
    with torch.no_grad():
        policy, price = 0.0, 0.0
        for b in range(B):
            q = agent.critic(here[b : b + 1], now.told[b][None, None]).atoms.mean()[:, 0, 0]
            policy += (alpha * now.log_prob[b] - float(q.min())) / B
            price += alpha * (-now.log_prob[b] + A * sum(GAMMA**i for i in range(now.length[b]))) / B
    assert float(metrics["critic_loss"]) == pytest.approx(critic, rel=1e-4)
    assert float(metrics["actor_loss"]) == pytest.approx(policy, rel=1e-4)
    assert float(metrics["ent_coef_loss"]) == pytest.approx(price, rel=1e-3)
    assert error.shape == window.index.shape


@pytest.mark.parametrize("chunk", KINDS, ids=["fixed", "adaptive"])
def test_everything_learned_moves_and_goes_on_from_bytes(chunk: Any) -> None:
    agent = built(chunk)
    before = copy.deepcopy(agent.state_dict())
    for seed in range(3):
        agent.update(experience(agent, seed))
    still = [name for name, value in agent.state_dict().items() if torch.equal(value, before[name])]
    assert not [name for name in still if name.startswith(("actor.", "critic."))]
    other = built(chunk)
    other.load_state_dict(load(save(agent.state_dict())))
    for each in (agent, other):
        torch.manual_seed(9)
        each.update(experience(each, 9))
    assert all(torch.equal(a, b) for a, b in zip(agent.state_dict().values(), other.state_dict().values(), strict=True))


def test_the_entropy_target_is_one_for_each_executed_action() -> None:
    agent = built(Chunk(H))
    metrics, _ = agent.update(experience(agent))
    assert float(metrics["target_entropy"]) == pytest.approx(-A * (1 + GAMMA + GAMMA**2))
    assert metrics["chunk_length"] == H


@pytest.mark.slow
@pytest.mark.parametrize("chunk", KINDS, ids=["fixed", "adaptive"])
def test_the_update_is_one_graph(chunk: Any) -> None:
    torch._dynamo.reset()
    agent = built(chunk)
    with torch._dynamo.config.patch(trace_autograd_ops=True):
        torch.compile(agent.update_fn, fullgraph=True, backend="eager")(agent, experience(agent))


@pytest.mark.parametrize("chunk", [Chunk(5), AdaptiveChunk(5)], ids=["fixed", "adaptive"])
def test_what_an_update_multiplies_is_bounded(chunk: Any) -> None:
    """Chunks of five actions of cheetah's width: at most a quarter more than one action, and no loop over rows."""
    counted = []
    for each in (Chunk(1), chunk):
        agent = AgentConfig(chunk=each).build(Spec({"state": (17,)}, 6))
        window = Window(
            {"state": torch.randn(256, 2, 17)},
            torch.rand(256, agent.spec.chunk, 6 + (agent.spec.chunk > 1)),
            torch.randn(256, 1),
            torch.full((256, 1), 0.9),
            torch.zeros(256, 1, dtype=torch.bool),
            torch.ones(256),
            torch.arange(256),
        )
        with FlopCounterMode(display=False) as counter:
            agent.update(window)
        counted.append(counter.get_total_flops())
    assert counted[1] <= 1.25 * counted[0]


# ---------------------------------------------------------------- acting


@pytest.mark.parametrize("chunk", KINDS, ids=["fixed", "adaptive"])
def test_what_is_left_of_a_plan_survives_bytes(chunk: Any) -> None:
    agent = built(chunk)
    obs = {"state": torch.randn(4, D)}
    _, carry = agent.act(obs, agent.initial(4), deterministic=True)
    again = load(save(carry))
    for _ in range(5):
        action, carry = agent.act(obs, carry, deterministic=True)
        same, again = agent.act(obs, again, deterministic=True)
        assert action.shape == (4, A)
        assert torch.equal(action, same)


def test_open_loop_means_that_observations_are_not_looked_at() -> None:
    agent = built(Chunk(H))
    _, carry = agent.act({"state": torch.zeros(1, D)}, agent.initial(1), deterministic=True)
    one, _ = agent.act({"state": torch.zeros(1, D)}, carry, deterministic=True)
    other, _ = agent.act({"state": torch.ones(1, D)}, carry, deterministic=True)
    assert torch.equal(one, other)


# ---------------------------------------------------------------- refusals


def test_explorers_that_do_not_plan_are_refused() -> None:
    with pytest.raises(UserError, match=r"agent\.chunk needs plans"):
        built(Chunk(2), explorer=RepeatedNoise())


def test_choices_are_refused() -> None:
    with pytest.raises(UserError, match=r"agent\.chunk"):
        AgentConfig(chunk=Chunk(2)).build(Spec({"state": (D,)}, 1, (3,)))


# ---------------------------------------------------------------- a world in which the right lengths are known


class Coin:
    """One of N coins each: reward -(a - coin)^2. The coin is thrown again every third step, and seen.

    Up to the next throw a look tells nothing new. An action behind it is a guess, which costs 0.64 at least.
    """

    def __init__(self, count: int, g: torch.Generator) -> None:
        self.g, self.phase = g, torch.arange(count) % 3
        self.coin = self.thrown()

    def thrown(self) -> Tensor:
        return torch.randint(0, 2, self.phase.shape, generator=self.g) * 1.6 - 0.8

    def state(self) -> Tensor:
        return torch.cat([self.coin[:, None], torch.eye(3)[self.phase]], -1)

    def step(self, action: Tensor) -> Tensor:
        reward = -(action[:, 0] - self.coin).square()
        self.phase = (self.phase + 1) % 3
        self.coin = self.thrown().where(self.phase == 0, self.coin)
        return reward


@pytest.mark.slow
def test_confidence_is_where_a_look_tells_nothing() -> None:
    torch.manual_seed(0)
    net = MLP((64, 64))
    spec = Spec({"state": (4,)}, 1, gamma=0.8)
    config = AgentConfig(
        actor=Gaussian(net),
        critic=ActionIn(net),
        chunk=AdaptiveChunk(3, trunk=MLP((32,))),
        temperature=Learned(0.1, -2.0),
    )
    agent = config.build(spec)
    for optimizer in (agent.optim.value, agent.optim.actor, agent.optim.temperature):
        optimizer.learning_rate.fill_(2e-3)
    count = 16
    world, no = Coin(count, torch.Generator().manual_seed(1)), torch.zeros(count, dtype=torch.bool)
    replay, carry = Replay(ReplayConfig(50_000), agent.spec, count, 0.8, seed=0), agent.initial(count)
    for time in range(3000):
        state = world.state()
        action, carry = agent.act({"state": state}, carry)
        replay.add(Step({"state": state}, action, world.step(action), no, no, carry["plan.left"]))
        if time > 50:
            agent.update(replay.sample(128))
    states = torch.cat([torch.tensor([[0.8]] * 3 + [[-0.8]] * 3), torch.eye(3).repeat(2, 1)], -1)
    confidence = agent.actor.lengths.logits(states).sigmoid()  # [coin and phase, c_2 and c_3]
    guesses = confidence[[1, 2, 4, 5], [1, 0, 1, 0]]
    assert guesses.max() < 0.15
    assert confidence[[0, 1, 3, 4], 0].mean() > 0.5
    lengths = agent.actor.lengths(states, deterministic=True)[0]
    assert (lengths[[0, 3]] >= 2).all()
    assert (lengths[[2, 5]] == 1).all()


def test_what_is_dropped_does_not_decide_between_lengths() -> None:
    torch.manual_seed(0)
    critic = ActionIn(MLP((16, 16), dropout=0.5))
    config = AgentConfig(actor=Gaussian(MLP((16,))), critic=critic, chunk=AdaptiveChunk(H, trunk=MLP((8,))))
    agent = config.build(SPEC)
    z = torch.randn(600, agent.encoder.width)

    def loss() -> Tensor:
        torch.manual_seed(1)  # the plan is drawn before the critic is asked
        return agent.chunk_execution.judged(agent, z, z, torch.zeros(1))[1]["confidence_loss"]

    found = loss()
    for part in agent.critic.modules():
        if isinstance(part, Dropout):
            part.rate = 0.0
    torch.testing.assert_close(found, loss())


def test_doubt_needs_members_that_can_disagree() -> None:
    config = AgentConfig(critic=ActionIn(MLP((16,)), members=1), chunk=AdaptiveChunk(H))
    with pytest.raises(UserError, match="at least two members"):
        config.build(SPEC)
    dataclasses.replace(config, chunk=AdaptiveChunk(H, doubt=0.0)).build(SPEC)
