"""The plain updates that softrl's are timed beside: of the same networks, no more wasteful than said, and learning."""

import copy
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from softrl.agent.agent import Agent
from softrl.bench.floor import Recorder, products
from softrl.recipes import apply
from softrl.run.config import Run
from softrl.types import Spec, Window

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from plain import dreamer, sac_ae, world
from plain.windows import decisions, sequences, stretches, transitions

pytestmark = pytest.mark.slow  # they build networks of the published sizes

PIXELS, SEQUENCES = Spec({"pixels": (9, 24, 24)}, 2, stack=3), Spec({"pixels": (3, 16, 16)}, 2, sequence=4)
SMALL = world.Sizes(size=16, actions=2)


def plain_sac_ae() -> Any:
    return sac_ae.SacAe(sac_ae.Sizes(size=24, actions=2))


PLAIN = {
    "sac_ae": plain_sac_ae,
    "dreamer": lambda: dreamer.Dreamer(SMALL),
    "latent_sac": lambda: dreamer.Smac(SMALL),
    "smac": lambda: dreamer.Smac(SMALL, 32),
}


def given(name: str) -> tuple[Window, tuple[Tensor, ...]]:
    """A window, and what the plain code wants of it."""
    if name == "sac_ae":
        window = decisions(PIXELS, 2)
        return window, transitions(window)
    window = sequences(SEQUENCES, 2, 4)
    return window, stretches(window)


def numbers(plain: Any) -> int:
    """Numbers that are learned or follow, each counted once."""
    parts = vars(plain).values()
    tensors = [part for part in parts if isinstance(part, Tensor)]
    tensors += [p for part in parts if isinstance(part, nn.Module) for p in part.parameters()]
    return sum({id(tensor): tensor.numel() for tensor in tensors}.values())


@cache
def agent(name: str) -> Agent:
    """softrl's, made once because its weights take longest."""
    return apply(name, Run()).agent.build(PIXELS if name == "sac_ae" else SEQUENCES)


@pytest.mark.parametrize("name", PLAIN)
def test_the_networks_have_the_recipes_sizes(name: str) -> None:
    ours = agent(name)
    # The published code predicts no ends, and Dreamer has neither a copy nor a temperature.
    extra = [ours.encoder.persistence] if name != "sac_ae" else []
    extra += [ours.lookahead, ours.temperature] if name == "dreamer" else []
    counts = [sum(p.numel() for p in part.parameters()) for part in (ours, *extra)]
    assert numbers(PLAIN[name]()) == counts[0] - sum(counts[1:])


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("sac_ae", 1.1, 1.3), ("dreamer", 0.8, 1.0), ("latent_sac", 0.9, 1.1), ("smac", 1.0, 3.0)],
)
def test_its_products_are_about_ours_where_the_paper_repeats_none(name: str, least: float, most: float) -> None:
    window, arguments = given(name)
    plain, ours = PLAIN[name](), agent(name)
    updates = 2 if name == "sac_ae" else 1  # until the policy has moved
    needed = [work for i in range(updates) for work in products(ours, window, i == updates - 1)]
    with Recorder() as recorder:
        for _ in range(updates):
            plain.update(*arguments)
    ratio = sum(work.flops for work in recorder.found) / sum(work.flops for work in needed)
    assert least < ratio < most


def before_and_after(plain: Any, name: str, updates: int) -> Iterator[tuple[str, bool]]:
    """Which weights of a plain agent change."""
    _, arguments = given(name)
    parts = {part: module for part, module in vars(plain).items() if isinstance(module, nn.Module)}
    old = {part: copy.deepcopy(module.state_dict()) for part, module in parts.items()}
    for _ in range(updates):
        plain.update(*arguments)
    for part, module in parts.items():
        for key, value in module.state_dict().items():
            yield f"{part}.{key}", not torch.equal(value, old[part][key])


@pytest.mark.parametrize("updates", [1, 2])
def test_sac_ae_moves_policy_and_target_every_second_time(updates: int) -> None:
    plain = plain_sac_ae()
    for name, moved in before_and_after(plain, "sac_ae", updates):
        rare = name.startswith("target") or (name.startswith("actor") and "convolutions" not in name)
        assert moved == (updates == 2 or not rare), name


def test_sac_aes_policy_leaves_the_convolutions_alone() -> None:
    plain = plain_sac_ae()
    _, (images, *_) = given("sac_ae")
    old = copy.deepcopy(plain.critic.state_dict())
    plain.update_actor(images.float())
    assert all(torch.equal(value, old[name]) for name, value in plain.critic.state_dict().items())


@pytest.mark.parametrize("name", ["dreamer", "latent_sac", "smac"])
def test_world_models_move_everything_and_leave_nothing_frozen(name: str) -> None:
    plain = PLAIN[name]()
    unmoved = {name for name, moved in before_and_after(plain, name, 1) if not moved}
    assert all("prior" in name for name in unmoved)  # while nats are free
    assert all(p.requires_grad for p in plain.model.parameters())


@pytest.mark.parametrize(("name", "loss"), [("sac_ae", "reconstruction"), ("dreamer", "model")])
def test_it_learns_to_see(name: str, loss: str) -> None:
    plain, (_, (pixels, *others)) = PLAIN[name](), given(name)
    first, *_, last = (plain.update(pixels.fill_(40), *others)[loss] for _ in range(15))
    assert last < 0.8 * first


def test_returns_of_imagination_are_those_of_one_reward() -> None:
    """Where every state is worth nothing and every reward is one, R_t = sum of (gamma lambda)^i."""
    plain = dreamer.Dreamer(SMALL)
    for network, value in ((plain.model.reward, 1.0), (plain.value, 0.0)):
        last = network[-1]
        last.weight.data.zero_()
        last.bias.data.fill_(value)
    plain.model_optimizer.param_groups[0]["lr"] = 0.0
    weight, rate = 0.99 ** torch.arange(15), 0.99 * 0.95
    returns = torch.tensor([sum(rate**i for i in range(15 - t)) for t in range(15)])
    told = plain.update(*given("dreamer")[1])
    torch.testing.assert_close(told["actor"], -(weight * returns).mean())
    torch.testing.assert_close(told["value"], 0.5 * (weight * returns.square()).mean())


def test_one_particle_is_its_own_mean() -> None:
    x = torch.randn(1, 4)
    torch.testing.assert_close(dreamer.log_mean_exp(x), x[0])
    torch.testing.assert_close(dreamer.log_mean_exp(x.expand(3, -1)), x[0])
