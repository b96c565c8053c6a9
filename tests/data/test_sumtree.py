"""The sum tree against a plain list and a walk along it."""

import torch
from hypothesis import given, settings, strategies as st

from softrl.data.sumtree import SumTree

CPU = torch.device("cpu")


def filled(values: list[float]) -> SumTree:
    tree = SumTree(len(values), CPU)
    tree.fill(torch.tensor(values))
    return tree


def walk(values: list[int], rest: float) -> int:
    """The cell at which the running sum passes `rest`."""
    for cell, value in enumerate(values):
        if rest < value:
            return cell
        rest -= value
    raise AssertionError("beyond the total")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=40).filter(any), st.integers(0, 2**20))
def test_find_walks_along_the_running_sum(values: list[int], seed: int) -> None:
    """Whole numbers and shares in 1024ths: every sum and product is exact in float64."""
    share = torch.randint(1024, (50,), generator=torch.Generator().manual_seed(seed)).double() / 1024
    found = filled([float(value) for value in values]).find(share)
    assert found.tolist() == [walk(values, float(s) * sum(values)) for s in share]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_set_keeps_every_sum_and_equals_a_list(data: st.DataObject) -> None:
    """After any changes the whole tree is, to the last bit, the one filled with its leaves at once."""
    cells = data.draw(st.integers(1, 33))
    model, tree = [0.0] * cells, SumTree(cells, CPU)
    for _ in range(data.draw(st.integers(1, 6))):
        chosen = data.draw(st.lists(st.integers(0, cells - 1), min_size=1, max_size=8))
        values = data.draw(st.lists(st.floats(0, 1e6, width=32), min_size=len(chosen), max_size=len(chosen)))
        for cell in chosen:
            model[cell] = max(value for other, value in zip(chosen, values, strict=True) if other == cell)
        tree.set(torch.tensor(chosen), torch.tensor(values))
    assert tree.leaves.tolist() == model
    assert torch.equal(tree.nodes, filled(model).nodes)
    assert abs(float(tree.nodes[1]) - sum(model)) <= 1e-9 * sum(model)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([0.0, 1e-30, 0.1, 3.0, 1e30]), min_size=2, max_size=40).filter(any))
def test_empty_cells_are_never_found(values: list[float]) -> None:
    """Not even where rounding puts the share at or beyond a sum."""
    share = torch.cat([torch.linspace(0, 1, 200, dtype=torch.float64), torch.tensor([1 - 2**-53])])
    assert (torch.tensor(values)[filled(values).find(share)] > 0).all()


def test_filling_again_forgets_what_was_there() -> None:
    tree = filled([1.0, 2.0, 3.0])
    tree.fill(torch.tensor([5.0]))
    assert tree.leaves.tolist() == [5.0, 0.0, 0.0]
    assert float(tree.nodes[1]) == 5.0


def test_draws_follow_the_proportions() -> None:
    values = [1.0, 0.0, 2.0, 3.0, 4.0]
    share = torch.rand(100_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    counts = filled(values).find(share).bincount(minlength=5)
    for count, value in zip(counts.tolist(), values, strict=True):
        p = value / 10
        assert abs(count - 100_000 * p) <= 4 * (100_000 * p * (1 - p)) ** 0.5
