"""Norms equal torch's, member by member; batch renormalisation by hand; who uses which statistics when."""

import copy

import pytest
import torch
from hypothesis import given, strategies as st
from torch import nn, tensor
from torch.nn import functional

from softrl.nn.layers import Activation, project
from softrl.nn.norms import (
    NORMS,
    Batched,
    BatchNorm,
    BatchRenorm,
    LayerNorm,
    RMSNorm,
    UnitBatchNorm,
    UnitRMSNorm,
    batch_statistics,
    needs_of,
    normed,
)

members_and_sharing = pytest.mark.parametrize(("members", "shared"), [(1, True), (3, True), (1, False), (3, False)])


def inputs(members: int, shared: bool) -> torch.Tensor:
    return 3 * torch.randn(7, 4) + 1 if shared else 3 * torch.randn(members, 7, 4) + 1


def shaken(norm: nn.Module) -> nn.Module:
    for parameter in norm.parameters():
        parameter.data.normal_()
    return norm


@members_and_sharing
def test_layer_norm_is_torchs(members: int, shared: bool) -> None:
    norm, x = shaken(LayerNorm(4, members)), inputs(members, shared)
    y = norm(x)
    assert y.shape == (members, 7, 4)
    for e in range(members):
        expected = functional.layer_norm(x if shared else x[e], (4,), norm.weight[e, 0], norm.bias[e, 0])
        torch.testing.assert_close(y[e], expected)


def test_layer_norm_starts_at_its_scale() -> None:
    x = torch.randn(5, 8)
    torch.testing.assert_close(LayerNorm(8, scale=0.25)(x)[0], 0.25 * functional.layer_norm(x, (8,)))


@members_and_sharing
def test_rms_norm_by_its_equation(members: int, shared: bool) -> None:
    norm, x = shaken(RMSNorm(4, members)), inputs(members, shared)
    for e in range(members):
        row = x if shared else x[e]
        expected = row / (row.square().mean(-1, keepdim=True) + 1e-6).sqrt() * norm.weight[e, 0]
        torch.testing.assert_close(norm(x)[e], expected)


def test_rms_norm_by_hand() -> None:
    torch.testing.assert_close(RMSNorm(2)(tensor([[3.0, 4.0]])), tensor([[[3.0, 4.0]]]) / 12.5**0.5)


def torchs(norm: BatchNorm, e: int) -> nn.BatchNorm1d:
    reference = nn.BatchNorm1d(norm.weight.shape[-1], norm.epsilon, norm.momentum)
    reference.weight.data, reference.bias.data = norm.weight[e, 0].detach().clone(), norm.bias[e, 0].detach().clone()
    return reference


@members_and_sharing
def test_batch_norm_is_torchs_with_the_batchs_own_variance(members: int, shared: bool) -> None:
    norm, x = shaken(BatchNorm(4, members)), inputs(members, shared).requires_grad_()
    references = [torchs(norm, e) for e in range(members)]
    for _ in range(3):
        with batch_statistics(norm):
            y = norm(x)
        gradients = torch.autograd.grad(y.pow(3).sum(), [norm.weight, norm.bias])
        for e, reference in enumerate(references):
            expected = reference(x if shared else x[e])
            torch.testing.assert_close(y[e], expected)
            for ours, theirs in zip(
                gradients, torch.autograd.grad(expected.pow(3).sum(), [reference.weight, reference.bias]), strict=True
            ):
                torch.testing.assert_close(ours[e, 0], theirs)
    for e, reference in enumerate(references):
        torch.testing.assert_close(norm.mean[e, 0], reference.running_mean)
        # Torch divides the remembered variance by B - 1 and starts from 1.
        start = 0.99**3
        torch.testing.assert_close((norm.variance[e, 0] - start) * 7 / 6, reference.running_var - start)
        torch.testing.assert_close(norm(x)[e], evaluated(reference, norm, e)(x if shared else x[e]))


def evaluated(reference: nn.BatchNorm1d, norm: BatchNorm, e: int) -> nn.BatchNorm1d:
    reference.running_var = norm.variance[e, 0].clone()
    return reference.eval()


@pytest.mark.parametrize("members", [1, 3])
def test_gradients_pass_through_the_batchs_statistics(members: int) -> None:
    norm, x = shaken(BatchNorm(4, members)), torch.randn(members, 7, 4, requires_grad=True)
    with batch_statistics(norm):
        (gradient,) = torch.autograd.grad(norm(x).pow(3).sum(), x)
    for e in range(members):
        row = x[e].detach().requires_grad_()
        (expected,) = torch.autograd.grad(torchs(norm, e)(row).pow(3).sum(), row)
        torch.testing.assert_close(gradient[e], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("ratio_limit", "shift_limit", "expected"),
    [
        (1.0, 0.0, [-1.0, 1.0]),  # plain: (x - 2) / 2
        (3.0, 5.0, [0.0, 4.0]),  # within both limits r = 2 and d = 2: what the running statistics give
        (1.5, 5.0, [0.5, 3.5]),  # r = 1.5
        (3.0, 1.0, [-1.0, 3.0]),  # d = 1
    ],
)
def test_batch_renormalisation_by_hand(ratio_limit: float, shift_limit: float, expected: list[float]) -> None:
    # Batch mean 2 and deviation 2, running mean 0 and deviation 1.
    norm = BatchRenorm(1, 1, 0.5, 0.0, ratio_limit, shift_limit, warmup=0)
    with batch_statistics(norm):
        torch.testing.assert_close(norm(tensor([[0.0], [4.0]])).flatten(), tensor(expected))
    assert (norm.mean.item(), norm.variance.item(), norm.count.item()) == (1.0, 2.5, 1.0)


def test_a_ratio_below_one_is_limited_too() -> None:
    # Batch deviation 0.1 and running deviation 1: r = 1/3, not 0.1.
    norm = BatchRenorm(1, epsilon=0.0, shift_limit=0.0, warmup=0)
    with batch_statistics(norm):
        torch.testing.assert_close(norm(tensor([[-0.1], [0.1]])).flatten(), tensor([-1 / 3, 1 / 3]))


@given(st.integers(0, 2**16), st.floats(0.4, 2.5), st.floats(-2.0, 2.0))
def test_within_its_limits_renormalisation_answers_with_the_running_statistics(
    seed: int, deviation: float, mean: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(64, 3, generator=generator)
    x = mean + deviation * (x - x.mean(0)) / x.std(0)
    norm = BatchRenorm(3, warmup=0)
    before = norm(x)
    with batch_statistics(norm):
        torch.testing.assert_close(norm(x), before, atol=1e-4, rtol=1e-4)


def test_renormalisation_waits_for_the_end_of_its_warm_up() -> None:
    plain, late = BatchNorm(4), BatchRenorm(4, warmup=2)
    same = []
    for _ in range(4):
        x = 2 * torch.randn(32, 4) + 1
        with batch_statistics(plain), batch_statistics(late):
            same.append(torch.allclose(plain(x), late(x)))
    assert same == [True, True, False, False]
    assert NORMS["batch_renorm"](4, 1).warmup == 100_000


def test_no_gradient_passes_through_the_correction() -> None:
    norm, x = BatchRenorm(2, warmup=0), torch.randn(8, 2, requires_grad=True)
    other = copy.deepcopy(norm)
    ratio, shift = other.correction(x.mean(0).detach(), (x.var(0, correction=0) + 1e-3).sqrt().detach())
    hat = (x - x.mean(0)) / (x.var(0, correction=0) + 1e-3).sqrt()
    (expected,) = torch.autograd.grad((hat * ratio + shift).pow(3).sum(), x)
    with batch_statistics(norm):
        (gradient,) = torch.autograd.grad(norm(x).pow(3).sum(), x)
    torch.testing.assert_close(gradient, expected, atol=1e-4, rtol=1e-4)


def test_statistics_move_inside_the_context_only() -> None:
    network = nn.Sequential(BatchRenorm(4, 2), nn.Sequential(BatchRenorm(4, 2)))
    before = copy.deepcopy(network.state_dict())
    x = torch.randn(5, 4)
    network(x)
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)
    with torch.no_grad(), batch_statistics(network):
        network(x)
    assert [norm.count.item() for norm in (network[0], network[1][0])] == [1.0, 1.0]
    assert all(not torch.equal(value, before[name]) for name, value in network.named_buffers())


def test_the_context_covers_what_it_is_given_and_nests() -> None:
    one, other = BatchNorm(2), BatchNorm(2)
    with batch_statistics(one):
        assert (one.of_batch, other.of_batch) == (True, False)
        with batch_statistics(nn.ModuleList([one, other])):
            assert (one.of_batch, other.of_batch) == (True, True)
        assert (one.of_batch, other.of_batch) == (True, False)
    with pytest.raises(KeyError), batch_statistics(one):
        raise KeyError
    assert (one.of_batch, other.of_batch) == (False, False)


def test_a_later_batch_does_not_disturb_an_earlier_gradient() -> None:
    norm, x = BatchNorm(3), torch.randn(6, 3, requires_grad=True)
    outside = norm(x).square().sum()
    with batch_statistics(norm):
        inside = norm(x).square().sum()
        norm(x)
    assert torch.autograd.grad(outside + inside, x)[0].isfinite().all()


def test_unit_batch_norm_by_hand() -> None:
    norm = UnitBatchNorm(2, 2)
    norm.weight.data[1] = tensor([[3.0, 4.0]])
    norm.bias.data[1] = tensor([[12.0, 0.0]])
    project(nn.Sequential(norm))  # |(3, 4, 12, 0)| = 13 becomes sqrt(2)
    torch.testing.assert_close(norm.weight.detach()[0], tensor([[1.0, 1.0]]))
    torch.testing.assert_close(norm.weight.detach()[1], tensor([[3.0, 4.0]]) * 2**0.5 / 13)
    torch.testing.assert_close(norm.bias.detach()[1], tensor([[12.0, 0.0]]) * 2**0.5 / 13)
    assert (norm.epsilon, norm.weight.decays, norm.bias.decays) == (1e-5, False, False)


def test_unit_rms_norm_by_hand() -> None:
    norm = UnitRMSNorm(2)
    norm.weight.data[0] = tensor([[3.0, -4.0]])
    project(norm)
    torch.testing.assert_close(norm.weight.detach(), tensor([[[3.0, -4.0]]]) * 2**0.5 / 5)
    assert norm.weight.decays is False


def test_place_says_which_comes_first() -> None:
    x = torch.randn(6, 4)
    before = normed(Activation("crelu"), 4, 1, "layer", "before")
    after = normed(Activation("crelu"), 4, 1, "layer", "after")
    hat = functional.layer_norm(x, (4,))
    both = torch.cat([x.relu(), (-x).relu()], -1)
    torch.testing.assert_close(before(x)[0], torch.cat([hat.relu(), (-hat).relu()], -1))
    torch.testing.assert_close(after(x)[0], functional.layer_norm(both, (8,)))


def test_batch_kinds_need_batch_statistics() -> None:
    assert {name for name in NORMS if needs_of(name)} == {"batch", "batch_renorm"}
    assert {name for name in NORMS if isinstance(NORMS[name](2, 1), Batched)} == {"batch", "batch_renorm"}
