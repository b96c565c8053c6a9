"""The mixture of squashed Gaussians against torch.distributions, quadrature and Monte Carlo."""

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, TanhTransform

from softrl.errors import UserError
from softrl.math.densities import squash_log_det
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.actors.mixture import Mixture, MixtureActor, mixture_log_prob
from softrl.nn.trunks.mlp import MLP
from softrl.types import Spec

SPEC = Spec({"state": (4,)}, 2)


def actor(spec: Spec = SPEC, spread: float = 1.0, **options: object) -> MixtureActor:
    torch.manual_seed(0)
    policy = Mixture(MLP((8, 8)), **options).build(4, spec)  # type: ignore[arg-type]
    policy.out.weight.data *= spread
    return policy


def law(policy: MixtureActor, z: Tensor) -> MixtureSameFamily:
    """The textbook's distribution of u in float64, for each row of z."""
    log_weight, mean, log_std = (t.double() for t in policy.distributions(z))
    parts = Independent(Normal(mean.movedim(0, 1), log_std.movedim(0, 1).exp()), 1)
    return MixtureSameFamily(Categorical(logits=log_weight), parts)


GRID = torch.linspace(-40, 40, 200_001, dtype=torch.float64)[:, None]  # of u: at the ends a = tanh(u) is 1


def test_parameters_are_a_weight_and_two_outputs_an_action_of_each_component() -> None:
    assert sum(p.numel() for p in actor().parameters()) == (4 * 8 + 8) + (8 * 8 + 8) + 9 * 4 * (1 + 2 * 2)


def test_every_component_says_the_density_of_the_whole() -> None:
    policy, z = actor(spread=2.0), torch.randn(6, 4)
    actions = policy(z)
    assert (actions.value.shape, actions.log_prob.shape, actions.prob.shape) == ((4, 6, 2), (4, 6, 1), (4, 6))
    torch.testing.assert_close(actions.prob.sum(0), torch.ones(6))
    torch.testing.assert_close(actions.prob.T, policy.distributions(z)[0].exp())
    for k in range(4):
        u = actions.value[k].double().clamp(-1 + 1e-7, 1 - 1e-7).atanh()
        expected = law(policy, z).log_prob(u) - TanhTransform().log_abs_det_jacobian(u, u.tanh()).sum(-1)
        near = u.abs().amax(-1) < 4  # where atanh keeps its digits
        torch.testing.assert_close(actions.log_prob[k, near, 0].double(), expected[near], atol=2e-3, rtol=1e-3)
        assert near.sum() > 2


def test_one_component_is_the_gaussian() -> None:
    policy, z = actor(components=1), torch.randn(6, 4)
    gaussian = Gaussian(MLP((8, 8))).build(4, SPEC)
    gaussian.trunk.load_state_dict(policy.trunk.state_dict())
    gaussian.out.weight.data.copy_(policy.out.weight[..., 1:])
    torch.manual_seed(1)
    one = policy(z)
    torch.manual_seed(1)
    other = gaussian(z)
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b)
    torch.testing.assert_close(policy.mode(z), gaussian.mode(z))


def test_the_density_integrates_to_one() -> None:
    policy, z = actor(Spec({"state": (4,)}, 1), spread=3.0), torch.randn(1, 4)
    log_weight, mean, log_std = (t.double() for t in policy.distributions(z))
    u = GRID.expand(4, -1, 1)
    moments = (log_weight.T.expand(4, u.shape[1]), mean.expand_as(u), log_std.expand_as(u))
    # At any u, not at draws: what was added is then u itself seen from each component.
    density = mixture_log_prob(u, (u - mean) / log_std.exp(), *moments).exp().detach()
    for k in range(4):
        assert float(torch.trapezoid(density[k], GRID[:, 0])) == pytest.approx(1, abs=1e-6)


def test_entropy_by_quadrature() -> None:
    """The weighted mean over components and draws of -log pi is the entropy of the whole."""
    policy, z = actor(Spec({"state": (4,)}, 1), spread=3.0), torch.randn(1, 4)
    actions = policy(z.expand(100_000, 4))
    estimate = -actions.expectation(actions.log_prob).mean().detach()
    density = law(policy, z).log_prob(GRID).detach()
    truth = -torch.trapezoid(density.exp() * (density - squash_log_det(GRID[:, 0])), GRID[:, 0])
    assert float(estimate) == pytest.approx(float(truth), abs=0.01)


def test_gradients_of_an_expectation_with_entropy() -> None:
    """d/dtheta E[(a - 0.3)^2 - log pi(a)] from weighted draws equals that of its integral, for every output."""
    policy, z = actor(Spec({"state": (4,)}, 1), spread=2.0), torch.randn(1, 4)
    weight = policy.out.weight
    actions = policy(z.expand(200_000, 4))
    sampled = actions.expectation((actions.value - 0.3).square() - actions.log_prob).mean()
    (estimate,) = torch.autograd.grad(sampled, [weight])
    u, density = GRID[:, 0], law(policy, z).log_prob(GRID)
    log_prob = density - squash_log_det(u)
    exact = torch.trapezoid(density.exp() * ((u.tanh() - 0.3).square() - log_prob), u)
    (truth,) = torch.autograd.grad(exact, [weight])
    torch.testing.assert_close(estimate, truth, atol=0.01, rtol=0)


def test_samples_come_from_the_mixture() -> None:
    """Shares of 50000 samples in four intervals are the integrals of the density over them."""
    policy, z = actor(Spec({"state": (4,)}, 1), spread=3.0), torch.randn(1, 4)
    u = policy.sample(z.expand(50_000, 4)).double().clamp(-1 + 1e-7, 1 - 1e-7).atanh()
    log_weight, mean, log_std = (t.double().detach() for t in policy.distributions(z))
    for low, high in ((-50.0, -1.0), (-1.0, 0.0), (0.0, 1.0), (1.0, 50.0)):
        parts = Normal(mean[:, 0, 0], log_std[:, 0, 0].exp())
        expected = (log_weight[0].exp() * (parts.cdf(torch.tensor(high)) - parts.cdf(torch.tensor(low)))).sum()
        share = ((u >= low) & (u < high)).double().mean()
        assert float(share) == pytest.approx(float(expected), abs=0.012)


def test_the_mode_is_the_mean_of_the_heaviest() -> None:
    policy, z = actor(spread=2.0), torch.randn(20, 4)
    log_weight, mean, _ = policy.distributions(z)
    for b in range(20):
        assert torch.equal(policy.mode(z)[b], mean[int(log_weight[b].argmax()), b].tanh())


def test_tiny_deviations_keep_their_density() -> None:
    """At a deviation of exp(-20) the noise is below the digits of u: the density still counts it."""
    policy = actor(log_std_min=-21.0, log_std_max=-20.0)
    actions = policy(torch.randn(50, 4))
    assert actions.log_prob.isfinite().all()
    assert actions.log_prob.min() > 2 * 15  # each of two components: 20 - 0.92 - noise^2 / 2 - log weight
    gradients = torch.autograd.grad(actions.log_prob.sum(), list(policy.parameters()))
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_bad_values_are_refused() -> None:
    with pytest.raises(UserError, match="components is 0"):
        Mixture(components=0)
    with pytest.raises(UserError, match="log_std_min"):
        Mixture(log_std_min=3.0)
