"""Diagnostics against loops, by hand, and what asking for them must not disturb."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from softrl.agent.agent import Agent
from softrl.agent.config import AgentConfig
from softrl.agent.diagnose import (
    activities,
    activity,
    churn,
    diagnose,
    dormant,
    dormant_share,
    effective_rank,
    probe,
    subsampled,
    weight_norm,
)
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.actors.latent import Latent, Marginal
from softrl.nn.critics import ActionIn
from softrl.nn.latents import Normal
from softrl.nn.trunks import TrunkConfig
from softrl.nn.trunks.d2rl import D2RL
from softrl.nn.trunks.dirac import Dirac
from softrl.nn.trunks.experts import GatedExperts, SoftExperts
from softrl.nn.trunks.mlp import MLP
from softrl.recipes import apply
from softrl.run.config import Run
from softrl.types import Spec

SPEC = Spec({"state": (5,)}, 2)


def build(trunk: Any = None, members: int = 3) -> Agent:
    trunk = trunk or MLP((6, 4))
    return AgentConfig(critic=ActionIn(trunk, members=members), actor=Gaussian(trunk)).build(SPEC)


@pytest.mark.parametrize("members", [1, 3])
def test_activity_is_the_mean_size_of_each_unit(members: int) -> None:
    trunk = MLP((6, 4), activation="tanh").build(3, members)
    x = torch.randn(10, 3)
    first, second = activity(SimpleNamespace(trunk=trunk, out=None), lambda: trunk(x))
    for e in range(members):
        h = [x[b] for b in range(10)]
        for layer, found in zip(trunk.layers, (first, second), strict=True):
            h = [torch.tanh(row @ layer.weight[e] + layer.bias[e, 0]) for row in h]
            torch.testing.assert_close(found[e], (sum(row.abs() for row in h) / 10).detach())
    assert not any(part._forward_hooks for part in trunk.modules())


def test_hooks_go_even_when_the_pass_fails() -> None:
    trunk = MLP((6,)).build(3)
    with pytest.raises(ZeroDivisionError):
        activity(SimpleNamespace(trunk=trunk, out=None), lambda: 1 / 0)
    assert not any(part._forward_hooks for part in trunk.modules())


def test_dormant_units_by_hand() -> None:
    active = torch.tensor([[0.0, 1.0, 2.0, 0.3], [0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])  # means 0.825, 0, 1
    expected = [[True, False, False, True], [True] * 4, [False] * 4]
    assert dormant(active, 0.4).tolist() == expected
    assert dormant(active, 0.0).tolist() == [[True, False, False, False], [True] * 4, [False] * 4]
    assert float(dormant_share([active, torch.ones(1, 8)], 0.4)) == pytest.approx(6 / 20)


def test_effective_rank_by_hand() -> None:
    features = torch.diag(torch.tensor([96.0, 2.0, 1.5, 0.5]))[None]
    assert float(effective_rank(features)) == 3
    assert float(effective_rank(features, 0.9)) == 1
    assert float(effective_rank(torch.cat([features, torch.eye(4)[None]]))) == 3.5
    assert float(effective_rank(torch.zeros(1, 4, 3))) == 1
    assert float(effective_rank(torch.full((1, 4, 3), torch.nan))) == 1


def test_effective_rank_equals_a_loop_over_singular_values() -> None:
    features = torch.randn(2, 20, 8) * torch.logspace(0, -3, 8)
    ranks = []
    for member in features.numpy():
        values = np.linalg.svd(member, compute_uv=False)
        k = 1
        while values[:k].sum() < 0.99 * values.sum():
            k += 1
        ranks.append(k)
    assert float(effective_rank(features)) == np.mean(ranks)


def test_weight_norm_is_that_of_all_learned_weights_in_a_row() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2).requires_grad_(False), nn.Linear(2, 5))
    learned = [p for p in network.parameters() if p.requires_grad]
    torch.testing.assert_close(weight_norm(network), nn.utils.parameters_to_vector(learned).norm().detach())


def test_a_diagnosis_is_numbers_for_critic_and_actor(window: Any) -> None:
    agent, w = build(), window()
    found = diagnose(agent, w)
    kinds = ("dormant_share", "effective_rank", "weight_norm")
    assert found.keys() == {f"{who}_{kind}" for who in ("critic", "actor") for kind in kinds} | {"dormant_share"}
    shares = sorted(float(found[f"{name}dormant_share"]) for name in ("critic_", "", "actor_"))
    assert shares[1] == pytest.approx(float(found["dormant_share"]))  # between the two
    assert all(value.shape == () and torch.isfinite(value) and not value.requires_grad for value in found.values())
    torch.testing.assert_close(found["actor_effective_rank"], effective_rank(agent.actor.trunk(w.obs["state"][:, 0])))
    agent.critic.trunk.layers[0].bias.data.fill_(-1e3)  # the first layer falls silent: 6 units of 10 in each member
    agent.critic.trunk.layers[1].bias.data.fill_(1.0)
    assert float(diagnose(agent, w)["critic_dormant_share"]) == pytest.approx(0.6)


@pytest.mark.parametrize(
    "trunk", [D2RL((6, 4)), Dirac(4, depth=2), GatedExperts(8), SoftExperts(8, 2), MLP((6,), activation="crelu")]
)
def test_every_layer_of_every_trunk_counts(trunk: TrunkConfig, window: Any) -> None:
    """Also where a unit's readers are not one layer, and interventions leave it alone."""
    agent, w = build(trunk), window()
    module = agent.critic.trunk
    calls: Counter[nn.Module] = Counter()
    for part in module.nonlinearities():
        part.register_forward_hook(lambda layer, given, out: calls.update([layer]))
    share = diagnose(agent, w)["critic_dormant_share"]
    assert 0 <= float(share) <= 1
    assert set(calls) == set(module.nonlinearities())
    for part in module.nonlinearities():
        part.register_forward_hook(lambda layer, given, out: torch.zeros_like(out))
    assert float(diagnose(agent, w)["critic_dormant_share"]) == 1


@pytest.mark.parametrize("ask", [diagnose, probe])
def test_asking_draws_no_random_numbers_and_moves_nothing(ask: Any, window: Any) -> None:
    agent, w = build(), window()
    before = {name: value.clone() for name, value in agent.state_dict().items()}
    state = torch.get_rng_state()
    ask(agent, w)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in agent.state_dict().items())


def test_asking_a_critic_with_dropout_leaves_the_generator_alone(window: Any) -> None:
    agent = AgentConfig(critic=ActionIn(MLP((6, 4), dropout=0.3))).build(SPEC)
    w, state = window(), torch.get_rng_state()
    diagnose(agent, w)
    probe(agent, w)
    assert torch.equal(torch.get_rng_state(), state)


def test_churn_is_how_far_the_answers_moved(window: Any) -> None:
    agent, w = build(), window()
    before = probe(agent, w)
    assert before.value.shape == (3, 16)
    assert before.action.shape == (16, 2)
    assert [float(value) for value in churn(before, probe(agent, w)).values()] == [0, 0]
    agent.critic.out.bias.data.add_(torch.tensor([1.0, -2.0, 0.0])[:, None, None])
    moved = churn(before, probe(agent, w))
    assert float(moved["value_churn"]) == pytest.approx(1.0, rel=1e-5)
    assert float(moved["policy_churn"]) == 0
    agent.actor.out.weight.data.zero_()  # every action becomes tanh(0)
    assert float(churn(before, probe(agent, w))["policy_churn"]) == pytest.approx(float(before.action.abs().mean()))


@pytest.mark.parametrize("what", ["dropout", "shifts"])
def test_what_is_drawn_between_two_looks_is_no_churn(what: str, window: Any) -> None:
    if what == "dropout":
        agent, w = AgentConfig(critic=ActionIn(MLP((6, 4), dropout=0.3))).build(SPEC), window()
    else:
        agent = apply("drq+tiny", Run()).agent.build(Spec({"pixels": (9, 24, 24)}, 2, stack=3))
        w = window()._replace(obs={"pixels": torch.randint(256, (16, 2, 9, 24, 24), dtype=torch.uint8)})
    before = probe(agent, w)
    torch.rand(3)
    assert [float(value) for value in churn(before, probe(agent, w)).values()] == [0, 0]


def test_rows_that_are_looked_at_are_spread_over_the_batch() -> None:
    assert len({int(row) // 50 for row in subsampled(torch.arange(2450), 64)}) > 40  # of 49 times with 50 rows each
    assert subsampled(torch.arange(10), 4).tolist() == [0, 2, 4, 6]
    assert subsampled(torch.arange(3), 4).tolist() == subsampled(torch.arange(3), None).tolist() == [0, 1, 2]


def test_all_networks_of_a_latent_policy_are_looked_at(window: Any) -> None:
    agent = AgentConfig(actor=Latent(MLP((8,)), Normal(4), 2, Marginal(MLP((6,)))), critic=ActionIn(MLP((8,)))).build(
        SPEC
    )
    first, second = activities(agent, window())["actor"]
    assert (first.shape[-1], second.shape[-1]) == (8, 6)
    agent.actor.policy.trunk.layers[0].bias.data.fill_(-1e3)
    assert float(diagnose(agent, window())["actor_dormant_share"]) >= 6 / 14
