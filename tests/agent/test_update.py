"""The update against a textbook soft actor-critic kept here, written with torch.nn and torch.optim."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Independent, MixtureSameFamily, Normal

from softrl.agent.agent import Agent
from softrl.agent.config import AgentConfig
from softrl.agent.lookahead import Split, StateTarget
from softrl.agent.temperature import Entropy, Fixed, Learned
from softrl.agent.update import describe_values
from softrl.math.rules import Average, Minimum
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.actors.mixture import Mixture
from softrl.nn.augment import Shift
from softrl.nn.convolutions import Convolutions
from softrl.nn.critics import ActionIn, StateValue
from softrl.nn.encoders.pixels import Pixels
from softrl.nn.heads import Prediction, Scalar
from softrl.nn.layers import set_precision
from softrl.nn.normalize import Scale
from softrl.nn.trunks.mlp import MLP
from softrl.types import Atoms, Batch, Spec, Window

B, D, A = 32, 5, 3
SPEC = Spec({"state": (D,)}, A)
SMALL = MLP((16, 16))


def config(**parts: object) -> AgentConfig:
    return AgentConfig(actor=Gaussian(SMALL), critic=ActionIn(SMALL), **parts)  # type: ignore[arg-type]


def window(seed: int) -> Window:
    g = torch.Generator().manual_seed(seed)
    return Window(
        obs={"state": torch.randn(B, 2, D, generator=g)},
        action=torch.rand(B, 1, A, generator=g) * 2 - 1,
        reward=torch.randn(B, 1, generator=g),
        discount=0.99 * (torch.rand(B, 1, generator=g) > 0.2),
        first=torch.zeros(B, 1, dtype=torch.bool),
        weight=torch.ones(B),
        index=torch.arange(B),
    )


# ---------------------------------------------------------------- the textbook


def net(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, outputs))


def copied(into: nn.Sequential, layers: list[nn.Module], member: int) -> nn.Sequential:
    """Give a textbook network the weights of one member of ours."""
    for theirs, ours in zip([m for m in into if isinstance(m, nn.Linear)], layers, strict=True):
        theirs.weight.data.copy_(ours.weight[member].T)
        theirs.bias.data.copy_(ours.bias[member, 0])
    return into


class Textbook:
    """Soft actor-critic as the papers print it: three separate optimisers, loops over critics, explicit targets."""

    def __init__(self, agent: Agent) -> None:
        critic, actor = agent.critic, agent.actor
        self.pi = copied(net(D, 2 * A), [*actor.trunk.layers, actor.out], 0)
        self.q = [copied(net(D + A, 1), [*critic.trunk.layers, critic.out], e) for e in range(2)]
        self.log_alpha = agent.temperature.log_alpha[0].detach().clone().requires_grad_()
        self.pi_adam = torch.optim.Adam(self.pi.parameters(), lr=3e-4)
        self.q_adam = [torch.optim.Adam(q.parameters(), lr=3e-4) for q in self.q]
        self.alpha_adam = torch.optim.Adam([self.log_alpha], lr=3e-4)

    def sample(self, s: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.pi(s).chunk(2, -1)
        log_std = log_std.clamp(-20, 2)
        normal = torch.distributions.Normal(mean, log_std.exp())
        u = mean + log_std.exp() * torch.randn_like(mean)
        log_prob = normal.log_prob(u) - 2 * (math.log(2) - u - F.softplus(-2 * u))
        return u.tanh(), log_prob.sum(-1)

    def smallest(self, nets: list[nn.Sequential], s: Tensor, a: Tensor) -> Tensor:
        return torch.stack([q(torch.cat([s, a], -1)).squeeze(-1) for q in nets]).min(0).values

    def descend(self, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


class TextbookSAC(Textbook):
    """arXiv 1812.05905, algorithm 1."""

    def __init__(self, agent: Agent) -> None:
        super().__init__(agent)
        self.target = copy.deepcopy(self.q)

    def update(self, w: Window) -> None:
        s, s2, a = w.obs["state"][:, 0], w.obs["state"][:, 1], w.action[:, 0]
        alpha = self.log_alpha.exp().detach()
        with torch.no_grad():
            a2, log_prob2 = self.sample(s2)
            y = w.reward[:, 0] + w.discount[:, 0] * (self.smallest(self.target, s2, a2) - alpha * log_prob2)
        for q, optimiser in zip(self.q, self.q_adam, strict=True):
            self.descend(optimiser, 0.5 * (q(torch.cat([s, a], -1)).squeeze(-1) - y).square().mean())
        a_new, log_prob = self.sample(s)
        self.descend(self.pi_adam, (alpha * log_prob - self.smallest(self.q, s, a_new)).mean())
        self.descend(self.alpha_adam, (-self.log_alpha.exp() * (log_prob.detach() - A)).mean())
        for target, q in zip(self.target, self.q, strict=True):
            for slow, fast in zip(target.parameters(), q.parameters(), strict=True):
                slow.data.copy_(0.995 * slow.data + 0.005 * fast.data)


class TextbookSACv1(Textbook):
    """arXiv 1801.01290, algorithm 1, with the minimum of both critics in both losses."""

    def __init__(self, agent: Agent, scale: float) -> None:
        super().__init__(agent)
        self.scale = scale
        value = agent.lookahead.value
        self.v = copied(net(D, 1), [*value.trunk.layers, value.out], 0)
        self.v_target = copy.deepcopy(self.v)
        self.v_adam = torch.optim.Adam(self.v.parameters(), lr=3e-4)

    def update(self, w: Window) -> None:
        s, s2, a = w.obs["state"][:, 0], w.obs["state"][:, 1], w.action[:, 0]
        a_new, log_prob = self.sample(s)
        q_new = self.smallest(self.q, s, a_new)
        v_loss = 0.5 * (self.v(s).squeeze(-1) - (q_new - log_prob).detach()).square().mean()
        with torch.no_grad():
            y = self.scale * w.reward[:, 0] + w.discount[:, 0] * self.v_target(s2).squeeze(-1)
        q_losses = [0.5 * (q(torch.cat([s, a], -1)).squeeze(-1) - y).square().mean() for q in self.q]
        self.descend(self.pi_adam, (log_prob - q_new).mean())
        self.descend(self.v_adam, v_loss)
        for optimiser, loss in zip(self.q_adam, q_losses, strict=True):
            self.descend(optimiser, loss)
        for slow, fast in zip(self.v_target.parameters(), self.v.parameters(), strict=True):
            slow.data.copy_(0.995 * slow.data + 0.005 * fast.data)


def assert_same(network: nn.Sequential, layers: list[nn.Module], member: int) -> None:
    for theirs, ours in zip([m for m in network if isinstance(m, nn.Linear)], layers, strict=True):
        torch.testing.assert_close(theirs.weight.T, ours.weight[member], atol=2e-6, rtol=1e-4)
        torch.testing.assert_close(theirs.bias, ours.bias[member, 0], atol=2e-6, rtol=1e-4)


def run_both(agent: Agent, textbook: TextbookSAC | TextbookSACv1, steps: int = 10) -> None:
    for i in range(steps):
        torch.manual_seed(100 + i)
        agent.update(window(i))
        torch.manual_seed(100 + i)
        textbook.update(window(i))
    assert_same(textbook.pi, [*agent.actor.trunk.layers, agent.actor.out], 0)
    for e in range(2):
        assert_same(textbook.q[e], [*agent.critic.trunk.layers, agent.critic.out], e)


def test_ten_updates_equal_textbook_sac() -> None:
    torch.manual_seed(0)
    agent = config(temperature=Learned(0.2)).build(SPEC)
    textbook = TextbookSAC(agent)
    run_both(agent, textbook)
    target = agent.lookahead.target
    for e in range(2):
        assert_same(textbook.target[e], [*target.trunk.layers, target.out], e)
    assert agent.temperature.log_alpha.item() == pytest.approx(textbook.log_alpha.item(), abs=1e-6)


def test_ten_updates_equal_textbook_sac_v1() -> None:
    torch.manual_seed(0)
    agent = config(
        update="sac_v1", lookahead=StateTarget(StateValue(SMALL)), temperature=Fixed(1.0), reward_scale=Scale(5.0)
    ).build(SPEC)
    textbook = TextbookSACv1(agent, scale=5.0)
    run_both(agent, textbook)
    for network, ours in ((textbook.v, agent.lookahead.value), (textbook.v_target, agent.lookahead.target)):
        assert_same(network, [*ours.trunk.layers, ours.out], 0)


# ---------------------------------------------------------------- rules and entropy, each in its own place


@pytest.mark.parametrize(("in_backup", "in_actor"), [(True, False), (False, True)])
def test_target_and_actor_have_a_rule_and_an_entropy_of_their_own(in_backup: bool, in_actor: bool) -> None:
    alpha = Fixed(0.3, Entropy(in_backup, in_actor))
    agent = config(temperature=alpha, target_rule=Average(), actor_rule=Minimum()).build(SPEC)
    policy, w = copy.deepcopy(agent.actor), window(0)
    s, s2 = w.obs["state"].unbind(1)
    before = agent.critic(s, w.action[:, 0][None]).atoms.mean()  # [E,1,B]
    torch.manual_seed(1)
    metrics, _ = agent.update(w, follow=False)
    torch.testing.assert_close(metrics["q_mean"], before.mean())
    torch.testing.assert_close(metrics["batch_reward"], w.reward.mean())
    torch.manual_seed(1)
    ahead, now = policy(s2), policy(s)
    v = agent.lookahead.target(s2, ahead.value).atoms.mean().mean(0)[0] - in_backup * 0.3 * ahead.log_prob[0, :, 0]
    q = agent.critic(s, now.value).atoms.mean().amin(0)[0]
    torch.testing.assert_close(metrics["target_mean"], (w.reward + w.discount * v[:, None]).mean())
    torch.testing.assert_close(metrics["actor_loss"], (in_actor * 0.3 * now.log_prob[0, :, 0] - q).mean())


@pytest.mark.parametrize(("in_backup", "in_actor"), [(True, False), (False, True)])
def test_state_value_and_actor_have_them_too_and_weights_of_rows_count(in_backup: bool, in_actor: bool) -> None:
    ahead, alpha = StateTarget(StateValue(SMALL)), Fixed(0.3, Entropy(in_backup, in_actor))
    rules = {"target_rule": Average(), "actor_rule": Minimum()}
    agent = config(update="sac_v1", lookahead=ahead, temperature=alpha, **rules).build(SPEC)
    old, w = copy.deepcopy(agent), window(0)._replace(weight=torch.linspace(0, 2, B))
    s = w.obs["state"][:, 0]
    torch.manual_seed(1)
    metrics, _ = agent.update(w)
    torch.manual_seed(1)
    now = old.actor(s)
    q, log_prob = old.critic(s, now.value).atoms.mean()[:, 0], now.log_prob[0, :, 0]
    error = old.lookahead.value(s).atoms.mean()[0, 0] - (q.mean(0) - in_backup * 0.3 * log_prob)
    torch.testing.assert_close(metrics["value_loss"], (w.weight * 0.5 * error.square()).mean())
    torch.testing.assert_close(metrics["actor_loss"], (in_actor * 0.3 * log_prob - q.amin(0)).mean())


@pytest.mark.parametrize("name", ["sac", "sac_v1"])
def test_a_batch_norm_of_the_actor_moves_with_its_own_loss_alone(name: str) -> None:
    """What it chooses at next observations, and what is tried, moves no statistics."""
    v1 = {"lookahead": StateTarget(StateValue(SMALL)), "temperature": Fixed()} if name == "sac_v1" else {}
    normed = Gaussian(MLP((16,), norm="batch"))
    agent = AgentConfig(name, actor=normed, critic=ActionIn(SMALL), **v1).build(SPEC)  # type: ignore[arg-type]
    agent.update(window(0))
    agent.act({"state": torch.randn(4, D)}, {})
    assert [float(value) for key, value in agent.actor.state_dict().items() if key.endswith("count")] == [1.0]


@pytest.mark.parametrize("name", ["sac", "sac_v1"])
def test_the_loss_of_a_temperature_is_logged_though_it_is_fixed(name: str) -> None:
    """J = alpha (entropy - target)."""
    v1 = {"lookahead": StateTarget(StateValue(SMALL))} if name == "sac_v1" else {}
    agent = AgentConfig(name, actor=Gaussian(SMALL), critic=ActionIn(SMALL), temperature=Fixed(0.5), **v1).build(SPEC)  # type: ignore[arg-type]
    said, _ = agent.update(window(0))
    assert float(said["ent_coef_loss"]) == pytest.approx(0.5 * float(said["entropy"] - said["target_entropy"]))


def test_an_explorer_and_its_critic_read_the_first_view() -> None:
    pixels = Pixels(Convolutions(4), 5, augmentation=Shift(2))
    agent = AgentConfig(encoder=pixels, actor=Gaussian(SMALL), critic=ActionIn(SMALL)).build(
        Spec({"pixels": (9, 20, 20)}, A, stack=3)
    )
    seen: list[Batch] = []
    read: list[Tensor] = []
    agent.encoder.register_forward_hook(lambda _, __, made: seen.append(made[0]))
    agent.explorer.losses = lambda agent, z, critic_z: read.extend((z, critic_z)) or {}  # type: ignore[func-returns-value]
    agent.update(window(0)._replace(obs={"pixels": torch.randint(256, (B, 2, 9, 20, 20), dtype=torch.uint8)}))
    (batch,) = seen
    assert len(batch.z) == 2 * B
    assert torch.equal(read[0], batch.policy_z)
    assert torch.equal(read[1], batch.z[:B])


# ---------------------------------------------------------------- what moves, and what does not


def moved(agent: Agent, **flags: bool) -> set[str]:
    before = copy.deepcopy(agent.state_dict())
    agent.update(window(0), **flags)
    return {name.split(".")[0] for name, value in agent.state_dict().items() if not torch.equal(value, before[name])}


def test_an_update_moves_every_learned_part() -> None:
    assert moved(config().build(SPEC)) == {"actor", "critic", "lookahead", "temperature", "optim"}


def test_without_actor_only_the_critic_moves() -> None:
    assert moved(config().build(SPEC), actor=False) == {"critic", "lookahead", "optim"}


def test_without_actor_the_update_of_2018_leaves_the_policy_out_altogether() -> None:
    agent = config(update="sac_v1", lookahead=StateTarget(StateValue(SMALL)), temperature=Fixed()).build(SPEC)
    metrics, _ = agent.update(window(0), actor=False)
    assert not {name for name in metrics if name.startswith("actor")}
    assert moved(agent, actor=False) == {"critic", "lookahead", "optim"}


def test_without_follow_the_target_rests() -> None:
    assert "lookahead" not in moved(config().build(SPEC), follow=False)


def test_tau_of_one_copies() -> None:
    agent = config(lookahead=Split(1.0)).build(SPEC)
    agent.update(window(0))
    for target, source in zip(agent.lookahead.target.parameters(), agent.critic.parameters(), strict=True):
        assert torch.equal(target, source)


def test_a_fixed_temperature_stays() -> None:
    assert "temperature" not in moved(config(temperature=Fixed(0.3)).build(SPEC))


def test_the_target_starts_as_a_hard_copy() -> None:
    agent = config(update="sac_v1", lookahead=StateTarget(StateValue(SMALL)), temperature=Fixed()).build(SPEC)
    for target, source in zip(agent.lookahead.target.parameters(), agent.lookahead.value.parameters(), strict=True):
        assert torch.equal(target, source)


def test_a_reward_scale_of_one_is_neutral_and_five_is_five_times_the_reward() -> None:
    def weights(scale: float, factor: float) -> Tensor:
        torch.manual_seed(0)
        agent = config(reward_scale=Scale(scale)).build(SPEC)
        w = window(0)
        agent.update(w._replace(reward=w.reward * factor))
        return agent.critic.out.weight

    assert torch.equal(weights(5.0, 1.0), weights(1.0, 5.0))
    assert not torch.equal(weights(5.0, 1.0), weights(1.0, 1.0))


def test_weights_of_rows_count() -> None:
    """A row of weight zero is as if it were not there."""
    torch.manual_seed(0)
    agent, other = config().build(SPEC), config().build(SPEC)
    other.load_state_dict(agent.state_dict())
    w = window(0)
    weight = torch.ones(B)
    weight[0] = 0
    spoiled = w.reward.clone()
    spoiled[0] += 1000
    for a, reward in ((agent, w.reward), (other, spoiled)):
        torch.manual_seed(1)
        a.update(w._replace(weight=weight, reward=reward))
    assert torch.equal(agent.critic.out.weight, other.critic.out.weight)


def test_the_error_is_the_absolute_temporal_difference() -> None:
    agent = config().build(SPEC)
    w = window(0)._replace(discount=torch.zeros(B, 1))
    q = agent.critic(w.obs["state"][:, 0], w.action[:, 0][None]).atoms.mean()[:, 0]  # [E,B]
    expected = (q - w.reward[:, 0]).abs().mean(0)
    _, error = agent.update(w)
    torch.testing.assert_close(error, expected)


def test_the_error_of_a_row_is_the_mean_over_members_and_views() -> None:
    """Of two members and two views of three rows: row 0 has the errors 0, 3, 6 and 9."""
    value = torch.arange(12.0).view(2, 1, 6, 1)
    q = Prediction(value, Atoms(value, torch.ones_like(value)))
    _, error = describe_values(Scalar(), torch.zeros(6), q, Atoms(torch.zeros(6, 1), torch.ones(6, 1)), rows=3)
    assert error.tolist() == [4.5, 5.5, 6.5]


def test_bfloat16_products_stay_close_and_weights_stay_float32() -> None:
    torch.manual_seed(0)
    agent = config().build(SPEC)
    rounded = copy.deepcopy(agent)
    set_precision(rounded, torch.bfloat16)
    torch.manual_seed(1)
    exact, _ = agent.update(window(0))
    torch.manual_seed(1)
    rough, _ = rounded.update(window(0))
    assert all(p.dtype == torch.float32 for p in rounded.parameters())
    assert float(rough["critic_loss"]) == pytest.approx(float(exact["critic_loss"]), rel=0.05)
    assert not torch.equal(rough["critic_loss"], exact["critic_loss"])


def test_a_mixture_s_target_and_losses_are_sums_over_its_components() -> None:
    """Against torch.distributions: V = sum_k w_k [ min Q(a_k) - alpha log pi(a_k) ], log pi of the whole mixture."""
    agent = AgentConfig(actor=Mixture(SMALL, components=3), critic=ActionIn(SMALL), temperature=Fixed(0.4)).build(SPEC)
    frozen, w = copy.deepcopy(agent), window(0)

    def value(critic: nn.Module, z: Tensor) -> Tensor:
        log_weight, mean, log_std = frozen.actor.distributions(z)
        u = mean + log_std.exp() * torch.randn(3, B, A)
        components = Normal(mean.transpose(0, 1), log_std.transpose(0, 1).exp())
        mixture = MixtureSameFamily(torch.distributions.Categorical(logits=log_weight), Independent(components, 1))
        log_prob = torch.stack([mixture.log_prob(u_k) - (1 - u_k.tanh().square()).log().sum(-1) for u_k in u])
        least = torch.stack([critic(z, u_k.tanh()[None]).output[:, 0, :, 0].min(0).values for u_k in u])
        return (log_weight.T.exp() * (least - 0.4 * log_prob)).sum(0).detach()  # [B]

    torch.manual_seed(1)
    metrics, _ = agent.update(w)
    torch.manual_seed(1)
    y = w.reward[:, 0] + w.discount[:, 0] * value(frozen.lookahead.target, w.obs["state"][:, 1])
    q = frozen.critic(w.obs["state"][:, 0], w.action.movedim(1, 0)).output[:, 0, :, 0]
    torch.testing.assert_close(metrics["critic_loss"], (0.5 * (q - y).square()).mean(-1).sum().detach())
    loss = -value(agent.critic, w.obs["state"][:, 0]).mean()  # at a critic that has moved
    torch.testing.assert_close(metrics["actor_loss"], loss, rtol=1e-4, atol=1e-5)
