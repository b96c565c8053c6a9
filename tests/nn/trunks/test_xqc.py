"""XQC against torch.nn."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from softrl.nn.norms import batch_statistics
from softrl.nn.trunks.xqc import XQC


@pytest.mark.parametrize("members", [1, 3])
def test_equals_torch(members: int, shaken) -> None:
    trunk, x = shaken(XQC((6, 5)).build(4, members)), torch.randn(7, 4)
    references = []
    for e in range(members):
        layers: list[nn.Module] = [nn.BatchNorm1d(4, 1e-3, 0.01)]
        for i, o in ((4, 6), (6, 5)):
            layers += [nn.Linear(i, o, bias=False), nn.BatchNorm1d(o, 1e-3, 0.01), nn.ReLU()]
        reference = nn.Sequential(*layers)
        for theirs, ours in zip((0, 2, 5), (trunk.norm_inputs, *trunk.norms), strict=True):
            reference[theirs].weight.data, reference[theirs].bias.data = ours.weight[e, 0], ours.bias[e, 0]
            reference[theirs].running_mean.copy_(ours.mean[e, 0])
            reference[theirs].running_var.copy_(ours.variance[e, 0])
        for theirs, layer in zip((1, 4), trunk.layers, strict=True):
            reference[theirs].weight.data = layer.weight[e].T
        references.append(reference)
    for e, reference in enumerate(references):
        torch.testing.assert_close(trunk(x)[e], reference.eval()(x))
    with batch_statistics(trunk):
        y = trunk(x)
    for e, reference in enumerate(references):
        torch.testing.assert_close(y[e], reference.train()(x))
        torch.testing.assert_close(trunk.norm_inputs.mean[e, 0], reference[0].running_mean)


def test_parameters_of_the_papers_critics_on_humanoid() -> None:
    # 376 + 17 inputs, 4 x 512, 101 atoms, two members: the paper's two million
    trunk = XQC().build(393, 2)
    one = 2 * 393 + 393 * 512 + 3 * 512 * 512 + 4 * 2 * 512 + 512 * 101 + 101
    assert sum(p.numel() for part in (trunk, trunk.out(101)) for p in part.parameters()) == 2 * one
    assert 2.0e6 < 2 * one < 2.2e6


def test_kernels_are_directions_of_orthogonal_matrices() -> None:
    trunk = XQC((32, 32)).build(8)
    square, wide = trunk.layers[1].weight[0].detach(), trunk.layers[0].weight[0].detach()
    torch.testing.assert_close(square.T @ square, torch.eye(32), atol=1e-5, rtol=0)
    torch.testing.assert_close(wide, functional.normalize(wide, dim=0))
    assert trunk.out(3).bias is not None
    assert {name for name, p in trunk.named_parameters() if not getattr(p, "decays", True)} == {
        "layers.0.weight", "layers.1.weight"
    }  # fmt: skip
