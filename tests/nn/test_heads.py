"""Heads against textbook loops over members, rows and atoms: what a row means, and how far it is from a target."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, tensor

from softrl.errors import UserError
from softrl.math.returns import bellman, soft_value
from softrl.math.rules import Minimum, Truncate
from softrl.nn.heads import Categorical, Quantile, Scalar
from softrl.types import Actions, Atoms

C51, TWO_HOT, HL_GAUSS = (Categorical(11, -2.0, 2.0, target) for target in ("c51", "two_hot", "hl_gauss"))
KINDS = [Scalar(), Scalar("huber"), Quantile(5), C51, TWO_HOT, HL_GAUSS]


def some_target(rows: int = 4, atoms: int = 6) -> Atoms:
    return Atoms(2 * torch.randn(rows, atoms), torch.randn(rows, atoms).softmax(-1))


def one_action(rows: int, log_prob: Tensor) -> Actions:
    return Actions(torch.zeros(1, rows, 2), log_prob[None, :, None], torch.ones(1, rows))


def test_a_scalar_row_is_one_atom_of_weight_one() -> None:
    row = torch.randn(2, 3, 4, 1)  # [E,K,B,W]
    atoms = Scalar().atoms(row)
    assert torch.equal(atoms.mean(), row[..., 0])
    assert torch.equal(atoms.prob, torch.ones_like(row))


def test_scalar_loss_by_hand_for_every_member() -> None:
    target = Atoms(tensor([[0.0, 4.0]]), tensor([[0.5, 0.5]]))  # mean 2
    loss = Scalar().loss(tensor([[[5.0]], [[2.0]], [[0.0]]]), target)  # three members
    assert loss.tolist() == [[4.5], [0.0], [2.0]]


def test_scalar_huber_loss_by_hand() -> None:
    target = Atoms(tensor([[0.0, 4.0]]), tensor([[0.5, 0.5]]))
    loss = Scalar("huber").loss(tensor([[[5.0]], [[2.5]], [[0.0]]]), target)
    assert loss.tolist() == [[2.5], [0.125], [1.5]]


def test_a_quantile_row_is_its_own_atoms() -> None:
    row = torch.randn(2, 3, 4, 5)
    atoms = Quantile(5).atoms(row)
    assert torch.equal(atoms.value, row)
    torch.testing.assert_close(atoms.mean(), row.mean(-1))


def test_quantile_loss_by_hand_bends_at_kappa() -> None:
    """The median of one atom, 3 away: 1/2 of 2 * (3 - 1) / 2, the line of an error beyond 2."""
    target = Atoms(tensor([[3.0]]), torch.ones(1, 1))
    assert Quantile(1, kappa=2.0).loss(torch.zeros(1, 1, 1), target).tolist() == [[1.0]]


def test_a_categorical_row_weighs_the_support() -> None:
    row = tensor([[[[0.0, math.log(2.0), 0.0]]]])
    atoms = Categorical(3, -1.0, 3.0).atoms(row)
    torch.testing.assert_close(atoms.value, tensor([[[[-1.0, 1.0, 3.0]]]]))
    torch.testing.assert_close(atoms.prob, tensor([[[[0.25, 0.5, 0.25]]]]))


@pytest.mark.parametrize("head", KINDS, ids=str)
def test_members_equal_single_critics(head: Any) -> None:
    row, target = torch.randn(3, 4, head.width), some_target()
    together = head.loss(row, target)
    assert together.shape == (3, 4)
    for e in range(3):
        torch.testing.assert_close(together[e : e + 1], head.loss(row[e : e + 1], target))


@pytest.mark.parametrize("head", KINDS, ids=str)
def test_descending_the_loss_brings_the_mean_to_the_target(head: Any) -> None:
    """All kinds agree on what they learn, up to the coarseness of their atoms."""
    target = Atoms(tensor([[0.4, 0.8, 1.1]]), tensor([[0.5, 0.3, 0.2]]))
    row = torch.zeros(2, 1, head.width, requires_grad=True)
    optimizer = torch.optim.Adam([row], 0.02)
    for _ in range(400):
        row.grad = torch.autograd.grad(head.loss(row, target).sum(), row)[0]
        optimizer.step()
    torch.testing.assert_close(head.atoms(row).mean(), target.mean().expand(2, 1), atol=0.05, rtol=0)


@pytest.mark.parametrize("members", [1, 3])
def test_truncated_quantile_critics_equal_a_loop(members: int) -> None:
    """Target and loss of TQC (arXiv 2005.04269), row by row: sort, drop, back up, then every pair."""
    quantiles, rows, drop, alpha, kept = 5, 4, 2, 0.3, members * 3
    head = Quantile(quantiles)
    now, following = torch.randn(members, rows, quantiles), torch.randn(members, 1, rows, quantiles)
    reward, discount, log_prob = torch.randn(rows), torch.rand(rows), torch.randn(rows)

    expected = torch.zeros(members, rows)
    for b in range(rows):
        pool = sorted(float(following[e, 0, b, i]) for e in range(members) for i in range(quantiles))[:kept]
        y = [float(reward[b]) + float(discount[b]) * (z - alpha * float(log_prob[b])) for z in pool]
        for e in range(members):
            for i in range(quantiles):
                for target in y:
                    u = target - float(now[e, b, i])
                    huber = 0.5 * u * u if abs(u) <= 1 else abs(u) - 0.5
                    expected[e, b] += abs((i + 0.5) / quantiles - (u < 0)) * huber / (kept * quantiles)

    value = soft_value(Truncate(drop)(head.atoms(following)), one_action(rows, log_prob), tensor([alpha]))
    loss = head.loss(now, bellman(reward, discount, value))
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("members", [1, 3])
def test_categorical_critics_equal_a_loop(members: int) -> None:
    """C51 with entropy: the member with the smallest mean, its values moved, clipped, split between two neighbours."""
    bins, rows, alpha = 9, 4, 0.3
    head, gap = Categorical(bins, -2.0, 2.0), 0.5
    now, following = torch.randn(members, rows, bins), torch.randn(members, 1, rows, bins)
    reward, discount, log_prob = torch.randn(rows), torch.rand(rows), torch.randn(rows)
    support = [-2.0 + gap * i for i in range(bins)]

    expected = torch.zeros(members, rows)
    for b in range(rows):
        candidates = [following[e, 0, b].softmax(-1).tolist() for e in range(members)]
        smallest = min(candidates, key=lambda prob: sum(p * z for p, z in zip(prob, support, strict=True)))
        projected = [0.0] * bins
        for p, z in zip(smallest, support, strict=True):
            y = float(reward[b]) + float(discount[b]) * (z - alpha * float(log_prob[b]))
            position = (min(max(y, -2.0), 2.0) + 2.0) / gap
            lower, upper = math.floor(position), math.ceil(position)
            projected[lower] += p * (1.0 if lower == upper else upper - position)
            projected[upper] += p * (position - lower)
        for e in range(members):
            expected[e, b] = F.cross_entropy(now[e, b], tensor(projected))

    value = soft_value(Minimum()(head.atoms(following)), one_action(rows, log_prob), tensor([alpha]))
    loss = head.loss(now, bellman(reward, discount, value))
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)


def smallest_mean(following: Tensor, b: int, support: list[float]) -> float:
    """The least of the members' expectations in row b."""
    members = [following[e, 0, b].softmax(-1).tolist() for e in range(len(following))]
    return min(sum(p * z for p, z in zip(prob, support, strict=True)) for prob in members)


def split(y: float, low: float, gap: float, bins: int) -> list[float]:
    """A return between its two neighbours, as DreamerV3 writes it (arXiv 2301.04104)."""
    position = (y - low) / gap
    lower = math.floor(position)
    return [position - lower if i == lower + 1 else (lower + 1 - position) * (i == lower) for i in range(bins)]


def smeared(y: float, low: float, gap: float, bins: int) -> list[float]:
    """A return with a Gaussian of 0.75 gaps around it, within the outer edges (HL-Gauss, arXiv 2403.03950)."""
    edges = [0.5 * math.erf((low + gap * (i - 0.5) - y) / (0.75 * gap * math.sqrt(2))) for i in range(bins + 1)]
    return [(edges[i + 1] - edges[i]) / (edges[-1] - edges[0]) for i in range(bins)]


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize(("target", "written"), [("two_hot", split), ("hl_gauss", smeared)])
def test_critics_of_a_mean_equal_a_loop(members: int, target: Any, written: Any) -> None:
    """Soft value of the most pessimistic member, backed up, clipped, written as weights of the support."""
    bins, rows, alpha, low, gap = 9, 4, 0.3, -2.0, 0.5
    head = Categorical(bins, low, -low, target)
    now, following = torch.randn(members, rows, bins), torch.randn(members, 1, rows, bins)
    reward, discount, log_prob = torch.randn(rows), torch.rand(rows), torch.randn(rows)
    support = [low + gap * i for i in range(bins)]

    expected = torch.zeros(members, rows)
    for b in range(rows):
        value = smallest_mean(following, b, support) - alpha * float(log_prob[b])
        y = min(max(float(reward[b]) + float(discount[b]) * value, low), -low)
        for e in range(members):
            expected[e, b] = F.cross_entropy(now[e, b], tensor(written(y, low, gap, bins)))

    value = soft_value(Minimum()(head.atoms(following)), one_action(rows, log_prob), tensor([alpha]))
    loss = head.loss(now, bellman(reward, discount, value))
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("error", ["squared", "huber"])
def test_scalar_critics_equal_a_loop(members: int, error: Any) -> None:
    """Clipped double Q-learning with entropy, for any number of members (arXiv 1812.05905)."""
    rows, alpha, head = 6, 0.3, Scalar(error)
    now, following = 3 * torch.randn(members, rows, 1), torch.randn(members, 1, rows, 1)
    reward, discount, log_prob = torch.randn(rows), torch.rand(rows), torch.randn(rows)

    expected = torch.zeros(members, rows)
    for b in range(rows):
        least = min(float(following[e, 0, b, 0]) for e in range(members))
        y = float(reward[b]) + float(discount[b]) * (least - alpha * float(log_prob[b]))
        for e in range(members):
            u = y - float(now[e, b, 0])
            expected[e, b] = 0.5 * u * u if error == "squared" or abs(u) <= 1 else abs(u) - 0.5

    value = soft_value(Minimum()(head.atoms(following)), one_action(rows, log_prob), tensor([alpha]))
    loss = head.loss(now, bellman(reward, discount, value))
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)


def test_two_hot_and_gaussian_learn_the_mean_only() -> None:
    row, target = torch.randn(2, 4, 11), some_target()
    mean = Atoms(target.mean()[:, None], torch.ones(4, 1))
    for head in (TWO_HOT, HL_GAUSS):
        torch.testing.assert_close(head.loss(row, target), head.loss(row, mean))
    torch.testing.assert_close(TWO_HOT.loss(row, mean), C51.loss(row, mean))
    assert not torch.allclose(C51.loss(row, target), C51.loss(row, mean))


def test_gaussian_loss_by_hand() -> None:
    """Two bins share a target in their middle equally: at equal logits the loss is log 2."""
    target = Atoms(tensor([[-1.0, 1.0]]), tensor([[0.5, 0.5]]))
    head = Categorical(2, -1.0, 1.0, "hl_gauss", sigma=0.3)
    assert head.loss(torch.zeros(1, 1, 2), target).item() == pytest.approx(math.log(2))
    high = head.loss(tensor([[[0.0, 20.0]]]), Atoms(tensor([[1.0]]), torch.ones(1, 1))).item()
    # The edge between the bins is half a gap below the target, 1/0.6 of a deviation; the outer edge as far above.
    below, inside = 0.5 * math.erfc(0.5 / 0.3 / math.sqrt(2)), math.erf(0.5 / 0.3 / math.sqrt(2))
    tail = 0.5 * math.erfc(1.5 / 0.3 / math.sqrt(2))
    assert high == pytest.approx(20 * (below - tail) / ((1 + inside) / 2 - tail), rel=1e-4)


def test_clipped_share_by_hand() -> None:
    """Half of the first row's mass is beyond the support, none of the second's; the means are 3.5 and 0."""
    target = Atoms(tensor([[1.0, 6.0], [1.0, -1.0]]), torch.full((2, 2), 0.5))
    assert Categorical(11, -2.0, 2.0).clipped(target).item() == 0.25
    assert Categorical(11, -2.0, 2.0, "two_hot").clipped(target).item() == 0.5
    assert Categorical(11, -2.0, 4.0, "hl_gauss").clipped(target).item() == 0.0
    for head in (Scalar(), Quantile()):
        assert head.clipped(target).shape == ()
        assert head.clipped(target).item() == 0.0


@pytest.mark.parametrize("head", KINDS, ids=str)
def test_gradients_equal_finite_differences(head: Any) -> None:
    target = Atoms(*(part.double() for part in some_target()))
    row = torch.randn(2, 4, head.width, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda row: head.loss(row, target), row)
    assert torch.autograd.gradcheck(lambda row: head.atoms(row).mean(), row)


@pytest.mark.parametrize("head", KINDS, ids=str)
@pytest.mark.slow
def test_heads_trace_without_breaks(head: Any) -> None:
    def everything(row: Tensor, target: Atoms) -> tuple[Tensor, Tensor, Tensor]:
        return head.loss(row, target), head.atoms(row).mean(), head.clipped(target)

    row, target = torch.randn(2, 4, head.width), some_target()
    traced = torch.compile(everything, fullgraph=True, backend="eager")(row, target)
    torch.testing.assert_close(traced, everything(row, target))


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        (lambda: Quantile(0), "quantiles is 0"),
        (lambda: Quantile(kappa=0.0), "kappa is 0.0"),
        (lambda: Categorical(1), "bins is 1"),
        (lambda: Categorical(low=1.0, high=1.0), "low must be below high"),
        (lambda: Categorical(high=math.inf), "low must be below high"),
        (lambda: Categorical(target="hl_gauss", sigma=0.0), "sigma is 0.0"),
        (lambda: Categorical(sigma=2.0), "only hl_gauss"),
    ],
)
def test_impossible_heads_are_refused(wrong: Any, names: str) -> None:
    with pytest.raises(UserError, match=names):
        wrong()
