"""Adam and AdamW against torch.optim, clipping and schedules against torch's own, and the state as buffers."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from softrl.agent.optim import Adam, AdamOptimizer, OptimizerGroup, Optimizers
from softrl.agent.schedule import CosineDecay, LinearDecay
from softrl.errors import UserError
from softrl.nn.layers import UnitLinear
from softrl.nn.targets import frozen_copy

EVERYTHING = Adam(1e-2, weight_decay=0.1, max_gradient_norm=0.5, schedule=LinearDecay(0.2, 20))


def problem(seed: int = 0) -> tuple[nn.Linear, torch.Tensor]:
    torch.manual_seed(seed)
    return nn.Linear(6, 4), torch.randn(30, 6)


def stepping(optimizer: AdamOptimizer, traced: bool) -> Callable[[dict[str, torch.Tensor]], None]:
    """A step as it runs where nothing compiles, or with its second half as a compiler sees it."""
    if not traced:
        return optimizer.step
    descend = torch.compile(optimizer.descend, fullgraph=True, backend="eager")

    def step(losses: dict[str, torch.Tensor]) -> None:
        descend(torch.autograd.grad(sum(losses.values()), optimizer.parameters_held))

    return step


@pytest.fixture(params=[False, True], ids=["fused", "traced"])
def traced(request: pytest.FixtureRequest):
    yield request.param
    torch._dynamo.reset()


@pytest.mark.parametrize(("beta1", "epsilon"), [(0.9, 1e-8), (0.5, 1e-3)])
def test_equals_torch(traced: bool, beta1: float, epsilon: float) -> None:
    ours, x = problem()
    theirs, _ = problem()
    step = stepping(Adam(1e-2, beta1, 0.999, epsilon).build(ours), traced)
    reference = torch.optim.Adam(theirs.parameters(), lr=1e-2, betas=(beta1, 0.999), eps=epsilon)
    for _ in range(50):
        step({"a": ours(x).square().mean(), "b": ours.weight.sum()})
        reference.zero_grad()
        (theirs(x).square().mean() + theirs.weight.sum()).backward()
        reference.step()
    torch.testing.assert_close(ours.weight, theirs.weight, atol=1e-6, rtol=1e-5)


def test_the_defaults_are_torchs_fused_adam_bit_for_bit() -> None:
    ours, x = problem()
    theirs, _ = problem()
    optimizer = Adam().build(ours)
    reference = torch.optim.Adam(theirs.parameters(), lr=torch.tensor(3e-4), fused=True)
    for _ in range(20):
        optimizer.step({"a": ours(x).square().mean()})
        reference.zero_grad()
        theirs(x).square().mean().backward()
        reference.step()
    assert torch.equal(ours.weight, theirs.weight)
    assert torch.equal(ours.bias, theirs.bias)


@pytest.mark.parametrize(
    ("form", "size", "reference"),
    [("weight_decay", 0.3, torch.optim.AdamW), ("l2", 0.3, torch.optim.Adam), ("l2", 1e-7, torch.optim.Adam)],
)
def test_decay_equals_torchs_and_spares_what_does_not_decay(
    traced: bool, form: str, size: float, reference: type[torch.optim.Adam]
) -> None:
    """Where a loss has no gradient, as for the first column, L2 moves a weight by about the learning rate."""
    ours, x = problem()
    theirs, _ = problem()
    ours.bias.decays = False  # type: ignore[attr-defined]
    x[:, 0] = 0.0
    before = ours.weight[:, 0].detach().abs()
    step = stepping(Adam(1e-2, **{form: size}).build(ours), traced)
    groups = [{"params": [theirs.weight], "weight_decay": size}, {"params": [theirs.bias], "weight_decay": 0.0}]
    torchs = reference(groups, lr=1e-2)
    for _ in range(30):
        step({"a": (ours(x) - 1).square().mean()})
        torchs.zero_grad()
        (theirs(x) - 1).square().mean().backward()
        torchs.step()
    torch.testing.assert_close(ours.weight, theirs.weight, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(ours.bias, theirs.bias, atol=1e-6, rtol=1e-5)
    if form == "l2":
        assert ((before - ours.weight[:, 0].abs()) > 0.1).sum() >= 2


@pytest.mark.parametrize("form", [{"weight_decay": 5.0}, {"l2": 5.0}], ids=["decay", "l2"])
def test_a_copy_spares_the_same_parameters(form: dict[str, float]) -> None:
    """`copy.deepcopy` of a parameter loses what was written on it."""
    ours, x = problem()
    ours.bias.decays = False  # type: ignore[attr-defined]
    pair = nn.ModuleList([ours, Adam(1e-2, **form).build(ours)])
    twin = copy.deepcopy(pair)
    for net, optimizer in (pair, twin):
        optimizer.step({"a": net(x).sum()})
    assert torch.equal(pair[0].bias, twin[0].bias)


@pytest.mark.parametrize("largest", [0.1, 1.0, 1e6])
def test_clipping_equals_torchs_over_all_gradients(traced: bool, largest: float) -> None:
    ours, x = problem()
    theirs, _ = problem()
    step = stepping(Adam(1e-2, epsilon=1.0, max_gradient_norm=largest).build(ours), traced)
    reference = torch.optim.Adam(theirs.parameters(), lr=1e-2, eps=1.0)  # a large epsilon lets the scale be felt
    for _ in range(10):
        step({"a": ours(x).square().sum()})
        reference.zero_grad()
        theirs(x).square().sum().backward()
        nn.utils.clip_grad_norm_(theirs.parameters(), largest)
        reference.step()
    torch.testing.assert_close(ours.weight, theirs.weight, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_schedules_equal_torchs(traced: bool, kind: str) -> None:
    ours, x = problem()
    theirs, _ = problem()
    reference = torch.optim.Adam(theirs.parameters(), lr=1e-2)
    if kind == "linear":
        config = Adam(1e-2, schedule=LinearDecay(0.25, 12))
        rates = torch.optim.lr_scheduler.LinearLR(reference, 1.0, 0.25, 12)
    else:
        config = Adam(1e-2, schedule=CosineDecay(0.25, 12))
        rates = torch.optim.lr_scheduler.CosineAnnealingLR(reference, 12, 0.25e-2)
    step = stepping(config.build(ours), traced)
    for _ in range(13):
        step({"a": ours(x).square().mean()})
        reference.zero_grad()
        theirs(x).square().mean().backward()
        reference.step()
        rates.step()
    torch.testing.assert_close(ours.weight, theirs.weight, atol=1e-6, rtol=1e-5)


def test_both_forms_of_a_step_agree_with_everything_on() -> None:
    (fused, x), (traced, _) = problem(), problem()
    one, other = EVERYTHING.build(fused), EVERYTHING.build(traced)
    step = stepping(other, traced=True)
    for _ in range(25):
        one.step({"a": fused(x).square().mean()})
        step({"a": traced(x).square().mean()})
    torch.testing.assert_close(fused.weight, traced.weight, atol=1e-6, rtol=1e-5)


def test_constrained_layers_are_put_back_after_a_step(traced: bool) -> None:
    layer, free = UnitLinear(6, 4, members=3), nn.Linear(4, 4)
    optimizer = Adam(0.1).build(free, layer)
    before = layer.weight.detach().clone()
    stepping(optimizer, traced)({"a": free(layer(torch.randn(5, 6))).square().sum()})
    assert not torch.allclose(layer.weight, before)
    torch.testing.assert_close(layer.weight.norm(dim=1), torch.ones(3, 4))
    assert optimizer.constrained == [layer]  # nothing is searched for where nothing is constrained


def test_targets_of_constrained_layers_are_left_where_they_are(traced: bool) -> None:
    """The average of two vectors of norm one is shorter, and stays so, as published."""
    value = UnitLinear(6, 4)
    target = frozen_copy(value)
    target.weight.mul_(0.5)
    stepping(Adam(0.1).build(nn.ModuleList([value, target])), traced)({"a": value(torch.randn(5, 6)).square().sum()})
    torch.testing.assert_close(value.weight.norm(dim=1), torch.ones(1, 4))
    torch.testing.assert_close(target.weight.norm(dim=1), torch.full((1, 4), 0.5))


def test_state_dict_brings_the_moments_back() -> None:
    ours, x = problem()
    optimizer = EVERYTHING.build(ours)

    def walk(steps: int) -> torch.Tensor:
        for _ in range(steps):
            optimizer.step({"a": ours(x).square().mean()})
        return ours.weight.detach().clone()

    walk(3)
    weights = {name: value.clone() for name, value in ours.state_dict().items()}
    moments = {name: value.clone() for name, value in optimizer.state_dict().items()}
    expected = walk(3)
    ours.load_state_dict(weights)
    optimizer.load_state_dict(moments)
    assert torch.equal(walk(3), expected)


def test_restart_is_a_fresh_optimiser_in_the_same_memory() -> None:
    ours, x = problem()
    optimizer = EVERYTHING.build(ours)
    memory = [value.data_ptr() for value in optimizer.state_dict().values()]
    optimizer.step({"a": ours(x).square().mean()})
    optimizer.restart()
    fresh = EVERYTHING.build(ours).state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in optimizer.state_dict().items())
    assert [value.data_ptr() for value in optimizer.state_dict().values()] == memory


def test_forget_touches_only_the_marked_entries_of_one_parameter() -> None:
    ours, x = problem()
    optimizer = Adam().build(ours)
    optimizer.step({"a": ours(x).square().mean()})
    before = {name: value.clone() for name, value in optimizer.state_dict().items()}
    mask = torch.tensor([[True], [False], [False], [True]])  # rows 0 and 3 of [4,6]
    optimizer.forget(ours.weight, mask)
    for name, blank in (("mean_0", torch.zeros(())), ("square_0", before["square_0"].mean())):
        now = optimizer.state_dict()[name]
        assert (now[[0, 3]] == blank).all()
        assert torch.equal(now[1:3], before[name][1:3])
        assert (before[name] != 0).all()
    assert all(torch.equal(optimizer.state_dict()[name], before[name]) for name in ("mean_1", "square_1", "count"))
    optimizer.forget(ours.bias)
    assert not optimizer.get_buffer("mean_1").any()
    assert torch.equal(optimizer.get_buffer("square_1"), before["square_1"].mean().expand(4))
    optimizer.forget(nn.Parameter(torch.ones(3)))  # somebody else's


@pytest.mark.parametrize("mask", [None, torch.tensor([[True, True, False]])], ids=["all", "some"])
def test_what_was_forgotten_late_takes_no_longer_steps_than_the_learning_rate(mask: torch.Tensor | None) -> None:
    """A gradient of 2 that does not change: step t after it is 1 - 0.9^t of the learning rate."""
    ours = nn.Linear(3, 1, bias=False)
    optimizer = Adam(0.01).build(ours)
    for name, value in (("count", 1e4), ("mean_0", 2.0), ("square_0", 4.0)):
        optimizer.get_buffer(name).fill_(value)
    optimizer.forget(ours.weight, mask)
    for number in range(1, 31):
        before = ours.weight.detach().clone()
        optimizer.step({"a": 2 * ours.weight.sum()})
        steps = ((before - ours.weight.detach()) / 0.01)[0].tolist()
        fresh = 1 - 0.9**number
        assert steps == pytest.approx([fresh, fresh, fresh if mask is None else 1.0], abs=1e-3)


def test_weights_are_not_registered_twice() -> None:
    ours, _ = problem()
    optimizer = Adam().build(ours)
    assert list(optimizer.parameters()) == []
    assert set(optimizer.state_dict()) == {"learning_rate", "count", "mean_0", "square_0", "mean_1", "square_1"}


def test_a_module_inside_another_moves_once() -> None:
    """As where a part keeps the network that it was given."""
    ours, x = problem()
    optimizer = Adam(0.1).build(ours, nn.ModuleList([ours]))
    before = ours.bias.detach().clone()
    optimizer.step({"a": ours(x).sum()})
    torch.testing.assert_close((ours.bias - before).abs(), torch.full_like(before, 0.1))
    assert optimizer.parameters_held == [*ours.parameters()]
    assert optimizer.names == ["weight", "bias"]


def test_frozen_parameters_are_left_out_and_nothing_to_learn_is_neutral() -> None:
    ours, x = problem()
    ours.requires_grad_(False)
    before = ours.weight.clone()
    EVERYTHING.build(ours).step({"a": ours(x).sum()})
    assert torch.equal(ours.weight, before)


def test_a_group_has_an_optimiser_for_each_kind_of_loss() -> None:
    one, two, three, four, five = (nn.Linear(2, width) for width in (2, 3, 4, 5, 6))
    group = OptimizerGroup(Optimizers(actor=Adam(0.5)), [one, two], [two, five], [three], four)
    assert group.value.parameters_held == [*one.parameters(), *two.parameters()]
    assert group.encoder.parameters_held == [*two.parameters(), *five.parameters()]
    assert group.actor.parameters_held == [*three.parameters()]
    assert group.temperature.parameters_held == [*four.parameters()]
    assert group.actor.learning_rate == 0.5


def test_what_two_losses_train_moves_along_gradients_at_the_same_weights() -> None:
    """z = w x; the critic's loss 2 z is the loss of w alone, the encoder's own c z^2 that of w and of its decoder c.

    At w = 3, c = 5, x = 1 the gradients are 2 of w, and 2 c w = 30 of w and w^2 = 9 of c; each Adam's first step is its
    learning rate against the sign of the gradient.
    """
    encoder, decoder = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    nn.init.constant_(encoder.weight, 3.0)
    nn.init.constant_(decoder.weight, 5.0)
    rates = Optimizers(value=Adam(0.5), encoder=Adam(0.25))
    group = OptimizerGroup(rates, [encoder], [encoder, decoder], [], nn.Linear(1, 1))
    z = encoder(torch.ones(1, 1)).sum()
    group.step_critic_and_encoder({"critic_loss": 2 * z}, {"reconstruction_loss": decoder.weight.sum() * z * z})
    assert encoder.weight.item() == pytest.approx(3 - 0.5 - 0.25)
    assert decoder.weight.item() == pytest.approx(5 - 0.25)
    assert group.value.get_buffer("square_0").item() == pytest.approx(1e-3 * 2**2)
    assert group.encoder.get_buffer("square_0").item() == pytest.approx(1e-3 * 30**2)
    assert group.encoder.get_buffer("square_1").item() == pytest.approx(1e-3 * 9**2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": 0.0},
        {"beta1": 1.0},
        {"beta2": -0.1},
        {"epsilon": 0.0},
        {"weight_decay": -1.0},
        {"l2": -1.0},
        {"max_gradient_norm": 0.0},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError):
        Adam(**wrong)
