"""The update with choices: against a textbook SAC-discrete kept here, and with every head, trunk and kind of space."""

import copy
import dataclasses
import math

import pytest
import torch
from torch import Tensor, nn

from softrl.agent.action_space import adapt_to_action_space
from softrl.agent.agent import Agent
from softrl.agent.config import AgentConfig
from softrl.agent.lookahead import StateTarget
from softrl.agent.temperature import Fixed, Learned
from softrl.math.choices import combinations
from softrl.math.rules import Average, Minimum
from softrl.nn.actors.categorical import Categorical
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.actors.hybrid import Hybrid
from softrl.nn.critics import ActionIn, StateValue
from softrl.nn.heads import Categorical as CategoricalHead, Quantile, Scalar
from softrl.nn.trunks.bronet import BroNet
from softrl.nn.trunks.mlp import MLP
from softrl.nn.trunks.simbav2 import SimBaV2
from softrl.types import Spec, Window

B, D = 32, 5
SMALL = MLP((16, 16))
SPACES = {
    "discrete": Spec({"state": (D,)}, 0, (4,)),
    "multi-discrete": Spec({"state": (D,)}, 0, (3, 2)),
    "hybrid": Spec({"state": (D,)}, 2, (3, 2)),
    "many choices": Spec({"state": (D,)}, 0, (11, 11, 11)),
    "many choices and numbers": Spec({"state": (D,)}, 2, (11, 11, 11)),
}


def window(seed: int, spec: Spec) -> Window:
    g = torch.Generator().manual_seed(seed)
    hots = [torch.eye(n)[torch.randint(n, (B,), generator=g)] for n in spec.choices]
    return Window(
        obs={"state": torch.randn(B, 2, D, generator=g)},
        action=torch.cat([*hots, torch.rand(B, spec.continuous, generator=g) * 2 - 1], -1)[:, None],
        reward=torch.randn(B, 1, generator=g),
        discount=0.99 * (torch.rand(B, 1, generator=g) > 0.2),
        first=torch.zeros(B, 1, dtype=torch.bool),
        weight=torch.ones(B),
        index=torch.arange(B),
    )


def built(spec: Spec, **parts: object) -> Agent:
    defaults = AgentConfig(actor=Gaussian(SMALL), critic=ActionIn(SMALL))
    return Agent(adapt_to_action_space(dataclasses.replace(defaults, **parts), spec), spec)


def net(outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(D, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, outputs))


def pairs(network: nn.Sequential, ours: nn.Module, member: int) -> list[tuple[Tensor, Tensor]]:
    """Weights of a textbook network beside those of one member of ours."""
    layers = [m for m in network if isinstance(m, nn.Linear)]
    matched = zip(layers, [*ours.trunk.layers, ours.out], strict=True)
    return [p for a, b in matched for p in ((a.weight, b.weight[member].T), (a.bias, b.bias[member, 0]))]


def copied(network: nn.Sequential, ours: nn.Module, member: int) -> nn.Sequential:
    for theirs, own in pairs(network, ours, member):
        theirs.data.copy_(own)
    return network


class TextbookDiscrete:
    """arXiv 1910.07207, algorithm 1: networks with an output for each action, expectations as sums over actions."""

    def __init__(self, agent: Agent, actions: int) -> None:
        self.target_entropy = 0.98 * math.log(actions)
        self.pi = copied(net(actions), agent.actor, 0)
        self.q = [copied(net(actions), agent.critic, e) for e in range(2)]
        self.q_target = copy.deepcopy(self.q)
        self.log_alpha = agent.temperature.log_alpha[0].detach().clone().requires_grad_()
        self.pi_adam = torch.optim.Adam(self.pi.parameters(), lr=3e-4)
        self.q_adam = [torch.optim.Adam(q.parameters(), lr=3e-4) for q in self.q]
        self.alpha_adam = torch.optim.Adam([self.log_alpha], lr=3e-4)

    def descend(self, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    def update(self, w: Window) -> None:
        s, s2, a = w.obs["state"][:, 0], w.obs["state"][:, 1], w.action[:, 0].argmax(-1)
        alpha = self.log_alpha.exp().detach()
        with torch.no_grad():
            prob2 = self.pi(s2).softmax(-1)
            least = torch.min(self.q_target[0](s2), self.q_target[1](s2))
            value = (prob2 * (least - alpha * prob2.log())).sum(-1)
            y = w.reward[:, 0] + w.discount[:, 0] * value
        for q, optimiser in zip(self.q, self.q_adam, strict=True):
            self.descend(optimiser, 0.5 * (q(s)[torch.arange(B), a] - y).square().mean())
        prob = self.pi(s).softmax(-1)
        with torch.no_grad():
            least = torch.min(self.q[0](s), self.q[1](s))
        self.descend(self.pi_adam, (prob * (alpha * prob.log() - least)).sum(-1).mean())
        surprise = (prob.detach() * prob.detach().log()).sum(-1).mean()
        self.descend(self.alpha_adam, -self.log_alpha.exp() * (surprise + self.target_entropy))
        for target, q in zip(self.q_target, self.q, strict=True):
            for slow, fast in zip(target.parameters(), q.parameters(), strict=True):
                slow.data.copy_(0.995 * slow.data + 0.005 * fast.data)


def test_ten_updates_equal_textbook_sac_discrete() -> None:
    spec = SPACES["discrete"]
    agent = built(spec, temperature=Learned(0.2))
    textbook = TextbookDiscrete(agent, 4)
    for i in range(10):
        agent.update(window(i, spec))
        textbook.update(window(i, spec))
    matched = pairs(textbook.pi, agent.actor, 0)
    for e in range(2):
        matched += pairs(textbook.q[e], agent.critic, e) + pairs(textbook.q_target[e], agent.lookahead.target, e)
    for theirs, ours in matched:
        torch.testing.assert_close(theirs, ours, atol=2e-6, rtol=1e-4)
    assert agent.temperature.log_alpha.item() == pytest.approx(textbook.log_alpha.item(), abs=1e-6)
    assert agent.temperature.log_alpha.item() != pytest.approx(math.log(0.2), abs=1e-4)


@pytest.mark.parametrize("joint", [False, True])
def test_a_joint_of_two_choices_is_learned_as_one_choice_of_as_many(joint: bool) -> None:
    """The critic's row counts combinations; with one softmax for all of them so does the policy's."""
    several, one = SPACES["multi-discrete"], Spec({"state": (D,)}, 0, (6,))
    agent = built(several, actor=Categorical(SMALL, joint))
    plain = built(one, actor=Categorical(SMALL))
    plain.critic.load_state_dict(agent.critic.state_dict())
    plain.lookahead.load_state_dict(agent.lookahead.state_dict())
    w = window(0, several)
    number = (w.action @ combinations((3, 2)).T).argmax(-1)
    if joint:
        plain.actor.load_state_dict(agent.actor.state_dict())
        plain.temperature.target.copy_(agent.temperature.target)
        agent.update(w)
        plain.update(w._replace(action=torch.eye(6)[number]))
        for x, y in zip(agent.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(x, y)
    else:
        q = agent.critic(w.obs["state"][:, 0], w.action.movedim(1, 0))
        same = plain.critic(w.obs["state"][:, 0], torch.eye(6)[number].movedim(1, 0))
        torch.testing.assert_close(q.output, same.output)


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("head", [Scalar(), Quantile(3), CategoricalHead(11)], ids=lambda h: type(h).__name__)
@pytest.mark.parametrize("space", SPACES)
def test_every_head_and_size_of_ensemble_learns_in_every_space(space: str, head, members: int) -> None:
    spec = SPACES[space]
    agent = built(spec, critic=ActionIn(SMALL, head, members))
    before = copy.deepcopy(agent.state_dict())
    metrics, error = agent.update(window(0, spec))
    assert all(torch.isfinite(value).all() for value in metrics.values())
    assert error.shape == (B,)
    after = agent.state_dict()
    moved = {name.split(".")[0] for name in after if not torch.equal(after[name], before[name])}
    assert moved == {"actor", "critic", "lookahead", "temperature", "optim"}
    state = {"state": torch.randn(7, D)}
    for deterministic in (False, True):
        action, _ = agent.act(state, agent.initial(7), deterministic)
        assert action.shape == (7, spec.action)
        assert torch.equal(action[:, : sum(spec.choices)].sum(-1), torch.full((7,), float(len(spec.choices))))
        assert (action.abs() <= 1).all()


@pytest.mark.parametrize("space", ["multi-discrete", "hybrid"])
def test_the_first_algorithm_learns_choices(space: str) -> None:
    """V(s) = E_pi [ Q - alpha log pi ] is an exact sum over the choices."""
    spec = SPACES[space]
    agent = built(spec, update="sac_v1", lookahead=StateTarget(StateValue(SMALL)), temperature=Fixed(0.3))
    w = window(0, spec)
    z = w.obs["state"][:, 0]
    torch.manual_seed(1)
    actions = agent.actor(z)
    q = agent.critic(z, actions.value).atoms.mean().amin(0)
    wanted = (actions.prob * (q - 0.3 * actions.log_prob.sum(-1))).sum(0)
    value = agent.lookahead.value(z).atoms.mean()[0, 0]
    torch.manual_seed(1)
    metrics, _ = agent.update(w)
    torch.testing.assert_close(metrics["value_loss"], (0.5 * (value - wanted).square()).mean().detach())


@pytest.mark.parametrize("trunk", [SimBaV2(16), BroNet(16)], ids=lambda t: type(t).__name__)
@pytest.mark.parametrize("space", ["multi-discrete", "hybrid"])
def test_other_trunks_learn_choices(space: str, trunk) -> None:
    spec = SPACES[space]
    agent = built(spec, actor=Gaussian(trunk), critic=ActionIn(trunk), actor_rule=Average())
    metrics, _ = agent.update(window(0, spec))
    assert all(torch.isfinite(value).all() for value in metrics.values())


@pytest.mark.parametrize("parts", [{}, {"actor": Hybrid(SMALL, dependent=False)}], ids=["dependent", "independent"])
def test_the_target_of_a_hybrid_policy_prices_both_entropies(parts: dict[str, object]) -> None:
    """Against loops over the choices, with temperatures of 0.2 and 0.7."""
    spec = SPACES["hybrid"]
    agent = built(spec, temperature=Fixed(1.0), target_rule=Minimum(), **parts)
    alpha = torch.tensor([0.2, 0.7])
    agent.temperature.log_alpha.data.copy_(alpha.log())
    w = window(0, spec)
    torch.manual_seed(1)
    actions = agent.actor(w.obs["state"][:, 1])
    expected = torch.zeros(B)
    for k in range(6):
        judged = agent.lookahead.target(w.obs["state"][:, 1], actions.value[k : k + 1]).output[:, 0, :, 0].min(0).values
        price = 0.2 * actions.log_prob[k, :, 0] + 0.7 * actions.log_prob[k, :, 1]
        expected += actions.log_prob[k, :, 0].exp().detach() * (judged - price).detach()
    y = w.reward[:, 0] + w.discount[:, 0] * expected
    q = agent.critic(w.obs["state"][:, 0], w.action.movedim(1, 0)).output[:, 0, :, 0]
    torch.manual_seed(1)
    metrics, _ = agent.update(w)
    torch.testing.assert_close(metrics["target_mean"], y.mean())
    torch.testing.assert_close(metrics["critic_loss"], (0.5 * (q - y).square()).mean(-1).sum().detach())


@pytest.mark.slow
@pytest.mark.parametrize("space", SPACES)
def test_the_update_is_one_graph(space: str) -> None:
    """Traced without a C++ compiler; `fullgraph=True` raises at any graph break."""
    torch._dynamo.reset()
    spec = SPACES[space]
    agent = built(spec)
    before = agent.optim.actor.count.clone()
    with torch._dynamo.config.patch(trace_autograd_ops=True):
        torch.compile(agent.update_fn, fullgraph=True, backend="eager")(agent, window(0, spec))
    assert agent.optim.actor.count == before + 1


def test_two_temperatures_are_told_apart_and_one_is_told_once() -> None:
    hybrid = Spec({"state": (D,)}, 2, (3,))
    agent = AgentConfig().build(hybrid)
    agent.temperature.log_alpha.data.copy_(torch.tensor([0.5, 2.0]).log())
    metrics, _ = agent.update(window(0, hybrid))
    assert float(metrics["ent_coef_choices"]) == pytest.approx(0.5)
    assert float(metrics["ent_coef_continuous"]) == pytest.approx(2.0)
    assert float(metrics["ent_coef"]) == pytest.approx(1.25)
    parts = metrics["entropy_choices"] + metrics["entropy_continuous"]
    assert float(parts) == pytest.approx(float(metrics["entropy"]), rel=1e-5)
    assert float(metrics["entropy_choices"]) <= math.log(3) + 1e-6
    single = Spec({"state": (D,)}, 2)
    alone, _ = AgentConfig().build(single).update(window(0, single))
    assert not any(name.startswith(("ent_coef_c", "entropy_")) for name in alone)
