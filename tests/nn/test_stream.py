"""The residual stream against its three steps by hand."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from softrl.nn.stream import Stream


class Shift(nn.Module):
    """Adds one to the first feature and two to the second."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.tensor([1.0, 2.0])


def test_embedded_then_changed_by_every_block_then_normalised() -> None:
    trunk, x = Stream(3, 2, 2, 4, Shift), torch.randn(5, 3)
    assert (trunk.width, len(trunk.blocks)) == (2, 4)
    for e in range(2):
        h = x @ trunk.embed.weight[e] + trunk.embed.bias[e] + torch.tensor([4.0, 8.0])
        torch.testing.assert_close(trunk(x)[e], functional.layer_norm(h, (2,)))
    assert trunk.out(7)(trunk(x)).shape == (2, 5, 7)
