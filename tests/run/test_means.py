"""Running means: by hand, over changing sets of metrics, and the same across a resume."""

import pytest
import torch
from hypothesis import given, strategies as st

from softrl.run.means import Means


def metrics(**values):
    return tuple(values), torch.tensor(list(values.values()))


def test_means_by_hand():
    means = Means()
    means.add(*metrics(critic=1.0, actor=10.0))
    means.add(*metrics(critic=2.0))
    means.add(*metrics(critic=6.0))
    assert means.take() == {"critic": 3.0, "actor": 10.0}
    assert means.take() == {}


def test_the_order_of_the_names_does_not_matter():
    means = Means()
    means.add(("a", "b"), torch.tensor([1.0, 2.0]))
    means.add(("b", "a"), torch.tensor([4.0, 3.0]))
    assert means.take() == {"a": 2.0, "b": 3.0}


def test_what_is_added_is_taken_now_not_when_it_is_read():
    """A CUDA graph writes its results into the same memory again."""
    means = Means()
    value = torch.tensor([1.0])
    means.add(("loss",), value)
    value.fill_(100.0)
    assert means.take() == {"loss": 1.0}


def test_many_small_values_do_not_drown():
    means = Means()
    means.add(*metrics(x=2.0**25))
    for _ in range(1000):
        means.add(*metrics(x=1.0))
    assert means.take()["x"] == (2.0**25 + 1000) / 1001


def test_values_that_are_not_finite_are_kept():
    means = Means()
    means.add(*metrics(x=float("nan"), y=1.0))
    means.add(*metrics(x=1.0, y=3.0))
    taken = means.take()
    assert taken["x"] != taken["x"]
    assert taken["y"] == 2.0


def test_adding_never_reads_a_value():
    """Meta tensors have none: reading one, as waiting for a device would, raises."""
    means = Means("meta")
    for _ in range(3):
        means.add(("a", "b"), torch.empty(2, device="meta"))
    with pytest.raises((NotImplementedError, RuntimeError)):
        means.take()


@given(
    st.lists(st.dictionaries(st.sampled_from("abc"), st.floats(-1e3, 1e3), min_size=1), max_size=12), st.integers(0, 12)
)
def test_the_state_goes_on_exactly(values, cut):
    whole, first, second = Means(), Means(), Means()
    for value in values:
        whole.add(*metrics(**value))
    for value in values[:cut]:
        first.add(*metrics(**value))
    second.load_state_dict(first.state_dict())
    for value in values[cut:]:
        second.add(*metrics(**value))
    expected = whole.take()
    assert second.take() == expected
    for name, mean in expected.items():
        given_ones = [torch.tensor(value[name]).item() for value in values if name in value]
        assert mean == pytest.approx(sum(given_ones) / len(given_ones), abs=1e-9)
