"""Every member of a layer is the single layer."""

import math

import pytest
import torch
from torch import tensor
from torch.nn import functional

from softrl.nn.layers import (
    Activation,
    DiracLinear,
    Linear,
    Scaler,
    UnitLinear,
    project,
    set_precision,
)


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


def test_without_a_bias_there_is_no_parameter_for_it() -> None:
    layer, x = Linear(4, 5, 2, bias=False), torch.randn(7, 4)
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    torch.testing.assert_close(layer(x)[1], x @ layer.weight[1])


def test_precision_reaches_every_kind_of_linear() -> None:
    network = torch.nn.Sequential(UnitLinear(64, 64), DiracLinear(64, 64))
    exact = network(x := torch.randn(16, 64))
    set_precision(network, torch.bfloat16)
    assert 0 < (network(x) - exact).abs().max() < 0.1


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize(("inputs", "outputs"), [(9, 4), (4, 9)])
def test_columns_have_norm_one_at_the_start_and_after_a_projection(members: int, inputs: int, outputs: int) -> None:
    layer = UnitLinear(inputs, outputs, members)
    for _ in range(2):
        torch.testing.assert_close(layer.weight.norm(dim=1), torch.ones(members, outputs))
        layer.weight.data.normal_()
        layer.bias.data.fill_(2.0)
        angles = functional.normalize(layer.weight.detach(), dim=1)
        project(torch.nn.ModuleList([layer]))
        torch.testing.assert_close(layer.weight.detach(), angles)
    assert layer.bias.eq(2.0).all()
    assert (layer.weight.decays, getattr(layer.bias, "decays", True)) == (False, True)


def test_jointly_a_column_and_its_bias_have_norm_one() -> None:
    layer = UnitLinear(2, 1, joint=True)
    layer.weight.data[:] = tensor([[[2.0], [3.0]]])
    layer.bias.data[:] = 6.0
    project(layer)  # |(2, 3, 6)| = 7
    torch.testing.assert_close(layer.weight.detach().flatten(), tensor([2 / 7, 3 / 7]))
    torch.testing.assert_close(layer.bias.detach().flatten(), tensor([6 / 7]))
    assert (layer.weight.decays, layer.bias.decays) == (False, False)
    assert UnitLinear(2, 1, bias=False, joint=True).constrained == ("weight",)


def test_a_zero_column_stays_finite() -> None:
    layer = UnitLinear(3, 2)
    layer.weight.data.zero_()
    project(layer)
    assert not layer.weight.any()


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize(("inputs", "outputs"), [(5, 5), (5, 3), (3, 5)])
def test_a_dirac_layer_folds_into_one_matrix(members: int, inputs: int, outputs: int) -> None:
    layer, x = DiracLinear(inputs, outputs, members), torch.randn(members, 7, inputs)
    assert layer.identity.eq(1.0).all()
    assert layer.direction.eq(0.1).all()
    for parameter in layer.parameters():
        parameter.data.normal_()
    for e in range(members):
        matrix = torch.zeros(inputs, outputs)
        for j in range(outputs):
            column = layer.linear.weight[e, :, j]
            matrix[:, j] = layer.direction[e, 0, j] * column / column.norm()
            if j < inputs:
                matrix[j, j] += layer.identity[e, 0, j]
        torch.testing.assert_close(layer(x)[e], x[e] @ matrix + layer.bias[e, 0])
    decays = {name: getattr(value, "decays", True) for name, value in layer.named_parameters()}
    assert decays == {"identity": False, "direction": False, "bias": True, "linear.weight": True}


def test_a_scaler_starts_at_its_initial_value_with_a_parameter_of_its_size() -> None:
    scaler, x = Scaler(4, 2, initial=0.3, size=0.5), torch.randn(2, 6, 4)
    assert scaler.weight.eq(0.5).all()
    torch.testing.assert_close(scaler(x), 0.3 * x)
    # Moving the parameter by 0.1 moves the factor by 0.1 * initial / size.
    scaler.weight.data[1] += 0.1
    torch.testing.assert_close(scaler(x)[1], 0.36 * x[1])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("relu", [0.0, 0.0, 2.0]),
        ("relu2", [0.0, 0.0, 4.0]),
        ("silu", [-1 / (1 + math.e), 0.0, 2 / (1 + math.exp(-2))]),
        ("gelu", [-0.5 * (1 + math.erf(-1 / math.sqrt(2))), 0.0, 1 + math.erf(math.sqrt(2))]),
        ("elu", [math.exp(-1) - 1, 0.0, 2.0]),
        ("tanh", [math.tanh(-1), 0.0, math.tanh(2)]),
        ("mish", [-math.tanh(math.log1p(math.exp(-1))), 0.0, 2 * math.tanh(math.log1p(math.exp(2)))]),
        ("leaky_relu", [-0.01, 0.0, 2.0]),
        ("crelu", [0.0, 0.0, 2.0, 1.0, 0.0, 0.0]),
    ],
)
def test_activations_by_hand(name: str, expected: list[float]) -> None:
    activation = Activation(name)
    torch.testing.assert_close(activation(tensor([-1.0, 0.0, 2.0])), tensor(expected))
    assert activation.scale * 3 == len(expected)
