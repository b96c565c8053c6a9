"""D2RL against loops."""

import pytest
import torch

from softrl.nn.trunks.d2rl import D2RL


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("shared", [True, False])
def test_every_layer_but_the_first_reads_the_input_again(members: int, shared: bool, shaken, member) -> None:
    trunk = shaken(D2RL((6, 5, 3)).build(4, members))
    x = torch.randn(7, 4) if shared else torch.randn(members, 7, 4)
    for e in range(members):
        p, row = member(trunk, e), x if shared else x[e]
        h = (row @ p["layers.0.weight"] + p["layers.0.bias"]).relu()
        for n in (1, 2):
            h = (torch.cat([h, row], 1) @ p[f"layers.{n}.weight"] + p[f"layers.{n}.bias"]).relu()
        torch.testing.assert_close(trunk(x)[e], h)


def test_parameters_of_the_papers_network() -> None:
    # 17 inputs, four layers of 256, the last three reading 256 + 17
    trunk = D2RL().build(17)
    assert sum(p.numel() for p in trunk.parameters()) == (17 + 1) * 256 + 3 * (256 + 17 + 1) * 256
    assert trunk.out(1).weight.shape == (1, 256, 1)


def test_weights_are_orthogonal_unless_told_otherwise() -> None:
    trunk = D2RL((32, 24, 16)).build(8)
    for layer in (*trunk.layers, trunk.out(4)):
        values = torch.linalg.svdvals(layer.weight[0])
        torch.testing.assert_close(values, torch.ones_like(values))
        assert not layer.bias.any()
    trunk = D2RL((32, 24, 16), init="lecun").build(8)
    for layer, reads in zip((*trunk.layers, trunk.out(40)), (8, 32 + 8, 24 + 8, 16), strict=True):
        assert 0.9 * reads**-0.5 < layer.weight.abs().max() <= reads**-0.5
