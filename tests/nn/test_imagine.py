"""Imagination and open-loop prediction against loops over single starts."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from softrl.data import envs
from softrl.data.wrappers import AnyEnv
from softrl.errors import UserError
from softrl.nn.actors.deterministic import Deterministic
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.dreamer_cnn import Pictures
from softrl.nn.encoders.world import World, WorldModel
from softrl.nn.imagine import film, foreseen_error, imagine, open_loop, prediction_error, still
from softrl.nn.latents import Normal
from softrl.nn.rssm import RSSM
from softrl.nn.sights import Vectors
from softrl.nn.trunks.mlp import MLP
from softrl.recipes import apply
from softrl.run.config import Run
from softrl.run.fields import override
from softrl.types import Spec, Window

TINY, SMALL = (MLP((width,), activation="elu") for width in (8, 32))
SPEC = Spec({"state": (3,)}, 2)
B, T, R = 4, 9, 5


@dataclass(frozen=True)
class Certain(Normal):
    """Latents without noise."""

    def noise(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        return torch.zeros(*shape, self.size)


def world(latent: Normal | None = None) -> WorldModel:
    return World(Vectors(TINY, TINY), RSSM(7, 8, latent or Normal(4)), TINY, TINY).build(SPEC)


def window(obs: dict[str, Tensor] | None = None) -> Window:
    last = torch.zeros(B, T, dtype=torch.bool)
    last[0, 5] = True
    first = torch.cat([torch.ones(B, 1, dtype=torch.bool), last[:, :-1]], 1)
    filled = torch.rand(B, T)
    obs = obs or {"state": torch.randn(B, T, 3)}
    return Window(obs, torch.rand(B, T, 2), filled, filled, first, torch.ones(B), torch.arange(B), last)


def test_imagination_equals_a_loop_over_starts() -> None:
    model, actor = world(Certain(4)), Deterministic(TINY).build(11, SPEC)
    start = torch.randn(R, model.width)
    dream = imagine(model, actor, start, 3)
    assert (dream.features.shape, dream.actions.value.shape) == ((4, R, model.width), (1, 3 * R, 2))
    for r in range(R):
        features = start[r : r + 1]
        for t in range(3):
            action = actor(features).value[0]
            features = model.dynamics.imagine(features, action)
            place = t * R + r
            torch.testing.assert_close(dream.actions.value[0, place], action[0])
            torch.testing.assert_close(dream.features[t + 1, r], features[0])
            torch.testing.assert_close(dream.reward[t, r], model.reward(features)[0, 0])
            torch.testing.assert_close(dream.continue_prob[t, r], model.persistence(features)[0, 0].sigmoid())


def test_gradients_reach_the_policy_through_what_it_does_and_not_through_what_it_reads() -> None:
    """The gradient of the last reward equals that of a loop in which the policy's inputs are constants."""
    model, actor = world(Certain(4)), Deterministic(TINY).build(11, SPEC)
    start = torch.randn(R, model.width)
    dream = imagine(model, actor, start, 3)
    parameters = list(actor.parameters())
    gradients = torch.autograd.grad(dream.reward[-1].sum(), parameters)
    read = dream.features.detach()
    features = start
    for t in range(3):
        features = model.dynamics.imagine(features, actor(read[t]).value[0])
    for p, q in zip(gradients, torch.autograd.grad(model.reward(features).sum(), parameters), strict=True):
        torch.testing.assert_close(p, q)
        assert p.abs().sum() > 0


def test_open_loop_prediction_equals_a_loop() -> None:
    model, w = world(Certain(4)), window()
    predicted = open_loop(model, w, 3)
    assert predicted.shape == (T, B, 3)
    posterior = model.trace(w).filtered.features[:, 0]
    for b in range(B):
        features = posterior[2, b][None]
        for t in range(T):
            if t < 3:
                expected = model.sight.predict(posterior[t, b][None])
            else:
                action = w.action[b, t - 1][None]
                if w.first[b, t]:
                    features, action = torch.zeros_like(features), torch.zeros_like(action)
                features = model.dynamics.imagine(features, action)
                expected = model.sight.predict(features)
            torch.testing.assert_close(predicted[t, b], expected[0])
    errors = prediction_error(model, w, 3)
    target = model.sight.target(w.obs)
    assert float(errors[7, 2]) == pytest.approx(float((predicted[7, 2] - target[2, 7]).square().mean()))


def test_the_error_of_what_is_foreseen_leaves_out_what_is_seen() -> None:
    """Five observations are seen, or all but the last; of row 0 an episode opens at time 6, which nobody foresees."""
    model, w = world(Certain(4)), window()
    errors = prediction_error(model, w, 5)
    counted = [errors[t, b] for t in range(5, T) for b in range(B) if b or t < 6]
    torch.testing.assert_close(foreseen_error(model, w), torch.stack(counted).mean())
    short = w.map(lambda x: x[:, :4] if x.dim() > 1 else x)
    torch.testing.assert_close(foreseen_error(model, short), prediction_error(model, short, 3)[3].mean())


def test_what_opens_later_is_no_error() -> None:
    model, w = world(Certain(4)), window()
    error = foreseen_error(model, w)
    w.obs["state"][0, 6:] = 100.0
    assert torch.equal(foreseen_error(model, w), error)
    w.first[:, 5] = True
    assert foreseen_error(model, w).isnan()


def test_what_comes_after_is_not_seen() -> None:
    model, w = world(Certain(4)), window()
    state = w.obs["state"].clone()
    state[:, 3:] = 5.0
    assert torch.equal(open_loop(model, w, 3), open_loop(model, w._replace(obs={"state": state}), 3))


def test_a_film_has_truth_above_prediction_above_their_difference() -> None:
    pixels = torch.randint(0, 256, (B, T, 3, 16, 16), dtype=torch.uint8)
    spec = Spec({"pixels": (3, 16, 16)}, 2)
    model = World(Pictures(2), RSSM(7, 8, Certain(4)), TINY, TINY).build(spec)
    w = window({"pixels": pixels})
    shown = film(model, w, rows=2)["open_loop"]
    assert (shown.dtype, shown.shape) == (torch.uint8, (T, 3, 3 * 16, 2 * 16))
    assert (shown[:, :, :16, 16:].int() - pixels[1].int()).abs().max() <= 1
    predicted = open_loop(model, w, 5)
    expected = ((predicted[:, 1] + 0.5) * 256).clamp(0, 255).to(torch.uint8)
    assert (shown[:, :, 16:32, 16:].int() - expected.int()).abs().max() <= 1
    difference = (predicted[:, 0] - (pixels[0] / 255 - 0.5)) / 2
    expected = ((difference + 0.5) * 256).clamp(0, 255).to(torch.uint8)
    assert (shown[:, :, 32:, :16].int() - expected.int()).abs().max() <= 1
    assert film(world(), window()) == {}


def test_a_short_film_still_foresees_something() -> None:
    spec = Spec({"pixels": (3, 16, 16)}, 2)
    model = World(Pictures(2), RSSM(7, 8, Certain(4)), TINY, TINY).build(spec)
    w = window({"pixels": torch.randint(0, 256, (B, T, 3, 16, 16), dtype=torch.uint8)})
    short = Window({"pixels": w.obs["pixels"][:, :3]}, *(x[:, :3] for x in w[1:5]), *w[5:7], w.last[:, :3])  # type: ignore[index, misc]
    shown = film(model, short)["open_loop"]
    expected = model.sight.visible(open_loop(model, short, 2))
    assert torch.equal(shown[:, :, 16:32, :16], expected[:, 0])


def test_a_still_is_the_first_frames_side_by_side() -> None:
    shown = torch.arange(4, dtype=torch.uint8)[:, None, None, None].expand(4, 3, 2, 5)
    assert still(shown, 3)[0, 0].tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert still(shown).shape == (3, 2, 4 * 5)


def test_bad_values_are_refused() -> None:
    model, actor = world(), Gaussian(TINY).build(11, SPEC)
    with pytest.raises(UserError, match="horizon is 0"):
        imagine(model, actor, torch.randn(R, model.width), 0)
    for seen in (0, T):
        with pytest.raises(UserError, match=f"{seen} of {T} observations"):
            open_loop(model, window(), seen)


@pytest.mark.slow
def test_open_loop_prediction_is_learned_on_a_deterministic_task() -> None:
    """A point that is pushed about: five rows are seen, the error of the next fifteen falls below half."""
    model = World(
        Vectors(SMALL, SMALL, "none"),
        RSSM(32, 32, Normal(4)),
        SMALL,
        SMALL,
        free_nats=1.0,
    ).build(Spec({"state": (2,)}, 1))
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)

    def pushed(rows: int) -> Window:
        action = torch.rand(rows, 20, 1) * 2 - 1
        speed = torch.cat([torch.zeros(rows, 1), 0.5 * action[:, :-1, 0]], 1).cumsum(1)
        place = torch.randn(rows, 1) + 0.3 * speed.cumsum(1)
        state = torch.stack([place, speed], -1)
        no = torch.zeros(rows, 20, dtype=torch.bool)
        first = no.clone()
        first[:, 0] = True
        reward = -place.abs()
        return Window({"state": state}, action, reward, torch.ones(rows, 20), first, torch.ones(rows), no, no)

    test = pushed(64)
    before = prediction_error(model, test)[5:].mean()
    for _ in range(300):
        optimizer.zero_grad()
        w = pushed(16)
        torch.stack(list(model.losses(w, model.trace(w)).values())).sum().backward()
        optimizer.step()
    after = prediction_error(model, test)[5:].mean()
    assert after < 0.5 * before


@pytest.mark.slow
def test_states_of_a_task_are_worth_their_nats() -> None:
    """Recipe dreamer+states, its networks smaller: twelve decisions ahead it beats holding the cart and pole still.

    With errors weighed as those of pixels are, nothing of these states is worth coding and holding still is as good.
    """
    run = override(apply("dreamer+states", Run()), {"env.name": "cartpole_swingup"})
    world = replace(run.agent.encoder, dynamics=RSSM(100, 100), reward=SMALL, persistence=SMALL)  # type: ignore[type-var]
    model = world.build(Spec({"state": (5,)}, 1))
    optimizer = torch.optim.Adam(model.parameters(), 6e-4)
    draw = np.random.default_rng(0)
    episodes = [swung(envs.make("cartpole_swingup", run.env), draw) for _ in range(8)]

    def windows(rows: int, among: slice) -> Window:
        chosen = [episodes[among][i] for i in draw.integers(len(episodes[among]), size=rows)]
        begin = draw.integers(len(chosen[0].reward) - 25, size=rows)
        cut = [[torch.from_numpy(x[b : b + 25]) for x in episode] for episode, b in zip(chosen, begin, strict=True)]
        state, action, reward = map(torch.stack, zip(*cut, strict=True))
        no = torch.zeros(rows, 25, dtype=torch.bool)
        first = no.index_fill(1, torch.tensor([0]), True)
        return Window({"state": state}, action, reward, torch.ones(rows, 25), first, torch.ones(rows), no, no)

    for _ in range(400):
        optimizer.zero_grad()
        w = windows(32, slice(0, 6))
        torch.stack(list(model.losses(w, model.trace(w)).values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 100.0)
        optimizer.step()
    test = windows(256, slice(6, 8))
    target = model.sight.target(test.obs)
    still = (target[:, 16] - target[:, 4]).square().mean()
    assert prediction_error(model, test)[16] < 0.6 * still


class Swung(NamedTuple):
    """An episode of random actions, each held for a while."""

    state: np.ndarray  # [T,D]
    action: np.ndarray  # [T,A]
    reward: np.ndarray  # [T]


def swung(env: AnyEnv, draw: np.random.Generator) -> Swung:
    """An episode of a task without ends."""
    state, _ = env.reset(seed=int(draw.integers(10**6)))
    action, over, rows = np.zeros(1, np.float32), False, []
    while not over:
        if draw.random() < 0.2:
            action = draw.uniform(-1, 1, 1).astype(np.float32)
        after, reward, _, over, _ = env.step(action)
        rows.append((state, action, reward))
        state = after
    return Swung(*(np.array(x, np.float32) for x in zip(*rows, strict=True)))
