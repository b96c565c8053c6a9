"""The world model as an encoder: its losses, the real decisions it hands on, what it remembers."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from softrl.agent.agent import Agent
from softrl.agent.config import AgentConfig
from softrl.errors import UserError
from softrl.math.latents import balanced_kl, symlog
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.actors.latent import Marginal
from softrl.nn.critics import ActionIn
from softrl.nn.dreamer_cnn import Pictures
from softrl.nn.either import Either
from softrl.nn.encoders.world import World, WorldModel, stand_ins
from softrl.nn.imagine import film
from softrl.nn.latents import Normal, OneHot
from softrl.nn.particles import Particles
from softrl.nn.rssm import RSSM
from softrl.nn.sights import Vectors
from softrl.nn.trunks.mlp import MLP
from softrl.recipes import apply
from softrl.run.config import Run
from softrl.run.fields import override
from softrl.types import Spec, Window

SPEC = Spec({"state": (3,)}, 2, sequence=6)
PIXELS = SPEC._replace(obs={"pixels": (3, 16, 16)})
B, T = 5, 6
TINY = MLP((8,), activation="elu")
WORLD = World(Vectors(TINY, TINY, deviation=0.5), RSSM(7, 8, Normal(4)), TINY, TINY, free_nats=0.0)
ONE_HOT = replace(WORLD, dynamics=RSSM(7, 8, OneHot(2, 3)))


@dataclass(frozen=True)
class Certain(Normal):
    """Latents without noise."""

    def noise(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        return torch.zeros(*shape, self.size)


def window(spec: Spec = SPEC) -> Window:
    """Sequences some of which hold the end of an episode; the first has it at row 2."""
    last = torch.rand(B, T) < 0.2
    last[0] = torch.tensor([0, 0, 1, 0, 0, 0])
    first = torch.cat([torch.rand(B, 1) < 0.5, last[:, :-1]], 1)
    obs = {"state": torch.randn(B, T, 3)}
    if "pixels" in spec.obs:
        obs = {"pixels": torch.randint(0, 256, (B, T, *spec.obs["pixels"]), dtype=torch.uint8)}
    ends = torch.rand(B, T) < 0.3
    return Window(
        obs,
        torch.rand(B, T, 2) * 2 - 1,
        torch.randn(B, T),
        0.99 * (~ends).float(),
        first,
        torch.rand(B) + 0.5,
        torch.arange(B),
        last,
    )


def world(config: World = WORLD, spec: Spec = SPEC) -> WorldModel:
    return config.build(spec)


def agent(config: World = WORLD, actor: object = None) -> Agent:
    torch.manual_seed(0)
    parts = AgentConfig(encoder=config, actor=actor or Gaussian(TINY), critic=ActionIn(TINY))  # type: ignore[arg-type]
    return parts.build(SPEC)


def learned_from(final: Tensor, t: int) -> int:
    """The nearest row where something was decided, going back from row t, or else going on."""
    rows = [*range(t, -1, -1), *range(t, len(final))]
    return next((row for row in rows if not final[row]), 0)


def test_losses_equal_loops_over_rows() -> None:
    model, w = world(), window()
    trace = model.trace(w)
    losses = model.losses(w, trace)
    features, rows = trace.filtered.features[:, 0], trace.filtered.params[:, 0]
    assert w.last is not None
    seen, reward, ends, priors = 0.0, [], [], []
    for b in range(B):
        for t in range(T):
            target = symlog(w.obs["state"][b, t])
            seen += 0.5 / 0.5**2 * (model.sight.predict(features[t, b][None])[0] - target).square().sum() / (B * T)
            priors.append(model.dynamics.prior(features[t, b, 4:][None]))
            if t + 1 < T and not w.last[b, t]:
                reward.append(0.5 * (model.reward(features[t + 1, b][None])[0, 0] - w.reward[b, t]).square())
                going = model.persistence(features[t + 1, b][None])[0, 0].sigmoid()
                ends.append(-going.log() if w.discount[b, t] > 0 else -(1 - going).log())
    torch.testing.assert_close(losses["reconstruction_loss"], seen)
    torch.testing.assert_close(losses["reward_loss"], torch.stack(reward).mean())
    torch.testing.assert_close(losses["continue_loss"], torch.stack(ends).mean())
    prior = torch.cat(priors).unflatten(0, (B, T)).transpose(0, 1)
    torch.testing.assert_close(losses["kl"], model.dynamics.latent.divergence(rows, prior).mean())
    torch.testing.assert_close(losses["kl_loss"], 2 * losses["kl"], check_stride=False)
    expected = balanced_kl(model.dynamics.latent.divergence, rows, prior, 0.0, (1.0, 1.0))
    torch.testing.assert_close(losses["kl_loss"], expected)
    torch.testing.assert_close(losses["posterior_entropy"], model.dynamics.latent.entropy(rows).mean())


def test_losses_of_discrete_latents_equal_loops_over_rows() -> None:
    """The divergence of categorical posteriors and priors, by sums over groups and options."""
    model, w = world(ONE_HOT).requires_grad_(False), window()
    trace = model.trace(w)
    features, rows = trace.filtered.features[:, 0], trace.filtered.params[:, 0]
    divergence, entropy = 0.0, 0.0
    for b in range(B):
        for t in range(T):
            prior = model.dynamics.prior(features[t, b, 6:][None])[0]
            for group in range(2):
                p, q = (0.99 * x[3 * group : 3 * group + 3].softmax(0) + 0.01 / 3 for x in (rows[t, b], prior))
                divergence += float((p * (p / q).log()).sum()) / (B * T)
                entropy -= float((p * p.log()).sum()) / (B * T)
    losses = model.losses(w, trace)
    assert float(losses["kl"]) == pytest.approx(divergence, rel=1e-4)
    assert float(losses["kl_loss"]) == pytest.approx(2 * divergence, rel=1e-4)
    assert float(losses["posterior_entropy"]) == pytest.approx(entropy, rel=1e-4)


def test_free_nats_and_weights() -> None:
    config = replace(WORLD, free_nats=1e3, prior_weight=0.8, posterior_weight=0.2)
    model, w = world(config), window()
    assert model.losses(w, model.trace(w))["kl_loss"].item() == pytest.approx(1e3)


def test_an_outcome_beyond_the_end_of_an_episode_teaches_nothing() -> None:
    model, w = world(), window()
    assert w.last is not None
    trace, empty = model.trace(w), w._replace(reward=w.reward + 9 * w.last, discount=w.discount * ~w.last)
    one, other = model.losses(w, trace), model.losses(empty, trace)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_batch_holds_the_real_decisions() -> None:
    model, w = world(), window()
    torch.manual_seed(1)
    batch, _ = model(w, None)  # type: ignore[arg-type]
    torch.manual_seed(1)
    features = model.trace(w).filtered.features[:, 0]
    assert w.last is not None
    for t in range(T - 1):
        for b in range(B):
            row = t * B + b
            read = learned_from(w.last[b, : T - 1], t)
            assert torch.equal(batch.z[row], features[read, b])
            assert torch.equal(batch.policy_z[row], features[read, b])
            assert torch.equal(batch.next_z[row], features[t + 1, b])
            assert torch.equal(batch.target_z[row], features[t + 1, b])
            assert torch.equal(batch.action[row], w.action[b, t])
            assert batch.reward[row] == w.reward[b, t]
            assert batch.discount[row] == w.discount[b, t]
            assert batch.weight[row] == (0 if w.last[b, t] else w.weight[b])
    assert not any(x.requires_grad for x in batch if x is not None)


def test_a_policy_learns_nothing_at_final_observations() -> None:
    """What it reads there is what it reads one row before; the critic's target still looks at them."""
    learner, w = agent(replace(WORLD, particles=Particles(2)), Marginal(TINY)), window()
    torch.manual_seed(1)
    model = learner.encoder
    batch, _ = model(w, learner.actor)
    torch.manual_seed(1)
    features = model.trajectories(model.trace(w))  # [T,L,B,F]
    assert w.last is not None
    assert w.last[0, 2]
    final = features[2, :, 0].flatten()
    assert not (batch.policy_z == final).all(1).any()
    assert (batch.policy_z == features[1, :, 0].flatten()).all(1).sum() == 2  # its own row, and the final one's
    assert (batch.next_z == features[2, 0, 0]).all(1).sum() == 1  # it is what row 1 leads to


def test_what_stands_in_for_final_observations_was_decided() -> None:
    """Also where a window opens with one, and where one follows another, as after an episode that was cut at once."""
    decided = torch.tensor([[0, 1, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 1, 0], [0, 1, 0, 0]], dtype=torch.bool)
    expected = [[1, 0, 2, 0], [1, 1, 2, 0], [2, 1, 2, 0], [2, 1, 3, 0], [2, 4, 3, 0]]
    assert stand_ins(decided).tolist() == expected


def test_a_policy_learns_from_decisions_alone_where_a_window_opens_and_closes_with_a_final_observation() -> None:
    model, w = world(), window()
    last = torch.zeros(B, T, dtype=torch.bool)
    last[:, [0, T - 2]] = True
    w = w._replace(last=last, first=torch.cat([torch.zeros(B, 1, dtype=torch.bool), last[:, :-1]], 1))
    torch.manual_seed(1)
    batch, _ = model(w, None)  # type: ignore[arg-type]
    torch.manual_seed(1)
    features = model.trace(w).filtered.features[:, 0]
    read = batch.policy_z.unflatten(0, (T - 1, B))
    assert torch.equal(read, features[[1, 1, 2, 3, 3]])


def test_nothing_crosses_the_start_of_an_episode() -> None:
    """What is known of row 3 and after, of the sequence whose episode ends at row 2, depends on nothing before."""
    model, w = world(), window()
    obs, action = w.obs["state"].clone(), w.action.clone()
    obs[0, :3], action[0, :3] = 7.0, -1.0
    answers = []
    for v in (w, w._replace(obs={"state": obs}, action=action)):
        torch.manual_seed(1)
        answers.append(model.trace(v).filtered.features[:, 0, 0])
    assert torch.equal(answers[0][3:], answers[1][3:])
    assert not torch.equal(answers[0][2], answers[1][2])


@pytest.mark.parametrize("spec", [SPEC, PIXELS])
def test_acting_filters_as_learning_does(spec: Spec) -> None:
    """Acting step by step, with a carry that is renewed where an episode starts, gives the features of the window."""
    model = World(Either(), RSSM(7, 8, Certain(4)), TINY, TINY).build(spec)
    w = window(spec)
    w.first[:, 0] = True
    features = model.trace(w).filtered.features[:, 0]
    carry, fresh = model.initial(B), model.initial(B)
    for t in range(T):
        carry = {name: torch.where(w.first[:, t, None], fresh[name], value) for name, value in carry.items()}
        z, carry = model.act({name: x[:, t] for name, x in w.obs.items()}, carry)
        carry = model.acted(w.action[:, t], carry)
        torch.testing.assert_close(z, features[t], atol=1e-5, rtol=1e-4)


def test_particles_are_further_trajectories() -> None:
    config = replace(WORLD, particles=Particles(3, judged=2))
    model, w = world(config), window()
    torch.manual_seed(1)
    batch, _ = model(w, None)  # type: ignore[arg-type]
    torch.manual_seed(1)
    trace = model.trace(w)
    further = model.dynamics.filter(trace.given, model.dynamics.start(3, B)).features
    everything = torch.cat([trace.filtered.features, further], 1)  # [T,L,B,F]
    rows = (T - 1) * B
    assert batch.policy_z.shape == (rows, 4 * model.width)
    assert batch.z.shape == batch.next_z.shape == batch.target_z.shape == (2 * rows, model.width)
    for t in range(T - 1):
        for b in range(B):
            row = t * B + b
            read = learned_from(w.last[b, : T - 1], t)
            assert torch.equal(batch.policy_z[row], everything[read, :, b].flatten())
            for view in range(2):
                assert torch.equal(batch.z[view * rows + row], everything[read, view, b])
                assert torch.equal(batch.target_z[view * rows + row], everything[t + 1, view, b])
                assert torch.equal(batch.action[view * rows + row], w.action[b, t])
    assert not any(x.requires_grad for x in batch if x is not None)


def test_values_are_judged_at_every_particle() -> None:
    model, w = world(replace(WORLD, particles=Particles(2, pool="mean"))), window()
    batch, _ = model(w, None)  # type: ignore[arg-type]
    rows, action = len(batch.policy_z), torch.randn(1, len(batch.policy_z), 2)

    def value(z: Tensor, a: Tensor) -> Tensor:
        return (z.sum(-1) * a.sum(-1)).square()

    judged = model.q_for_actor(value, batch, action)
    for row in range(rows):
        latents = batch.policy_z[row].view(3, model.width)
        expected = sum(value(latent, action[0, row]) for latent in latents) / 3
        torch.testing.assert_close(judged[0, row], expected)


def test_no_critic_and_no_policy_reaches_the_world() -> None:
    """After an update the world is the same whatever critic and policy are, and moves by its own losses alone."""
    one, other = agent(), agent()
    for part in (other.critic, other.actor):
        for parameter in part.parameters():
            parameter.data.add_(0.3)
    before = [p.clone() for p in one.encoder.parameters()]
    w = window()
    for a in (one, other):
        torch.manual_seed(1)
        metrics, error = a.update(w)
        assert error.shape == (B,)
        assert {"reconstruction_loss", "reward_loss", "continue_loss", "kl_loss", "kl", "critic_loss"} <= set(metrics)
    for was, p, q in zip(before, one.encoder.parameters(), other.encoder.parameters(), strict=True):
        assert torch.equal(p, q)
        assert not torch.equal(was, p)


def recipe(name: str, **more: Any) -> Agent:
    torch.manual_seed(0)
    return override(apply(f"{name}+states+tiny", Run()), more).agent.build(SPEC)


@pytest.mark.parametrize(
    "agents",
    [
        lambda: (agent(), agent(replace(WORLD, particles=Particles(0)), Marginal(TINY))),
        lambda: (recipe("latent_sac"), recipe("smac", **{"agent.encoder.particles.count": 0})),
    ],
    ids=["parts", "recipes"],
)
def test_no_particles_are_latent_soft_actor_critic_bit_by_bit(agents: Callable[[], tuple[Agent, Agent]]) -> None:
    w, states = window(), []
    for a in agents():
        torch.manual_seed(1)
        for _ in range(2):
            a.update(w)
        states.append(a.state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize(("entropy", "judged"), [("conditional", 1), ("conditional", 4), ("marginal", 2)])
def test_particles_learn_with_the_one_update(entropy: str, judged: int) -> None:
    config = replace(ONE_HOT, particles=Particles(3, judged=judged, entropy=entropy))  # type: ignore[arg-type]
    learner = agent(config, Marginal(TINY))
    metrics, error = learner.update(window())
    assert all(value.isfinite() for value in metrics.values())
    assert error.shape == (B,)
    action, carry = learner.act({"state": torch.randn(3, 3)}, learner.initial(3))
    assert torch.equal(carry["encoder.action"], action)


@pytest.mark.slow
@pytest.mark.parametrize("config", [WORLD, ONE_HOT, replace(WORLD, particles=Particles(3))])
def test_it_traces_into_one_graph_with_its_gradient(config: World) -> None:
    model, w = world(config), window()
    w = Window({"state": w.obs["state"][:, :2]}, *(x[:, :2] for x in w[1:5]), *w[5:7], w.last[:, :2])  # type: ignore[index, misc]
    parameters = list(model.parameters())

    def gradients(w: Window) -> tuple[Tensor, ...]:
        batch, losses = model(w, None)  # type: ignore[arg-type]
        return batch.next_z, *torch.autograd.grad(torch.stack(list(losses.values())).sum(), parameters)

    torch.manual_seed(1)
    expected = gradients(w)
    torch.manual_seed(1)
    with torch._dynamo.config.patch(trace_autograd_ops=True):
        compiled = torch.compile(gradients, fullgraph=True, backend="eager")(w)
    for p, q in zip(compiled, expected, strict=True):
        torch.testing.assert_close(p, q)


def test_pictures_are_learned_and_shown() -> None:
    model, w = World(Pictures(2), RSSM(7, 8, Normal(4)), TINY, TINY).build(PIXELS), window(PIXELS)
    losses = model(w, None)[1]  # type: ignore[arg-type]
    assert 0 < float(losses["reconstruction_loss"].detach()) < 768 / 2  # numbers in [-1/2, 1/2], predicted near 0
    (picture,) = model.pictures(w).values()
    assert (picture.dtype, picture.shape) == (torch.uint8, (3, 3 * 16, T * 16))
    assert world().pictures(window()) == {}


def test_films_are_of_whole_stretches_and_change_no_run() -> None:
    model = World(Pictures(2), RSSM(7, 8, Certain(4)), TINY, TINY).build(PIXELS)
    w = window(PIXELS)
    films = model.films(w)
    assert {name: (shown.dtype, shown.shape) for name, shown in films.items()} == {
        "open_loop": (torch.uint8, (T, 3, 3 * 16, B * 16))
    }
    assert torch.equal(films["open_loop"], film(model, w, rows=6, seen=5)["open_loop"])
    seen = films["open_loop"][0, :, :16].unflatten(-1, (B, 16)).permute(2, 0, 1, 3)
    assert (seen.int() - w.obs["pixels"][:, 0].int()).abs().max() <= 1
    assert world().films(window()) == {}
    random = World(Pictures(2), RSSM(7, 8, Normal(4)), TINY, TINY).build(PIXELS)
    before = torch.get_rng_state()
    random.films(w)
    assert torch.equal(torch.get_rng_state(), before)


def test_bad_values_are_refused() -> None:
    with pytest.raises(UserError, match="observations are states"):
        World(Pictures()).build(SPEC)
    with pytest.raises(UserError, match="Vectors needs state"):
        World(Vectors()).build(PIXELS)
    with pytest.raises(UserError, match="has choices"):
        World().build(SPEC._replace(choices=(3,)))
    with pytest.raises(UserError, match="chunk"):
        World().build(SPEC._replace(chunk=2))
    with pytest.raises(UserError, match="free_nats is -1"):
        World(free_nats=-1)
    with pytest.raises(UserError, match="prior_weight is 0"):
        World(prior_weight=0)
    with pytest.raises(UserError, match="batch statistics"):
        World(reward=MLP(norm="batch"))


@pytest.mark.parametrize("spec", [SPEC, PIXELS], ids=["state", "pixels"])
def test_pictures_and_measures_change_no_draw(spec: Spec) -> None:
    model = world(replace(WORLD, sight=Either(Pictures(2), Vectors(TINY, TINY))), spec)
    w, before = window(spec), torch.get_rng_state()
    model.pictures(w)
    assert model.measures(w)["prediction_error"] > 0
    assert torch.equal(torch.get_rng_state(), before)
