"""What every trunk promises, whatever is in it."""

import copy
from itertools import product

import pytest
import torch
from torch import nn

from softrl.errors import UserError
from softrl.nn.layers import Activation, Projected, project
from softrl.nn.norms import BATCH_STATISTICS, Batched, batch_statistics
from softrl.nn.trunks.bronet import BroNet
from softrl.nn.trunks.d2rl import D2RL
from softrl.nn.trunks.dirac import Dirac
from softrl.nn.trunks.experts import GatedExperts, SoftExperts
from softrl.nn.trunks.flash import FlashSAC
from softrl.nn.trunks.mlp import MLP
from softrl.nn.trunks.normformer import NormFormer
from softrl.nn.trunks.simba import SimBa
from softrl.nn.trunks.simbav2 import SimBaV2
from softrl.nn.trunks.xqc import XQC

TRUNKS = {
    "mlp": MLP((8, 6)),
    "droq": MLP((8, 6), norm="layer", dropout=0.1),
    "crossq": MLP((8, 6), norm="batch_renorm", norm_place="after", norm_inputs=True),
    "crossq_wn": MLP((8, 6), norm="batch", norm_place="after", norm_inputs=True, unit_norm=True),
    "crelu": MLP((8, 6), activation="crelu", norm="rms"),
    "d2rl": D2RL((8, 6, 4)),
    "d2rl_crelu": D2RL((8, 6), activation="crelu"),
    "bronet": BroNet(8),
    "bronet_relu2": BroNet(8, 1, "relu2", "after", expansion=2, dropout=0.1, branch_scale=1e-5),
    "bronet_crelu": BroNet(8, 1, "crelu", "after"),
    "simba": SimBa(8),
    "simbav2": SimBaV2(8),
    "xqc": XQC((8, 6)),
    "flash": FlashSAC(8),
    "dirac": Dirac(8),
    "dirac_crelu": Dirac(8, 2, "crelu"),
    "normformer": NormFormer(8, scaled_skip=True),
    "normformer_crelu": NormFormer(8, activation="crelu"),
    "soft_experts": SoftExperts(8, tokens=4, experts=3, expert_hidden=5),
    "gated_experts": GatedExperts(8, experts=3, active=2),
}
every = pytest.mark.parametrize("config", TRUNKS.values(), ids=TRUNKS)


def with_output(config, members: int) -> nn.Sequential:
    trunk = config.build(5, members)
    return nn.Sequential(trunk, trunk.out(3))


def single(module: nn.Module, config, e: int) -> nn.Module:
    """A network of one member with the state of member e of three."""
    one = with_output(config, 1)
    shapes = {name: value.shape for name, value in one.state_dict().items()}
    states = module.state_dict().items()
    # An expert layer's leading axis is members times experts.
    one.load_state_dict({n: v.unflatten(0, (3, -1))[e].view(shapes[n]) if v.dim() else v for n, v in states})
    return one


@every
@pytest.mark.parametrize("shared", [True, False])
def test_a_member_is_the_single_network(config, shared: bool, shaken) -> None:
    ensemble = shaken(with_output(config, 3)).eval()
    x = torch.randn(7, 5) if shared else torch.randn(3, 7, 5)
    y = ensemble(x)
    assert y.shape == (3, 7, 3)
    assert ensemble[0](x).shape == (3, 7, ensemble[0].width)
    for e in range(3):
        torch.testing.assert_close(single(ensemble, config, e).eval()(x if shared else x[e])[0], y[e])


@every
def test_a_member_learns_like_the_single_network(config, shaken) -> None:
    ensemble, x = shaken(with_output(config, 3)).eval(), torch.randn(16, 5)
    ones = [single(ensemble, config, e).eval() for e in range(3)]
    with batch_statistics(ensemble):
        gradients = torch.autograd.grad(ensemble(x).square().sum(), ensemble.parameters())
    for e, one in enumerate(ones):
        with batch_statistics(one):
            expected = torch.autograd.grad(one(x).square().sum(), one.parameters())
        for ours, theirs in zip(gradients, expected, strict=True):
            ours = ours.unflatten(0, (3, -1))[e].view_as(theirs)
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4 * float(theirs.abs().max() + 1e-3))
        again = single(ensemble, config, e)
        for ours, theirs in zip(again.buffers(), one.buffers(), strict=True):
            torch.testing.assert_close(ours, theirs)


@every
def test_members_start_differently_and_every_parameter_is_learned(config) -> None:
    network, x = with_output(config, 2).eval(), torch.randn(16, 5)
    y = network(x)
    assert not torch.allclose(y[0], y[1])
    assert y.isfinite().all()
    gradients = torch.autograd.grad(y.square().sum(), list(network.parameters()))
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRUNKS)
def test_one_graph_with_gradients_inside(name: str) -> None:
    eager, x = with_output(TRUNKS[name], 2), torch.randn(9, 5)
    traced = copy.deepcopy(eager)

    def step(network: nn.Module, x: torch.Tensor) -> torch.Tensor:
        with batch_statistics(network):
            loss = network(x).square().mean()
        parameters = list(network.parameters())
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            torch._foreach_add_(parameters, gradients, alpha=-0.01)
        project(network)
        return loss.detach()

    torch._dynamo.reset()  # the same function is traced for every trunk
    with torch._dynamo.config.patch(trace_autograd_ops=True):
        compiled = torch.compile(step, fullgraph=True, backend="eager", dynamic=False)
        for _ in range(2):
            torch.manual_seed(3)
            expected = step(eager, x)
            torch.manual_seed(3)
            torch.testing.assert_close(compiled(traced, x), expected)
    for name, value in eager.state_dict().items():
        torch.testing.assert_close(traced.state_dict()[name], value, msg=lambda text, name=name: f"{name}: {text}")
    assert not any(norm.of_batch for norm in traced.modules() if isinstance(norm, Batched))


@every
def test_needs_say_whether_there_is_a_batch_norm(config) -> None:
    holds = any(isinstance(part, Batched) for part in config.build(5).modules())
    assert config.needs == (frozenset({BATCH_STATISTICS}) if holds else frozenset())


@every
def test_hidden_units_are_made_and_read_by_layers_of_their_width(config) -> None:
    trunk = config.build(5, 2).eval()
    widths: dict[nn.Module, int] = {}
    for part in trunk.modules():
        if isinstance(part, Activation):
            part.register_forward_hook(lambda part, _, output: widths.update({part: output.shape[-1]}))
    trunk(torch.randn(4, 5))
    for maker, activation, reader in trunk.hidden():
        assert maker.weight.shape[-1] == widths[activation]
        assert (reader or trunk.out(1)).weight.shape[1] == widths[activation]


@pytest.mark.parametrize(
    ("name", "units"),
    [("mlp", 2), ("crossq", 2), ("xqc", 2), ("crelu", 0), ("d2rl", 0), ("bronet", 2), ("simba", 2), ("simbav2", 2),
     ("flash", 2), ("normformer", 2), ("normformer_crelu", 0), ("dirac", 0), ("soft_experts", 0), ("gated_experts", 0)],
)  # fmt: skip
def test_how_many_layers_have_units_of_their_own(name: str, units: int) -> None:
    assert len(TRUNKS[name].build(5).hidden()) == units


@pytest.mark.parametrize("name", ["mlp", "droq", "xqc", "bronet", "simba", "simbav2", "flash"])
def test_nothing_but_its_reader_reads_a_unit(name: str, shaken) -> None:
    trunk, x = shaken(TRUNKS[name].build(5, 2)).eval(), torch.randn(6, 5)
    read = [(activation, reader) for _, activation, reader in trunk.hidden() if reader is not None]
    for activation, reader in read:
        before = trunk(x)
        changed = activation.register_forward_hook(lambda _part, _inputs, y: y + torch.eye(y.shape[-1])[0])
        assert not torch.allclose(trunk(x), before)
        reader.weight.data[:, 0] = 0
        cut = trunk(x)
        changed.remove()
        torch.testing.assert_close(trunk(x), cut)


@every
def test_a_network_starts_on_its_constraints_and_a_projection_returns_to_them(config) -> None:
    network = with_output(config, 2)
    constrained = [part for part in network.modules() if isinstance(part, Projected)]
    start = copy.deepcopy(network.state_dict())
    project(network)
    torch.testing.assert_close(network.state_dict(), start)
    for part in constrained:
        part.weight.data.add_(torch.randn_like(part.weight))
    project(network)
    once = copy.deepcopy(network.state_dict())
    project(network)
    torch.testing.assert_close(network.state_dict(), once)
    assert not any(getattr(part.weight, "decays", True) for part in constrained)


SIZES = [
    (BroNet, ("width", "blocks", "expansion")),
    (SimBa, ("width", "blocks", "expansion")),
    (SimBaV2, ("width", "blocks", "expansion")),
    (FlashSAC, ("width", "blocks", "expansion")),
    (NormFormer, ("width", "blocks", "expansion")),
    (Dirac, ("width", "depth")),
    (SoftExperts, ("width", "tokens", "experts", "expert_hidden")),
    (GatedExperts, ("width", "experts", "active")),
]


@pytest.mark.parametrize(("part", "name"), [pair for part, names in SIZES for pair in product([part], names)])
def test_sizes_below_one_are_refused(part, name: str) -> None:
    with pytest.raises(UserError, match=f"{name} is 0: a {part.__name__} trunk needs at least 1"):
        part(**{name: 0})


@pytest.mark.parametrize("part", [MLP, D2RL, XQC])
@pytest.mark.parametrize("hidden", [(), (0,), (256, -1)])
def test_widths_that_cannot_be(part, hidden: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="hidden"):
        part(hidden)
