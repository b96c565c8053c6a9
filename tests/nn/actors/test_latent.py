"""Actors with their latents averaged out, against naive loops and the Gaussian actor."""

import pytest
import torch
from torch.distributions import Normal as TorchNormal

from softrl.agent.config import AgentConfig
from softrl.errors import UserError
from softrl.math.latents import nested
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.actors.latent import Latent, LatentActor, Marginal, MarginalActor
from softrl.nn.latents import Normal
from softrl.nn.trunks.mlp import MLP
from softrl.nn.trunks.simba import SimBa
from softrl.types import Spec, Window

SPEC = Spec({"state": (4,)}, 2)
SMALL = MLP((8, 8))


def marginal(**options: object) -> MarginalActor:
    policy = Marginal(SMALL, **options).build(3, SPEC)  # type: ignore[arg-type]
    policy.out.weight.data *= 0.3
    return policy


def latent(particles: int = 3, **options: object) -> LatentActor:
    return Latent(SMALL, Normal(3), particles, Marginal(SMALL, **options)).build(4, SPEC)  # type: ignore[arg-type]


@pytest.mark.parametrize("estimator", ["naive", "nested"])
def test_the_density_is_averaged_over_the_latents(estimator: str) -> None:
    policy, z = marginal(estimator=estimator), torch.randn(6, 5 * 3)
    actions = policy(z)
    assert (actions.value.shape, actions.log_prob.shape, actions.prob.shape) == ((1, 6, 2), (1, 6, 1), (1, 6))
    for row in range(6):
        u = actions.value[0, row].double().atanh()
        log_probs = []
        for i in range(5):
            mean, log_std = policy.distribution(z[row : row + 1, 3 * i : 3 * i + 3])
            density = TorchNormal(mean[0].double(), log_std[0].double().exp()).log_prob(u)
            log_probs.append((density - (1 - u.tanh() ** 2).log()).sum())
        w = torch.stack(log_probs)
        expected = nested(w) if estimator == "nested" else torch.log(w.exp().sum() / 5)
        torch.testing.assert_close(actions.log_prob[0, row, 0].double(), expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("estimator", ["naive", "nested"])
def test_gradients_of_the_averaged_density_are_those_of_a_loop(estimator: str) -> None:
    """The action moves with the latent that acts, and its density in all of them with the action."""
    policy, z = marginal(estimator=estimator), torch.randn(6, 5 * 3)
    torch.manual_seed(1)
    actions = policy(z)
    loss = actions.value.sum() + actions.log_prob.sum()
    found = torch.autograd.grad(loss, list(policy.parameters()))
    torch.manual_seed(1)
    noise, expected = torch.randn(6, 2), torch.zeros(())
    for row in range(6):
        laws = [policy.distribution(z[row : row + 1, 3 * i : 3 * i + 3]) for i in range(5)]
        mean, log_std = laws[0]
        u = mean[0] + log_std[0].exp() * noise[row]
        squashing = (1 - u.tanh() ** 2).log()
        w = torch.stack([(TorchNormal(m[0], s[0].exp()).log_prob(u) - squashing).sum() for m, s in laws])
        expected = expected + u.tanh().sum() + (nested(w) if estimator == "nested" else torch.log(w.exp().sum() / 5))
    for ours, loops in zip(found, torch.autograd.grad(expected, list(policy.parameters())), strict=True):
        torch.testing.assert_close(ours, loops, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("estimator", ["naive", "nested"])
def test_one_latent_is_the_gaussian_bit_by_bit(estimator: str) -> None:
    policy, z = marginal(estimator=estimator), torch.randn(6, 3)
    gaussian = Gaussian(SMALL).build(3, SPEC)
    gaussian.load_state_dict(policy.state_dict())
    answers = []
    for actor in (policy, gaussian):
        torch.manual_seed(1)
        actions = actor(z)
        loss = actions.value.sum() + actions.log_prob.sum()
        gradients = torch.autograd.grad(loss, list(actor.parameters()))
        answers.append([*actions, *gradients, actor.sample(z), actor.mode(z)])
    for one, other in zip(*answers, strict=True):
        assert torch.equal(one, other)


def test_only_the_first_latent_acts() -> None:
    policy, z = marginal(), torch.randn(6, 5 * 3)
    other = torch.cat([z[:, :3], torch.randn(6, 4 * 3)], -1)
    assert torch.equal(policy.mode(z), policy.mode(other))
    drawn = []
    for x in (z, other, z[:, :3]):
        torch.manual_seed(1)
        drawn.append(policy.sample(x))
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[0], drawn[2])


def test_tiny_deviations_keep_their_density() -> None:
    policy = marginal(log_std_min=-21.0, log_std_max=-20.0)
    z = torch.randn(20, 3).repeat(1, 2)  # both latents are the same: the density is that of one
    alone = policy(z[:, :3])
    assert alone.log_prob.isfinite().all()
    assert (policy(z).log_prob > 2 * 15 - 1).all()


def test_more_latents_never_say_more_entropy_than_there_is() -> None:
    """E log pi falls with every latent towards that of a histogram of 10^5 actions."""
    policy = Latent(SMALL, Normal(3), 0, Marginal(SMALL)).build(4, Spec({"state": (4,)}, 1))
    policy.out.weight.data *= 4
    x = torch.randn(1, 4)
    with torch.no_grad():
        means = []
        for particles, draws in ((0, 20_000), (2, 20_000), (16, 8_000), (128, 2_000)):
            policy.count = 1 + particles
            means.append(float(policy(x.expand(draws, 4)).log_prob.mean()))
        actions = policy.sample(x.expand(100_000, 4))[:, 0]
    counts = torch.histc(actions, 50, -1, 1) / len(actions)
    counts = counts[counts > 0]
    truth = float((counts * (counts / (2 / 50)).log()).sum())
    assert means[0] > means[1] > means[2] > means[3] - 0.02
    assert abs(means[3] - truth) < 0.05


def test_latents_are_drawn_from_what_the_trunk_says() -> None:
    policy, x = latent(), torch.randn(1, 4)
    mean, std = policy.latent.moments(policy.params(x))
    drawn = policy.sample_latents(x.expand(10_000, 4), 4).unflatten(-1, (4, 3)).detach()
    torch.testing.assert_close(drawn.mean((0, 1)), mean[0].detach(), atol=0.03, rtol=0)
    torch.testing.assert_close(drawn.std((0, 1)), std[0].detach(), atol=0.03, rtol=0)
    assert torch.equal(policy.mode(x), policy.policy.mode(mean))


def test_gradients_reach_every_weight() -> None:
    policy = latent()
    actions = policy(torch.randn(6, 4))
    gradients = torch.autograd.grad(actions.log_prob.sum(), list(policy.parameters()))
    assert all(g.abs().sum() > 0 for g in gradients)


def test_it_learns_with_the_one_update_on_other_trunks() -> None:
    config = AgentConfig(actor=Latent(SimBa(), Normal(3), 2, Marginal(SimBa())))  # type: ignore[arg-type]
    agent = config.build(SPEC)
    before = [p.clone() for p in agent.actor.parameters()]
    state, one = torch.randn(5, 2, 4), torch.ones(5, 1)
    window = Window({"state": state}, torch.rand(5, 1, 2), one, 0.9 * one, one.bool(), one[:, 0], torch.arange(5))
    metrics, _ = agent.update(window)
    assert all(value.isfinite() for value in metrics.values())
    assert any(not torch.equal(p, q) for p, q in zip(before, agent.actor.parameters(), strict=True))
    action, _ = agent.act({"state": state[:, 0]}, agent.initial(5))
    assert action.shape == (5, 2)


@pytest.mark.slow
def test_it_traces_into_one_graph_with_its_gradient() -> None:
    policy, x = latent(4, estimator="nested"), torch.randn(5, 4)

    def gradient(x: torch.Tensor) -> torch.Tensor:
        actions = policy(x)
        loss = actions.log_prob.sum() + policy.sample(x).sum()
        return torch.autograd.grad(loss, [policy.out.weight])[0]

    torch.manual_seed(1)
    expected = gradient(x)
    torch.manual_seed(1)
    with torch._dynamo.config.patch(trace_autograd_ops=True):
        torch.testing.assert_close(torch.compile(gradient, fullgraph=True, backend="eager")(x), expected)


def test_bad_values_are_refused() -> None:
    with pytest.raises(UserError, match="-1 extra latents"):
        Latent(particles=-1)
    with pytest.raises(UserError, match="power of two"):
        Latent(particles=6, policy=Marginal(estimator="nested"))
    with pytest.raises(UserError, match="log_std_min"):
        Marginal(log_std_min=3.0)
