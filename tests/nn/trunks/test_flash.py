"""FlashSAC's network against torch.nn.functional."""

import pytest
import torch
from torch.nn import functional

from softrl.nn.init import initialise
from softrl.nn.layers import project
from softrl.nn.norms import batch_statistics
from softrl.nn.trunks.flash import FlashSAC


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("inside", [True, False])
def test_equals_the_papers_figure(members: int, inside: bool, shaken, member) -> None:
    trunk, x = shaken(FlashSAC(6).build(4, members)), torch.randn(7, 4)
    expected = []
    for e in range(members):
        p = member(trunk, e)

        def batch_norm(x: torch.Tensor, name: str, p=p) -> torch.Tensor:
            running = (p[f"{name}.mean"].clone(), p[f"{name}.variance"].clone())
            return functional.batch_norm(x, *running, p[f"{name}.weight"], p[f"{name}.bias"], inside, 0.01, 1e-5)

        h = batch_norm(x, "norm_inputs") @ p["embed.weight"]
        for n in (f"blocks.{n}" for n in range(2)):
            inner = batch_norm(h @ p[f"{n}.expand.weight"], f"{n}.norm").relu()
            h = h + batch_norm(inner @ p[f"{n}.contract.weight"], f"{n}.norm_out").relu()
        expected.append(h / (h.square().mean(-1, keepdim=True) + 1e-6).sqrt() * p["norm.weight"])
    if inside:
        with batch_statistics(trunk):
            torch.testing.assert_close(trunk(x), torch.stack(expected))
    else:
        torch.testing.assert_close(trunk(x), torch.stack(expected))


def test_parameters_of_the_papers_critic() -> None:
    trunk = FlashSAC().build(23)
    block = 2 * 256 * 1024 + 2 * 1024 + 2 * 256
    assert sum(p.numel() for p in trunk.parameters()) == 2 * 23 + 23 * 256 + 2 * block + 256
    assert sum(p.numel() for p in trunk.out(101).parameters()) == 256 * 101 + 101


def test_kernels_are_directions_of_orthogonal_matrices() -> None:
    torch.manual_seed(0)
    trunk, first = FlashSAC(16).build(4, 2), torch.empty(2, 4, 16)
    torch.manual_seed(0)
    initialise(first, "orthogonal")
    torch.testing.assert_close(trunk.embed.weight.detach(), functional.normalize(first, dim=1))
    for layer in (trunk.blocks[0].contract, trunk.blocks[1].contract, trunk.out(3)):
        gram = layer.weight.detach().mT @ layer.weight.detach()
        torch.testing.assert_close(gram, torch.eye(gram.shape[-1]).expand_as(gram), atol=1e-5, rtol=0)


def test_a_projection_puts_every_parameter_of_the_trunk_on_its_sphere(shaken) -> None:
    trunk = shaken(FlashSAC(8).build(4, 3))
    project(trunk)
    ones = torch.ones(3)
    for kernel in (trunk.embed, trunk.blocks[0].expand, trunk.blocks[1].contract):
        torch.testing.assert_close(kernel.weight.norm(dim=1), torch.ones(3, kernel.weight.shape[2]))
    for norm, width in ((trunk.norm_inputs, 4), (trunk.blocks[0].norm, 32), (trunk.blocks[1].norm_out, 8)):
        both = torch.cat([norm.weight, norm.bias], -1)[:, 0]
        torch.testing.assert_close(both.norm(dim=-1), width**0.5 * ones)
    torch.testing.assert_close(trunk.norm.weight[:, 0].norm(dim=-1), 8**0.5 * ones)
    assert not any(getattr(parameter, "decays", True) for parameter in trunk.parameters())


def test_blocks_never_lower_the_stream() -> None:
    trunk, x = FlashSAC(8, 1).build(4), torch.randn(9, 4)
    h = trunk.embed(trunk.norm_inputs(x))
    assert (trunk.blocks[0](h) >= 0).all()
