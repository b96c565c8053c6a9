"""Dropout against its definition, and the bits that it is made of."""

import pytest
import torch
from torch import tensor

from softrl.errors import UserError
from softrl.nn.dropout import Dropout, bits, check_dropout


def test_dropout_keeps_the_mean_and_drops_for_each_member() -> None:
    dropout, x = Dropout(0.25), torch.ones(2, 200, 100)
    y = dropout(x)
    torch.testing.assert_close(y.unique(), tensor([0.0, 1 / 0.75]))
    assert abs(float(y.eq(0).float().mean()) - 0.25) < 0.02
    assert not torch.equal(y[0], y[1])
    assert torch.equal(dropout.eval()(x), x)


def test_dropout_at_rate_zero_draws_no_random_number() -> None:
    state = torch.get_rng_state()
    assert torch.equal(Dropout(0.0)(torch.ones(3)), torch.ones(3))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 3.0])
def test_rates_that_drop_everything_or_less_than_nothing(rate: float) -> None:
    with pytest.raises(UserError, match=r"dropout is .*: it must lie in \[0, 1\)"):
        check_dropout(rate)


@pytest.mark.parametrize("rate", [1e-4, 0.01, 0.5])
def test_the_share_that_is_dropped_is_the_rate(rate: float) -> None:
    torch.manual_seed(0)
    shares = [float(Dropout(rate)(torch.ones(1000, 1000)).eq(0).float().mean()) for _ in range(3)]
    for share in shares:
        assert abs(share - round(rate * 2**16) / 2**16) < 5 * (rate * (1 - rate)) ** 0.5 / 1000  # five deviations
    assert len(set(shares)) == 3


def test_every_bit_is_even_and_no_entry_tells_another() -> None:
    torch.manual_seed(0)
    one, other = (bits(512 * 512, torch.device("cpu")) for _ in range(2))
    signs = torch.stack([one >> place & 1 for place in range(32)]).float() * 2 - 1  # [32,n] of -1 and 1
    n = signs.shape[1]
    limit = 5 / n**0.5  # five standard deviations of a mean of n signs
    assert signs.mean(1).abs().max() < limit
    assert ((signs @ signs.mT / n).fill_diagonal_(0).abs() < limit).all()  # bits of an entry
    next_call = torch.stack([other >> place & 1 for place in range(32)]).float() * 2 - 1
    assert (signs * next_call).mean(1).abs().max() < limit
    for shift in (1, 2, 512):  # neighbours in a row, and in a column
        assert (signs[:, shift:] * signs[:, :-shift]).mean(1).abs().max() < limit


def test_an_odd_number_of_entries_has_a_mask_as_well() -> None:
    assert Dropout(0.5)(torch.ones(3, 3)).shape == (3, 3)


def test_entries_that_share_a_hash_are_dropped_apart() -> None:
    torch.manual_seed(0)
    dropped = Dropout(0.5)(torch.ones(2, 2**16)).eq(0).float()
    assert abs(float((dropped[0] * dropped[1]).mean()) - 0.25) < 5 * (3 / 16) ** 0.5 / 2**8  # five standard deviations


def test_the_same_seed_gives_the_same_masks_and_gradients_pass_where_entries_do() -> None:
    x = torch.randn(3, 5, 7, requires_grad=True)
    torch.manual_seed(1)
    y = Dropout(0.3)(x)
    torch.manual_seed(1)
    torch.testing.assert_close(Dropout(0.3)(x), y, rtol=0, atol=0)
    (slope,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(slope, torch.where(y == 0, 0.0, 1 / 0.7))
