"""The recurrent state-space model against a loop over single sequences with torch.nn.GRUCell."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from softrl.errors import UserError
from softrl.nn.latents import AnyLatent, Normal, OneHot
from softrl.nn.rssm import RSSM, Dynamics, GatedCell

T, B, E, A = 6, 4, 5, 2


def model(latent: AnyLatent | None = None) -> Dynamics:
    return RSSM(7, 8, latent or Normal(3)).build(E, A)


def linear(x: Tensor, *layers: nn.Module) -> Tensor:
    """The textbook's layer over several inputs side by side."""
    parts = x.split([layer.weight.shape[1] for layer in layers], -1)
    return sum((p @ layer.weight[0] for p, layer in zip(parts, layers, strict=True)), layers[-1].bias[0, 0])


def textbook_cell(cell: GatedCell) -> nn.GRUCell:
    book = nn.GRUCell(cell.inputs.weight.shape[1], cell.size)
    for ours, name in ((cell.inputs, "ih"), (cell.state, "hh")):
        getattr(book, f"weight_{name}").data.copy_(ours.weight[0].T)
        getattr(book, f"bias_{name}").data.copy_(ours.bias[0, 0])
    return book


def textbook(m: Dynamics, embedding: Tensor, before: Tensor, first: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """One sequence: features [T,F] and posterior rows [T,..] from embeddings [T,E], actions [T,A] and noise [T,..]."""
    cell, size = textbook_cell(m.cell), m.latent.width
    z, h, features, rows = torch.zeros(size), torch.zeros(m.deterministic), [], []
    for t in range(len(embedding)):
        action = before[t]
        if first[t]:
            z, h, action = torch.zeros(size), torch.zeros(m.deterministic), torch.zeros(A)
        x = F.elu(linear(torch.cat([z, action]), m.from_latent, m.from_action))
        h = cell(x[None], h[None])[0]
        row = linear(F.elu(linear(torch.cat([h, embedding[t]]), m.from_state, m.from_seen)), m.posterior)
        z = m.latent.draw(row, noise[t])
        features.append(torch.cat([z, h]))
        rows.append(row)
    return torch.stack(features), torch.stack(rows)


def shaken(m: Dynamics) -> Dynamics:
    for parameter in m.parameters():
        parameter.data.normal_(std=0.5)
    return m


@pytest.mark.parametrize("latent", [Normal(3), OneHot(2, 3)])
@pytest.mark.parametrize("trajectories", [1, 3])
def test_filtering_equals_a_loop(latent: AnyLatent, trajectories: int) -> None:
    m = shaken(model(latent))
    embedding, before, first = torch.randn(B, T, E), torch.randn(B, T, A), torch.rand(B, T) < 0.3
    start = m.start(trajectories, B)
    torch.manual_seed(1)
    noise = latent.noise((T, trajectories, B), start)
    torch.manual_seed(1)
    filtered = m.filter(m.given(embedding, before, first), start)
    assert filtered.features.shape == (T, trajectories, B, m.width)
    for way in range(trajectories):
        for b in range(B):
            features, rows = textbook(m, embedding[b], before[b], first[b], noise[:, way, b])
            torch.testing.assert_close(filtered.features[:, way, b], features, atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(filtered.params[:, way, b], rows, atol=1e-5, rtol=1e-4)


def test_nothing_crosses_the_start_of_an_episode() -> None:
    m = shaken(model())
    first = torch.zeros(B, T, dtype=torch.bool)
    first[:, 3] = True
    one, other = torch.randn(2, B, T, E)
    other[:, 3:] = one[:, 3:]
    action = torch.randn(2, B, T, A)
    action[1, :, 4:] = action[0, :, 4:]
    answers = []
    for x, a in ((one, action[0]), (other, action[1])):
        torch.manual_seed(1)
        answers.append(m.filter(m.given(x, a, first), torch.randn(1, B, m.width)).features)
    assert torch.equal(answers[0][3:], answers[1][3:])
    assert not torch.isclose(answers[0][2], answers[1][2]).any()


def test_imagination_is_the_prior_after_an_action() -> None:
    m = shaken(model())
    features, action = torch.randn(5, m.width), torch.randn(5, A)
    torch.manual_seed(1)
    noise = m.latent.noise((1, 5), features)[0]
    torch.manual_seed(1)
    imagined = m.imagine(features, action)
    z, h = features[:, :3], features[:, 3:]
    h = textbook_cell(m.cell)(F.elu(linear(torch.cat([z, action], -1), m.from_latent, m.from_action)), h)
    torch.testing.assert_close(imagined, torch.cat([m.latent.draw(m.prior(h), noise), h], -1))
    torch.testing.assert_close(m.expected(imagined), m.prior(h))


def test_parameters_of_the_paper() -> None:
    """Linear 30 + 6 -> 200, GRU 200, prior 200 -> 200 -> 60, posterior 200 + 1024 -> 200 -> 60."""
    count = sum(p.numel() for p in RSSM().build(1024, 6).parameters())
    gru = 2 * (200 * 600 + 600)
    assert count == (36 * 200 + 200) + gru + (200 * 200 + 200 + 200 * 60 + 60) + (1224 * 200 + 200 + 200 * 60 + 60)


def test_discrete_latents_at_their_full_size() -> None:
    """32 choices of 32: Linear 1024 + 6 -> 200, posterior and prior 200 -> 1024; every group is a one-hot."""
    m = RSSM(latent=OneHot()).build(1024, 6)
    gru = 2 * (200 * 600 + 600)
    expected = (1030 * 200 + 200) + gru + (200 * 200 + 200 + 200 * 1024 + 1024) + (1224 * 200 + 200 + 200 * 1024 + 1024)
    assert sum(p.numel() for p in m.parameters()) == expected
    given = m.given(torch.randn(2, 3, 1024), torch.randn(2, 3, 6), torch.zeros(2, 3, dtype=torch.bool))
    with torch.no_grad():
        filtered = m.filter(given, m.start(1, 2)).features
        imagined = m.imagine(filtered[-1, 0], torch.randn(2, 6))
    for features in (filtered, imagined):
        groups = features[..., :1024].unflatten(-1, (32, 32))
        torch.testing.assert_close(groups.sum(-1), torch.ones_like(groups[..., 0]))
        torch.testing.assert_close(groups.amax(-1), torch.ones_like(groups[..., 0]))


@pytest.mark.parametrize("latent", [Normal(3), OneHot(2, 3)])
def test_gradients_pass_through_draws_to_what_was_seen_before(latent: AnyLatent) -> None:
    """From the last features, through the latents in between, to the first embedding."""
    m = shaken(model(latent))
    embedding = torch.randn(1, T, E, requires_grad=True)
    given = m.given(embedding, torch.randn(1, T, A), torch.zeros(1, T, dtype=torch.bool))
    features = m.filter(given, m.start(1, 1)).features
    (gradient,) = torch.autograd.grad(features[-1].square().sum(), embedding)
    assert gradient[0, 0].abs().sum() > 0


def test_a_layer_in_two_parts_is_drawn_as_one() -> None:
    m = RSSM(units=300).build(70, 6)
    bound = (1 / 36) ** 0.5
    for layer in (m.from_latent, m.from_action):
        assert 0.97 * bound < layer.weight.abs().max().item() <= bound


def test_bad_values_are_refused() -> None:
    with pytest.raises(UserError, match="0 deterministic"):
        RSSM(deterministic=0)
    with pytest.raises(UserError, match="crelu"):
        RSSM(activation="crelu")
