"""Every member of a layer is the single layer."""

import pytest
import torch
from torch.nn import functional

from softrl.nn.layers import Linear, set_precision


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("shared", [True, False])
def test_a_member_equals_torch_linear(members: int, shared: bool) -> None:
    layer = Linear(4, 5, members)
    layer.bias.data.normal_()
    x = torch.randn(7, 4) if shared else torch.randn(members, 7, 4)
    y = layer(x)
    assert y.shape == (members, 7, 5)
    for e in range(members):
        expected = functional.linear(x if shared else x[e], layer.weight[e].T, layer.bias[e, 0])
        torch.testing.assert_close(y[e], expected)


def test_gradients_equal_torch_linear() -> None:
    layer, x = Linear(4, 5, 2), torch.randn(7, 4, requires_grad=True)
    (grad_x, grad_weight, grad_bias) = torch.autograd.grad(layer(x).square().sum(), [x, layer.weight, layer.bias])
    expected = torch.zeros_like(grad_x)
    for e in range(2):
        weight, bias = layer.weight[e].detach().T.requires_grad_(), layer.bias[e, 0].detach().requires_grad_()
        loss = functional.linear(x, weight, bias).square().sum()
        gx, gw, gb = torch.autograd.grad(loss, [x, weight, bias])
        expected += gx
        torch.testing.assert_close(grad_weight[e], gw.T)
        torch.testing.assert_close(grad_bias[e, 0], gb)
    torch.testing.assert_close(grad_x, expected)


def test_bfloat16_rounds_products_and_keeps_float32_outside() -> None:
    layer, x = Linear(64, 8), torch.randn(16, 64)
    exact = layer(x)
    set_precision(layer, torch.bfloat16)
    rough = layer(x)
    assert rough.dtype == torch.float32
    assert layer.weight.dtype == torch.float32
    assert 0 < (rough - exact).abs().max() < 0.1
    set_precision(layer, torch.float32)
    assert torch.equal(layer(x), exact)
