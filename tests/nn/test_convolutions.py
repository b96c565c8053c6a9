"""The stack and its mirror equal torch.nn, for any size; sizes are those of an image that is really convolved."""

import math

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import nn
from torch.nn import functional

from softrl.errors import UserError
from softrl.nn.convolutions import Convolution, Convolutions, ConvolutionTransposed, Kernels, flat, images


def loaded(theirs: nn.Module, ours: Kernels) -> nn.Module:
    theirs.load_state_dict({"weight": ours.weight, "bias": ours.bias})
    return theirs


def encoder_of(stack, channels: int, config: Convolutions) -> nn.Sequential:
    """A plain encoder with the weights of a stack."""
    layers, inputs = [], channels
    for layer, stride in zip([stack.first, *stack.others], config.strides, strict=True):
        layers += [loaded(nn.Conv2d(inputs, config.channels, 3, stride), layer), nn.ReLU()]
        inputs = config.channels
    return nn.Sequential(*layers)


def decoder_of(mirror, features: int, channels: int, config: Convolutions, extra: int) -> nn.Sequential:
    """A plain decoder with the weights of a mirror, its first layer reordered to channels before pixels."""
    height, width = mirror.size
    count = config.channels
    linear = nn.Linear(features, height * width * count)
    weight = mirror.linear.weight[0].T.view(height, width, count, features)
    linear.weight.data = weight.permute(2, 0, 1, 3).reshape(-1, features).detach().clone()
    linear.bias.data = mirror.linear.bias[0, 0].view(height, width, count).permute(2, 0, 1).flatten().detach().clone()
    layers: list[nn.Module] = [linear, nn.ReLU(), nn.Unflatten(1, (count, height, width))]
    strides = config.strides[::-1]
    for i, (layer, stride) in enumerate(zip(mirror.layers, strides, strict=True)):
        last = i == len(strides) - 1
        transposed = nn.ConvTranspose2d(count, channels if last else count, 3, stride, output_padding=extra * last)
        layers += [loaded(transposed, layer)] + ([] if last else [nn.ReLU()])
    return nn.Sequential(*layers)


def shaken(module: nn.Module) -> nn.Module:
    """Every parameter near its start, so that no zero hides a mistake."""
    for parameter in module.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    return module


@pytest.mark.parametrize(("size", "small", "extra"), [(84, 35, 1), (64, 25, 1), (33, 10, 0)])
def test_stack_and_mirror_equal_torch(size: int, small: int, extra: int) -> None:
    config, channels = Convolutions(8), 9
    stack = shaken(config.build(channels, (size, size)))
    mirror = shaken(config.mirror(5, channels, (size, size)))
    assert stack.width == small * small * 8
    assert mirror.size == (small, small)
    pixels, z = torch.randint(256, (2, channels, size, size), dtype=torch.uint8), torch.randn(2, 5)
    expected = encoder_of(stack, channels, config)(pixels / 255)
    features = stack(pixels)
    assert features.dtype == torch.float32
    torch.testing.assert_close(images(features, (small, small)), expected)
    drawn = mirror(z)
    assert drawn.shape == pixels.shape
    torch.testing.assert_close(drawn, decoder_of(mirror, 5, channels, config, extra)(z), rtol=1e-4, atol=1e-5)


def test_the_encoder_of_the_paper() -> None:
    stack = Convolutions().build(9, (84, 84))
    assert stack.width == 32 * 35 * 35
    assert [layer.weight.shape for layer in (stack.first, *stack.others)] == [(32, 9, 3, 3), *[(32, 32, 3, 3)] * 3]


@settings(max_examples=25)
@given(st.integers(15, 40), st.integers(15, 40), st.integers(1, 4))
def test_any_size_goes_down_and_comes_back(height: int, width: int, channels: int) -> None:
    config = Convolutions(2)
    pixels = torch.randint(256, (1, channels, height, width), dtype=torch.uint8)
    stack = config.build(channels, (height, width))
    assert stack(pixels).shape == (1, stack.width)
    assert config.mirror(3, channels, (height, width))(torch.randn(1, 3)).shape == pixels.shape


@settings(max_examples=60)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple), st.integers(1, 40), st.integers(1, 40))
def test_the_smallest_image_is_the_smallest_that_works(strides: tuple[int, ...], height: int, width: int) -> None:
    config = Convolutions(1, strides)
    left = torch.zeros(1, 1, height, width)
    try:
        for stride in strides:
            left = functional.conv2d(left, torch.zeros(1, 1, 3, 3), stride=stride)
    except RuntimeError:
        with pytest.raises(UserError, match=f"at least {config.smallest}x{config.smallest}"):
            config.sizes((height, width))
    else:
        assert config.sizes((height, width))[-1] == left.shape[2:]


@pytest.mark.parametrize("size", [48, 50, 100])
def test_other_strides_are_mirrored_too(size: int) -> None:
    config = Convolutions(4, (3, 2, 1))
    assert config.mirror(3, 2, (size, size + 1))(torch.randn(1, 3)).shape == (1, 2, size, size + 1)


def test_kernels_are_delta_orthogonal_with_the_gain_of_a_relu() -> None:
    for layer in (Convolution(9, 32), ConvolutionTransposed(32, 9, 2, (3, 3), (7, 8))):
        middle = layer.weight[:, :, 1, 1] / math.sqrt(2)
        gram = middle.T @ middle if middle.shape[0] > middle.shape[1] else middle @ middle.T
        torch.testing.assert_close(gram, torch.eye(9), atol=1e-5, rtol=0)
        assert int(layer.weight.count_nonzero()) == 32 * 9
        assert not layer.bias.any()


def test_orthogonal_kernels_are_orthogonal_as_a_whole_with_the_gain_of_a_relu() -> None:
    config = Convolutions(8, kernel_init="orthogonal")
    stack, mirror = config.build(9, (20, 20)), config.mirror(5, 9, (20, 20))
    for layer in (stack.first, *stack.others, *mirror.layers):
        rows = layer.weight.flatten(1) / math.sqrt(2)
        torch.testing.assert_close(rows @ rows.T, torch.eye(8), atol=1e-5, rtol=0)
        assert not layer.bias.any()


def test_bfloat16_rounds_convolutions_and_keeps_float32_outside() -> None:
    config = Convolutions(8)
    stack, mirror = shaken(config.build(3, (24, 24))), shaken(config.mirror(5, 3, (24, 24)))
    pixels, z = torch.randint(256, (2, 3, 24, 24), dtype=torch.uint8), torch.randn(2, 5)
    exact = stack(pixels), mirror(z)
    for part in (*stack.modules(), *mirror.modules()):
        if isinstance(part, Kernels):
            part.dtype = torch.bfloat16
    for rough, sharp in zip((stack(pixels), mirror(z)), exact, strict=True):
        assert rough.dtype == torch.float32
        assert 0 < (rough - sharp).abs().max() < 0.05 * sharp.abs().max()
    gradients = torch.autograd.grad(stack(pixels).square().mean(), list(stack.parameters()))
    assert {gradient.dtype for gradient in gradients} == {torch.float32}


def test_rows_and_images_are_inverse_and_channels_last_needs_no_copy() -> None:
    x = torch.randn(2, 3, 4, 5)
    assert torch.equal(images(flat(x), (4, 5)), x)
    last = x.contiguous(memory_format=torch.channels_last)
    assert flat(last).data_ptr() == last.data_ptr()
    assert torch.equal(flat(last), flat(x))


def test_the_stack_works_with_channels_last() -> None:
    stack = Convolutions(8).build(3, (24, 24))
    last: list[bool] = []
    for layer in (stack.first, *stack.others):
        layer.register_forward_hook(lambda _a, _b, y: last.append(y.is_contiguous(memory_format=torch.channels_last)))
    stack(torch.randint(256, (2, 3, 24, 24), dtype=torch.uint8))
    assert last == [True] * 4


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_gradients_have_the_layout_of_the_weights(layout: torch.memory_format) -> None:
    for layer in (Convolution(3, 8), ConvolutionTransposed(3, 8, 2, (6, 6), (13, 14))):
        y = layer(torch.randn(2, 3, 6, 6).contiguous(memory_format=layout))
        gradients = torch.autograd.grad(y.square().sum(), [layer.weight, layer.bias])
        assert [gradient.stride() for gradient in gradients] == [layer.weight.stride(), layer.bias.stride()]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: Convolutions(0), "at least 1"),
        (lambda: Convolutions(strides=()), "one of at least 1"),
        (lambda: Convolutions(strides=(2, 0)), "one of at least 1"),
        (lambda: Convolutions().build(3, (84, 14)), "84x14 .* at least 15x15"),
        (lambda: Convolutions().mirror(3, 3, (14, 84)), "at least 15x15"),
    ],
)
def test_bad_values(wrong, words: str) -> None:
    with pytest.raises(UserError, match=words):
        wrong()
