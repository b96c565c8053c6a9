"""Mixtures of experts against loops over tokens, slots, experts and rows."""

import pytest
import torch

from softrl.errors import UserError
from softrl.nn.trunks.experts import GatedExperts, SoftExperts


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize(("tokens", "experts"), [(4, 2), (4, 3), (2, 4), (1, 2)])
def test_soft_experts_equal_loops(members: int, tokens: int, experts: int, shaken) -> None:
    trunk, x = shaken(SoftExperts(8, tokens, experts, 5).build(4, members)), torch.randn(6, 4)
    slots = -(-tokens // experts)
    for e in range(members):
        features = (x @ trunk.embed.weight[e] + trunk.embed.bias[e]).relu()
        for row, expected in zip(features, trunk(x)[e], strict=True):
            X = row.view(tokens, -1)  # noqa: N806
            logits = X @ trunk.route.weight[e]  # [tokens,experts * slots]
            dispatch, combine = logits.softmax(0), logits.softmax(1)
            y = torch.zeros_like(X)
            for slot in range(experts * slots):
                k = e * experts + slot // slots
                read = sum(dispatch[m, slot] * X[m] for m in range(tokens))
                answer = (read @ trunk.expand.weight[k] + trunk.expand.bias[k, 0]).relu()
                answer = answer @ trunk.contract.weight[k] + trunk.contract.bias[k, 0]
                y += combine[:, slot, None] * answer
            torch.testing.assert_close(expected, y.flatten(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("active", [1, 2, 3])
def test_gated_experts_equal_loops(members: int, active: int, shaken) -> None:
    trunk, x = shaken(GatedExperts(8, 3, active).build(4, members)), torch.randn(6, 4)
    for e in range(members):
        features = (x @ trunk.embed.weight[e] + trunk.embed.bias[e]).relu()
        for h, expected in zip(features, trunk(x)[e], strict=True):
            logits = h @ trunk.gate.weight[e] + trunk.gate.bias[e, 0]
            chosen = sorted(range(3), key=lambda k: -logits[k].item())[:active]
            weights = logits[chosen].softmax(0)
            y = torch.zeros(8)
            for weight, k in zip(weights, chosen, strict=True):
                n = e * 3 + k
                y += weight * (h @ trunk.expert.weight[n] + trunk.expert.bias[n, 0]).relu()
            torch.testing.assert_close(expected, y, atol=1e-4, rtol=1e-4)


def test_gates_sum_to_one_and_few_are_open() -> None:
    trunk = GatedExperts(8, 5, 2).build(4, 2)
    gates = trunk.gates(torch.randn(2, 50, 8))
    torch.testing.assert_close(gates.sum(-1), torch.ones(2, 50))
    assert gates.gt(0).sum(-1).eq(2).all()


def test_a_gate_of_one_expert_is_that_expert() -> None:
    trunk, x = GatedExperts(8, 1, 1).build(4), torch.randn(6, 4)
    h = trunk.embed(x).relu()
    torch.testing.assert_close(trunk(x), trunk.expert(h).relu())


def test_a_soft_mixture_does_not_depend_on_the_order_of_tokens() -> None:
    trunk = SoftExperts(8, 4, 2, 5).build(4)
    shuffled = torch.tensor([2, 0, 3, 1])
    x = torch.randn(6, 4)
    y = trunk(x).view(6, 4, 2)
    for part in (trunk.embed.weight, trunk.embed.bias):
        part.data = part.data.unflatten(-1, (4, 2))[..., shuffled, :].flatten(-2)
    torch.testing.assert_close(trunk(x).view(6, 4, 2), y[:, shuffled])


def test_parameters() -> None:
    soft, gated = SoftExperts().build(23), GatedExperts().build(23)
    embed, expert = 24 * 256, (32 + 1) * 256 + (256 + 1) * 32
    assert sum(p.numel() for p in soft.parameters()) == embed + 32 * 4 * 2 + 4 * expert
    assert sum(p.numel() for p in gated.parameters()) == embed + 257 * 4 + 4 * 257 * 256


def test_experts_are_orthogonal_and_what_chooses_among_them_uniform() -> None:
    soft, gated = SoftExperts().build(23, 2), GatedExperts().build(23, 2)
    for layer in (soft.embed, soft.expand, soft.contract, soft.out(4), gated.embed, gated.expert, gated.out(4)):
        values = torch.linalg.svdvals(layer.weight)  # of members, or members times experts
        torch.testing.assert_close(values, torch.ones_like(values), atol=1e-5, rtol=0)
        assert not torch.allclose(layer.weight[0], layer.weight[1])
    for layer, reads in ((soft.route, 32), (gated.gate, 256)):
        assert 0.9 * reads**-0.5 < layer.weight.abs().max() <= reads**-0.5


def test_tokens_that_do_not_divide_the_width() -> None:
    with pytest.raises(UserError, match="cannot be split into 3 tokens"):
        SoftExperts(256, tokens=3)


def test_more_active_experts_than_there_are() -> None:
    with pytest.raises(UserError, match="choose no more"):
        GatedExperts(experts=2, active=3)
