"""Projections against loops over atoms and values, against numbers done by hand, and what they must keep."""

import math

import pytest
import torch
from hypothesis import given, strategies as st
from torch import tensor

from softrl.math.project import Support, clipped_mass, hl_gauss, two_neighbours
from softrl.types import Atoms

FIVE = Support(0.0, 4.0, 5)


def some_atoms(seed: int, *shape: int, spread: float = 4.0) -> Atoms:
    generator = torch.Generator().manual_seed(seed)
    value = spread * torch.randn(*shape, generator=generator, dtype=torch.float64)
    return Atoms(value, torch.randn(*shape, generator=generator, dtype=torch.float64).softmax(-1))


def normal_cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def test_support_is_evenly_spaced() -> None:
    assert Support(-1.0, 1.0, 5).values(torch.zeros(1)).tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert Support(-1.0, 1.0, 5).gap == 0.5
    assert FIVE.values(torch.zeros(1, dtype=torch.float64)).dtype == torch.float64


def test_neighbours_by_hand() -> None:
    atoms = Atoms(tensor([[1.25, 9.0, -3.0]]), tensor([[0.5, 0.25, 0.25]]))
    assert two_neighbours(atoms, FIVE).tolist() == [[0.25, 0.375, 0.125, 0.0, 0.25]]


def test_an_atom_alone_is_two_hot() -> None:
    atoms = Atoms(tensor([[2.75], [4.0], [0.0]]), torch.ones(3, 1))
    assert two_neighbours(atoms, FIVE).tolist() == [[0, 0, 0.25, 0.75, 0], [0, 0, 0, 0, 1], [1, 0, 0, 0, 0]]


@pytest.mark.parametrize("shape", [(6, 7), (3, 6, 7)])
def test_neighbours_equal_the_kernel_of_the_paper(shape: tuple[int, ...]) -> None:
    support = Support(-5.0, 3.0, 11)
    atoms = some_atoms(0, *shape)
    values = [-5.0 + 0.8 * i for i in range(11)]
    rows = zip(atoms.value.flatten(0, -2).tolist(), atoms.prob.flatten(0, -2).tolist(), strict=True)
    expected = [
        [
            sum(p * max(0.0, 1 - abs(min(max(y, -5.0), 3.0) - z) / 0.8) for y, p in zip(value, prob, strict=True))
            for z in values
        ]
        for value, prob in rows
    ]
    projected = two_neighbours(atoms, support).flatten(0, -2)
    torch.testing.assert_close(projected, tensor(expected, dtype=torch.float64), atol=1e-12, rtol=0)


@given(st.integers(0, 10_000), st.integers(2, 60), st.integers(1, 30), st.floats(-50.0, 50.0), st.floats(0.1, 100.0))
def test_neighbours_keep_mass_and_mean(seed: int, size: int, atoms: int, low: float, length: float) -> None:
    support = Support(low, low + length, size)
    given_atoms = some_atoms(seed, 3, atoms, spread=length)
    clipped = Atoms(given_atoms.value.clamp(support.low, support.high), given_atoms.prob)
    prob = two_neighbours(given_atoms, support)
    assert (prob >= 0).all()
    torch.testing.assert_close(prob.sum(-1), torch.ones(3, dtype=torch.float64))
    projected = Atoms(support.values(prob).expand_as(prob), prob)
    torch.testing.assert_close(projected.mean(), clipped.mean(), rtol=1e-9, atol=1e-9 * (abs(low) + length))


def test_what_is_on_the_support_stays() -> None:
    prob = torch.randn(4, 101).softmax(-1)
    support = Support(-5.0, 5.0, 101)
    atoms = Atoms(support.values(prob).expand_as(prob), prob)
    torch.testing.assert_close(two_neighbours(atoms, support), prob, atol=1e-5, rtol=0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_wild_values_end_in_the_support_or_are_seen(value: float) -> None:
    """A run that diverges must show it in its loss, not end in an index error."""
    prob = two_neighbours(Atoms(tensor([[value]]), torch.ones(1, 1)), FIVE)
    ends = {math.inf: [0, 0, 0, 0, 1], -math.inf: [1, 0, 0, 0, 0]}
    assert prob[0].tolist() == ends[value] if value in ends else prob.isnan().any()


@pytest.mark.parametrize("sigma", [0.75, 2.0])
def test_gaussian_equals_a_loop_over_bins(sigma: float) -> None:
    support = Support(-2.0, 2.0, 9)
    atoms = some_atoms(1, 5, 3, spread=2.0)
    edges = [-2.25 + 0.5 * i for i in range(10)]
    expected = torch.zeros(5, 9, dtype=torch.float64)
    for b in range(5):
        for y, p in zip(atoms.value[b].tolist(), atoms.prob[b].tolist(), strict=True):
            y = min(max(y, -2.0), 2.0)
            phi = [normal_cdf((edge - y) / (sigma * 0.5)) for edge in edges]
            for i in range(9):
                expected[b, i] += p * (phi[i + 1] - phi[i]) / (phi[-1] - phi[0])
    torch.testing.assert_close(hl_gauss(atoms, support, sigma), expected, atol=1e-12, rtol=0)


def test_gaussian_in_the_middle_by_hand() -> None:
    """A bin reaches half a gap to each side, 2/3 of a deviation of 3/4: Phi(2/3) - Phi(-2/3) = 0.49501."""
    prob = hl_gauss(Atoms(tensor([[2.0]]), torch.ones(1, 1)), FIVE, 0.75)[0]
    assert prob[2].item() == pytest.approx(0.49501 / 0.99914, abs=1e-4)
    assert prob.tolist() == pytest.approx(prob.flip(0).tolist(), abs=1e-6)


@given(st.floats(-100.0, 100.0), st.floats(0.05, 20.0))
def test_gaussian_keeps_mass(value: float, sigma: float) -> None:
    prob = hl_gauss(Atoms(tensor([[value]]), torch.ones(1, 1)), FIVE, sigma)
    assert (prob >= 0).all()
    assert prob.sum().item() == pytest.approx(1.0, abs=1e-5)


def test_gaussian_keeps_the_mean_of_what_is_far_from_the_ends() -> None:
    support = Support(-5.0, 5.0, 101)
    value = torch.linspace(-4.5, 4.5, 37, dtype=torch.float64)[:, None]
    prob = hl_gauss(Atoms(value, torch.ones_like(value)), support, 0.75)
    torch.testing.assert_close(prob @ support.values(prob), value[:, 0], atol=1e-3, rtol=0)


def test_share_outside_by_hand() -> None:
    value = tensor([[1.0, 4.5, -0.5], [4.0, 0.0, 5.0]])
    prob = tensor([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]])
    assert clipped_mass(Atoms(value, prob), FIVE).item() == 0.375
