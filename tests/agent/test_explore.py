"""Explorers: what they do, what they remember, what they learn; each against a plain implementation kept here."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from softrl.agent import explore
from softrl.agent.explore import (
    Explorer,
    OnPolicy,
    Optimistic,
    OptimisticExplorer,
    RepeatedNoise,
    StateDependent,
    upper_bound,
)
from softrl.errors import UserError
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.actors.gsde import GSDE
from softrl.nn.critics import ActionIn
from softrl.nn.heads import Categorical, Scalar
from softrl.nn.trunks.mlp import MLP
from softrl.types import Atoms, Spec

SPEC = Spec({"state": (4,)}, 2)
SMALL = MLP((8, 8))


def gaussian() -> Any:
    torch.manual_seed(0)
    return Gaussian(SMALL).build(4, SPEC)


def noise_of(actor: Any, z: Tensor, action: Tensor) -> Tensor:
    """The standard normal noise behind an action of the Gaussian actor."""
    mean, log_std = actor.distribution(z)
    return (action.double().atanh() - mean) / log_std.exp()


def test_on_policy_is_the_actor_and_nothing_else() -> None:
    actor, z = gaussian(), torch.randn(3, 4)
    explorer = OnPolicy().build(actor, 4, SPEC)
    torch.manual_seed(1)
    action, carry = explorer.act(actor, z, {"other": torch.ones(3)})
    torch.manual_seed(1)
    assert torch.equal(action, actor.sample(z))
    assert list(carry) == ["other"]
    assert explorer.initial(3) == explorer.losses(SimpleNamespace(), z, z) == {}  # type: ignore[arg-type]
    assert not list(explorer.parameters())


# ---------------------------------------------------------------- held noise


@torch.no_grad()
def lived(explorer: Explorer, actor: Any, envs: int, decisions: int) -> tuple[Tensor, Tensor]:
    """Noise [T,N,..] and decisions left before each act [T,N] of a life at one state."""
    carry = explorer.initial(envs) | {"other": torch.arange(envs)}
    z, noises, lefts = torch.randn(1, 4).expand(envs, 4), [], []
    for _ in range(decisions):
        lefts.append(carry["explorer.left"])
        _, carry = explorer.act(actor, z, carry)
        noises.append(carry["explorer.noise"])
        assert torch.equal(carry["other"], torch.arange(envs))
    return torch.stack(noises), torch.stack(lefts)


def test_repeated_noise_is_kept_exactly_as_long_as_drawn() -> None:
    actor = gaussian()
    noise, left = lived(RepeatedNoise().build(actor, 4, SPEC), actor, envs=50, decisions=60)
    changed = (noise[1:] != noise[:-1]).any(-1)
    assert torch.equal(changed, left[1:] == 0)
    held = left[:-1] > 0
    assert torch.equal(left[1:][held], left[:-1][held] - 1)
    runs = [len(run) for env in changed.T for run in "".join("01"[int(c)] for c in env).split("1")[1:-1]]
    assert max(runs) < 16  # a run of r zeros is r + 1 equal decisions
    assert len(set(runs)) > 3


def test_lengths_follow_the_truncated_zeta_law() -> None:
    """P(n) = n^-2 / sum_{m <= 16} m^-2."""
    actor, envs = gaussian(), 100_000
    explorer = RepeatedNoise().build(actor, 4, SPEC)
    with torch.no_grad():
        _, carry = explorer.act(actor, torch.zeros(envs, 4), explorer.initial(envs))
    counts = (carry["explorer.left"] + 1).bincount(minlength=17)
    weight = [0.0, *(n**-2.0 for n in range(1, 17))]
    assert len(counts) == 17
    for n, count in enumerate(counts.tolist()):
        p = weight[n] / sum(weight)
        assert abs(count - envs * p) <= 4 * (envs * p * (1 - p)) ** 0.5


def test_at_every_decision_the_action_is_one_of_the_policy() -> None:
    """Noise is repeated, yet its law over environments is standard normal at each time, and independent of others'."""
    actor, envs = gaussian(), 20_000
    explorer, z = RepeatedNoise(longest=4).build(actor, 4, SPEC), torch.randn(1, 4)
    carry = explorer.initial(envs)
    with torch.no_grad():
        for _ in range(3):
            action, carry = explorer.act(actor, z.expand(envs, 4), carry)
            noise = noise_of(actor, z, action)
            assert noise.mean(0).abs().max() < 0.03
            assert (noise.T.cov() - torch.eye(2)).abs().max() < 0.05


def test_noise_of_one_decision_is_fresh_each_time() -> None:
    actor = gaussian()
    noise, _ = lived(RepeatedNoise(longest=1).build(actor, 4, SPEC), actor, envs=3, decisions=20)
    assert len(noise.flatten(0, 1).unique(dim=0)) == 60


def test_an_episode_starts_with_fresh_noise_and_leaves_the_others_alone() -> None:
    """The collector writes rows of `initial` in place where an episode has begun."""
    actor, z = gaussian(), torch.randn(2, 4)
    explorer = RepeatedNoise(exponent=0.0, longest=10_000).build(actor, 4, SPEC)
    with torch.no_grad():
        _, carry = explorer.act(actor, z, explorer.initial(2))
        before = carry["explorer.noise"].clone()
        for name, value in carry.items():
            value[0] = explorer.initial(2)[name][0]
        _, carry = explorer.act(actor, z, carry)
    assert not torch.equal(carry["explorer.noise"][0], before[0])
    assert torch.equal(carry["explorer.noise"][1], before[1])


def test_state_dependent_noise_is_a_matrix_kept_for_some_decisions() -> None:
    torch.manual_seed(0)
    actor = GSDE(SMALL).build(4, SPEC)
    explorer = StateDependent(every=3).build(actor, 4, SPEC)
    noise, _ = lived(explorer, actor, envs=2, decisions=9)
    assert noise.shape == (9, 2, 8, 2)
    for time in range(1, 9):
        assert torch.equal(noise[time], noise[time - 1]) == (time % 3 > 0)
    z = torch.randn(2, 4)
    with torch.no_grad():
        action, carry = explorer.act(actor, z, explorer.initial(2))
        assert torch.equal(action, actor.perturbed(z, carry["explorer.noise"]))


def test_a_matrix_can_last_a_whole_episode() -> None:
    torch.manual_seed(0)
    actor = GSDE(SMALL).build(4, SPEC)
    noise, _ = lived(StateDependent(every=None).build(actor, 4, SPEC), actor, envs=2, decisions=200)
    assert torch.equal(noise, noise[:1].expand_as(noise))


@pytest.mark.parametrize("config", [RepeatedNoise(), StateDependent()])
def test_what_is_remembered_lives_where_the_explorer_does_and_has_no_weights(config: Any) -> None:
    explorer = config.build(GSDE(SMALL).build(4, SPEC), 4, SPEC)
    assert {value.device.type for value in explorer.to("meta").initial(2).values()} == {"meta"}
    assert explorer.state_dict() == {}
    assert explorer.losses(SimpleNamespace(), torch.zeros(1, 4), torch.zeros(1, 4)) == {}


def test_held_noise_traces_into_one_graph() -> None:
    actor, z = gaussian(), torch.randn(3, 4)
    explorer = RepeatedNoise().build(actor, 4, SPEC)
    traced = torch.compile(lambda z, carry: explorer.act(actor, z, carry), fullgraph=True, backend="eager")
    torch.manual_seed(1)
    expected, _ = explorer.act(actor, z, explorer.initial(3))
    torch.manual_seed(1)
    torch.testing.assert_close(traced(z, explorer.initial(3))[0], expected)


# ---------------------------------------------------------------- optimism


def optimist(**options: Any) -> tuple[OptimisticExplorer, Any]:
    """An explorer that has left its start, and an agent with twin critics that disagree."""
    actor = gaussian()
    explorer = Optimistic(SMALL, **options).build(actor, 4, SPEC)
    explorer.out.weight.data.mul_(30)
    critic = ActionIn(SMALL).build(4, SPEC)
    critic.out.weight.data.mul_(5)
    return explorer, SimpleNamespace(actor=actor, critic=critic)


def textbook(explorer: OptimisticExplorer, agent: Any, z: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """The loss of the second policy and the KL divergence, with torch.nn.functional and distributions."""
    with torch.no_grad():
        mean, log_std = agent.actor.distribution(z)
    std, factor = log_std.exp(), explorer.std_factor
    hidden = torch.cat([z, mean], -1)
    for layer in explorer.trunk.layers:  # type: ignore[union-attr]
        hidden = nn.functional.linear(hidden, layer.weight[0].T, layer.bias[0, 0]).relu()
    second = mean + nn.functional.linear(hidden, explorer.out.weight[0].T)
    torch.manual_seed(seed)
    action = torch.tanh(second + factor * std * torch.randn_like(mean))
    q1, q2 = agent.critic(z, action[None]).atoms.mean()[:, 0]
    wide = torch.distributions.Normal(second, factor * std / factor)
    divergence = torch.distributions.kl_divergence(wide, torch.distributions.Normal(mean, std)).sum(-1).mean()
    optimism, price = (float(multiplier().detach()) for multiplier in (explorer.optimism, explorer.price))
    return -((q1 + q2) / 2 + optimism * (q1 - q2).abs() / 2).mean() + price * divergence, divergence.detach()


def test_the_loss_and_its_gradients_equal_a_textbook() -> None:
    explorer, agent = optimist(optimism=2.0, price=0.7)
    z = torch.randn(16, 4)
    expected, divergence = textbook(explorer, agent, z, seed=3)
    torch.manual_seed(3)
    losses = explorer.losses(agent, z, z)
    torch.testing.assert_close(losses["explorer_loss"], expected)
    weights = [*explorer.trunk.parameters(), *explorer.out.parameters()]
    ours = torch.autograd.grad(losses["explorer_loss"], weights, retain_graph=True)
    for gradient, other in zip(ours, torch.autograd.grad(expected, weights), strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-4, atol=1e-6)
    excess = float(divergence) / 2 - 0.05
    torch.testing.assert_close(losses["explorer_optimism_loss"], torch.tensor(2.0 * excess), rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(losses["explorer_price_loss"], torch.tensor(-0.7 * excess), rtol=1e-3, atol=1e-6)


def test_each_loss_reaches_its_own_parameters_only() -> None:
    explorer, agent = optimist()
    losses = explorer.losses(agent, *[torch.randn(16, 4)] * 2)
    groups = {
        "explorer_loss": [*explorer.trunk.parameters(), *explorer.out.parameters()],
        "explorer_optimism_loss": [explorer.optimism.x],
        "explorer_price_loss": [explorer.price.x],
    }
    actor = list(agent.actor.parameters())
    for name, loss in losses.items():
        everything = [*(p for group in groups.values() for p in group), *actor]
        gradients = torch.autograd.grad(loss, everything, retain_graph=True, allow_unused=True)
        touched = {id(p) for p, g in zip(everything, gradients, strict=True) if g is not None}
        assert touched == {id(p) for p in groups[name]}
    assert {id(p) for group in groups.values() for p in group} == {id(p) for p in explorer.parameters()}


@pytest.mark.parametrize(("divergence", "far"), [(1e-9, True), (1e9, False)])
def test_too_far_from_the_policy_distance_gets_dearer_and_optimism_smaller(divergence: float, far: bool) -> None:
    explorer, agent = optimist(divergence=divergence)
    optimism, price = explorer.optimism().detach(), explorer.price().detach()
    losses = explorer.losses(agent, *[torch.randn(16, 4)] * 2)
    parameters = list(explorer.parameters())
    optimiser = torch.optim.Adam(parameters, 3e-4)
    for parameter, gradient in zip(
        parameters, torch.autograd.grad(torch.stack([*losses.values()]).sum(), parameters), strict=True
    ):
        parameter.grad = gradient
    optimiser.step()
    assert bool(explorer.price() > price) == far
    assert bool(explorer.optimism() < optimism) == far


def test_learning_moves_the_mean_to_where_the_upper_bound_is_high() -> None:
    """Critics that disagree, and like large first components: the shift goes up there, and only there."""
    explorer, agent = optimist(price=1e-3)

    def critic(z: Tensor, action: Tensor) -> Any:
        value = torch.stack([3 * action[..., :1], -action[..., :1]])
        return SimpleNamespace(atoms=Atoms(value, torch.ones_like(value)))

    critic.head = Scalar()  # type: ignore[attr-defined]
    agent.critic = critic  # mean a, disagreement 2 |a|
    z, optimiser = torch.randn(64, 4), torch.optim.Adam(explorer.parameters(), 1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        torch.stack([*explorer.losses(agent, z, z).values()]).sum().backward()
        optimiser.step()
    mean, _ = agent.actor.distribution(z)
    shift = explorer.shift(z, mean)
    assert shift[:, 0].min() > 0.3
    assert shift[:, 0].mean() > 5 * shift[:, 1].abs().mean()


def test_it_acts_around_its_own_mean_with_less_noise() -> None:
    explorer, agent = optimist()
    z = torch.randn(1, 4)
    with torch.no_grad():
        action, carry = explorer.act(agent.actor, z.expand(50_000, 4), {})
        mean, log_std = agent.actor.distribution(z)
        u = action.double().atanh()
    assert carry == explorer.initial(3) == {}
    torch.testing.assert_close(u.mean(0), (mean + explorer.shift(z, mean))[0].double(), atol=0.03, rtol=0)
    torch.testing.assert_close(u.std(0), 0.75 * log_std[0].exp().double(), atol=0.03, rtol=0)


def test_at_the_start_it_is_close_to_the_policy() -> None:
    actor = gaussian()
    explorer = Optimistic(MLP((16, 8))).build(actor, 4, SPEC)
    singular = torch.linalg.svdvals(explorer.out.weight[0])
    torch.testing.assert_close(singular, torch.full((2,), 0.01))
    count = sum(p.numel() for p in explorer.parameters())
    assert count == ((4 + 2) * 16 + 16) + (16 * 8 + 8) + 8 * 2 + 2  # no bias at the end; two multipliers
    torch.testing.assert_close(explorer.optimism(), torch.tensor(1.0), rtol=1e-4, atol=0)
    torch.testing.assert_close(explorer.price(), torch.tensor(0.25), rtol=1e-4, atol=0)


def test_a_trunk_with_batch_statistics_learns_from_the_batch_and_acts_with_the_running_ones() -> None:
    actor = gaussian()
    explorer = Optimistic(MLP((8, 8), norm="batch")).build(actor, 4, SPEC)
    agent, z = SimpleNamespace(actor=actor, critic=ActionIn(SMALL).build(4, SPEC)), torch.randn(16, 4)

    def running() -> list[Tensor]:
        return [buffer.clone() for buffer in explorer.trunk.buffers()]

    before = running()
    with torch.no_grad():
        explorer.act(actor, z, {})
    assert all(torch.equal(one, other) for one, other in zip(running(), before, strict=True))
    explorer.losses(agent, z, z)  # type: ignore[arg-type]
    assert before
    assert not any(torch.equal(one, other) for one, other in zip(running(), before, strict=True))


def test_the_upper_bound_by_hand() -> None:
    """Two critics with atoms (1, 3) and (5, 3): means 2 and 4; disagreement 2 at the first atom, 0 at the second."""
    atoms = Atoms(torch.tensor([[1.0, 3.0], [5.0, 3.0]])[:, None, None], torch.full((2, 1, 1, 2), 0.5))
    assert upper_bound(atoms, torch.tensor(10.0)).tolist() == [[3 + 10 * (2 * 0.5)]]


def test_critics_of_fixed_atoms_disagree_by_their_means() -> None:
    """At returns of -1, 0 and 1 all of a certain 0 and half of each end have one mean, however unlike they look."""
    explorer, agent = optimist()
    agent.critic = ActionIn(SMALL, Categorical(3, low=-1.0, high=1.0), members=2).build(4, SPEC)
    out = agent.critic.out
    out.weight.data.zero_()
    out.bias.data.copy_(torch.tensor([[0.0, 40.0, 0.0], [40.0, 0.0, 40.0]]).view_as(out.bias))
    bounds: list[Tensor] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(explore, "upper_bound", lambda *given: bounds.append(upper_bound(*given)) or bounds[-1])
        explorer.losses(agent, *[torch.randn(16, 4)] * 2)
    torch.testing.assert_close(bounds[0], torch.zeros(1, 16))


def test_critics_that_agree_give_no_optimism_and_a_finite_gradient() -> None:
    value = torch.ones(2, 1, 3, 4, requires_grad=True)
    bound = upper_bound(Atoms(value, torch.full_like(value, 0.25)), torch.tensor(7.0))
    assert torch.equal(bound, torch.ones(1, 3))
    (gradient,) = torch.autograd.grad(bound.sum(), [value])
    assert torch.equal(gradient, torch.full_like(value, 0.125))


def test_the_losses_trace_into_one_graph() -> None:
    explorer, agent = optimist()
    z = torch.randn(16, 4)
    traced = torch.compile(lambda z: explorer.losses(agent, z, z), fullgraph=True, backend="eager")
    torch.manual_seed(1)
    expected = explorer.losses(agent, z, z)
    torch.manual_seed(1)
    for name, loss in traced(z).items():
        torch.testing.assert_close(loss, expected[name])


@pytest.mark.parametrize(
    ("config", "wrong"),
    [
        (RepeatedNoise, {"exponent": -1.0}),
        (RepeatedNoise, {"longest": 0}),
        (StateDependent, {"every": 0}),
        (Optimistic, {"std_factor": 0.0}),
        (Optimistic, {"divergence": 0.0}),
        (Optimistic, {"rate": -0.1}),
        (Optimistic, {"optimism": 0.0}),
        (Optimistic, {"price": -1.0}),
    ],
)
def test_impossible_values_are_refused(config: Any, wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        config(**wrong)
