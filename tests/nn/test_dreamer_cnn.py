"""Dreamer's convolutions against the same layers of torch.nn, at the sizes of the paper and others."""

import pytest
import torch
from torch import nn

from softrl.errors import UserError
from softrl.nn.dreamer_cnn import PictureObservationModel, Pictures, conv_sizes, deconv_kernels, fastest_deconv
from softrl.nn.layers import set_precision
from softrl.types import Spec


def sight(size: int = 64, depth: int = 4) -> PictureObservationModel:
    return Pictures(depth).build(10, Spec({"pixels": (3, size, size)}, 1))


def test_sizes_and_kernels_of_the_paper() -> None:
    assert conv_sizes(64) == [64, 31, 14, 6, 2]
    assert deconv_kernels(64) == [5, 5, 6, 6]
    assert sight(64, 32).width == 1024
    assert [layer.weight.shape[:2] for layer in sight(64, 32).decoder] == [(1024, 128), (128, 64), (64, 32), (32, 3)]


@pytest.mark.parametrize("size", [4, 5, 16, 32, 48, 64, 84])
def test_every_size_comes_back(size: int) -> None:
    module = sight(size, 2)
    pixels = torch.randint(0, 256, (2, 3, 3, size, size), dtype=torch.uint8)
    target = module.target({"pixels": pixels})
    assert target.shape == pixels.shape
    assert module.embed(target).shape == (2, 3, module.width)
    assert module.predict(torch.randn(2, 3, 10)).shape == pixels.shape


def test_the_stacks_are_those_of_torch() -> None:
    module = sight()
    down: list[nn.Module] = []
    for layer in module.encoder:
        o, i = layer.weight.shape[:2]
        down += [nn.Conv2d(i, o, 4, 2), nn.ReLU()]
        down[-2].load_state_dict({"weight": layer.weight, "bias": layer.bias})
    pixels = torch.randint(0, 256, (5, 3, 64, 64), dtype=torch.uint8)
    features = nn.Sequential(*down)(pixels / 255 - 0.5)  # [5,32,2,2]
    embedding = module.embed(module.target({"pixels": pixels}))
    torch.testing.assert_close(embedding, features.movedim(1, -1).flatten(1), atol=1e-5, rtol=1e-5)

    up: list[nn.Module] = []
    for layer in module.decoder:
        i, o, k = layer.weight.shape[:3]
        up += [nn.ConvTranspose2d(i, o, k, 2), nn.ReLU()]
        up[-2].load_state_dict({"weight": layer.weight, "bias": layer.bias})
    z = torch.randn(5, 10)
    expected = nn.Sequential(*up[:-1])(module.linear(z)[0][:, :, None, None])
    torch.testing.assert_close(module.predict(z), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("outputs", [2, 16])
@pytest.mark.parametrize(("size", "kernel"), [(1, 3), (1, 5), (1, 6), (2, 4), (5, 5), (4, 6), (3, 3)])
def test_every_form_of_a_transposed_convolution_is_torchs(size: int, kernel: int, outputs: int) -> None:
    x = torch.randn(3, 4, size, size, requires_grad=True)
    weight, bias = torch.randn(4, outputs, kernel, kernel, requires_grad=True), torch.randn(outputs, requires_grad=True)
    given = [x, weight, bias]
    expected, ours = nn.functional.conv_transpose2d(*given, 2), fastest_deconv(size, outputs, kernel)(*given)
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)
    slope = torch.randn_like(expected)
    gradients = (torch.autograd.grad(y, given, slope) for y in (ours, expected))
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)


def test_gradients_have_the_layout_of_the_weights() -> None:
    module = sight()
    embedding = module.embed(torch.randn(2, 3, 64, 64))
    loss = embedding.sum() + module.predict(torch.randn(2, 10)).square().sum()
    for p, g in zip(module.parameters(), torch.autograd.grad(loss, list(module.parameters())), strict=True):
        assert g.stride() == p.stride()


def test_products_may_be_bfloat16() -> None:
    module, target, z = sight(16), torch.rand(2, 3, 16, 16) - 0.5, torch.randn(2, 10)
    exact = module.embed(target), module.predict(z)
    set_precision(module, torch.bfloat16)
    for rounded, number in zip((module.embed(target), module.predict(z)), exact, strict=True):
        assert rounded.dtype == torch.float32
        assert not torch.equal(rounded, number)
        torch.testing.assert_close(rounded, number, atol=0.02, rtol=0.05)


def test_what_is_seen_comes_back_as_bytes() -> None:
    module = sight(16)
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 6, 16, 16)
    shown = module.visible(module.target({"pixels": pixels}))
    assert shown.shape == (1, 3, 16, 16)
    assert (shown.int() - pixels[:, :3].int()).abs().max() <= 1


def test_bad_values_are_refused() -> None:
    with pytest.raises(UserError, match="observations are states"):
        Pictures().build(10, Spec({"state": (3,)}, 1))
    with pytest.raises(UserError, match="64x48"):
        Pictures().build(10, Spec({"pixels": (3, 64, 48)}, 1))
    with pytest.raises(UserError, match="depth is 0"):
        Pictures(0)
