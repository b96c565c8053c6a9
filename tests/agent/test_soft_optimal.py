"""On a problem whose soft optimum is known exactly, the networks of both updates find its values and its policy.

Three states, one action in [-1, 1] that buys probability of moving on at a quadratic cost, so that the soft-optimal
policy exp(Q / alpha) is a Gaussian cut off at the walls, three and more deviations away: nearly a squashed Gaussian.

Agents work with the density of the action on [-1, 1], where the uniform policy has the entropy log 2. The table cuts
[-1, 1] into cells of width 2/CELLS, whose probabilities are density times width: their counted entropy is larger than
the differential one by -log(2/CELLS). `Problem.cell` takes that out; it would be worth alpha * 5.3 = 1.3 a decision.
"""

import dataclasses
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from softrl.agent.agent import Agent
from softrl.agent.config import AgentConfig
from softrl.agent.lookahead import Split, StateTarget
from softrl.agent.temperature import Fixed
from softrl.math.tabular import Problem, Solution, entropy, soft_policy_iteration
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.critics import ActionIn, StateValue
from softrl.nn.normalize import Scale
from softrl.nn.trunks.mlp import MLP
from softrl.types import Spec, Window

STATES, CELLS, ALPHA, GAMMA = 3, 400, 0.25, 0.8
ACTION = ((torch.arange(CELLS) + 0.5) * 2 / CELLS - 1).double()  # centres of the cells
UPDATES = 1200
NET = MLP(hidden=(64, 64))
SAC = AgentConfig(
    actor=Gaussian(trunk=NET),
    critic=ActionIn(trunk=NET),
    lookahead=Split(tau=0.05),
    temperature=Fixed(ALPHA),
)
SAC_V1 = dataclasses.replace(
    SAC,
    update="sac_v1",
    lookahead=StateTarget(value=StateValue(trunk=NET), tau=0.05),
    temperature=Fixed(1.0),
    reward_scale=Scale(1 / ALPHA),
)


def known_problem() -> Problem:
    height, cost, peak = torch.tensor([[1.0, 0.5, 1.5], [4.0, 5.0, 6.0], [-0.3, 0.4, 0.1]]).double()[..., None]
    reward = height - cost * (ACTION - peak).square()  # [S,A]
    onward = (1 + ACTION) / 2
    transition = torch.zeros(STATES, CELLS, STATES).double()
    for state in (0, 1):
        transition[state, :, state], transition[state, :, state + 1] = 1 - onward, onward
    transition[2, :, 0], transition[2, :, 2] = 0.75 * (1 - onward), 0.75 * onward  # a quarter of the visits end
    return Problem(transition, reward, GAMMA, ALPHA, cell=2 / CELLS)


def sample(problem: Problem, size: int) -> Window:
    """Transitions from uniform states and actions."""
    state, cell = torch.randint(STATES, (size,)), torch.randint(CELLS, (size,))
    onward = problem.transition[state, cell]  # [B,S]
    chances = torch.cat([onward, (1 - onward.sum(-1, keepdim=True)).clamp(min=0)], -1)
    after = torch.multinomial(chances, 1)[:, 0]
    ended = after == STATES
    one_hot = torch.eye(STATES)
    return Window(
        obs={"state": torch.stack([one_hot[state], one_hot[after.where(~ended, state)]], 1)},
        action=ACTION[cell].float()[:, None, None],
        reward=problem.reward[state, cell].float()[:, None],
        discount=GAMMA * (~ended).float()[:, None],
        first=torch.zeros(size, 1, dtype=torch.bool),
        weight=torch.ones(size),
        index=torch.arange(size),
    )


def trained(config: AgentConfig, problem: Problem, rate: float) -> Agent:
    torch.manual_seed(0)
    agent = config.build(Spec(obs={"state": (STATES,)}, continuous=1))
    for i in range(UPDATES):
        for optimizer in (agent.optim.value, agent.optim.actor):
            optimizer.learning_rate.fill_(rate * (1 - i / UPDATES))  # so that the noise of sampling dies out
        agent.update(sample(problem, 256))
    return agent


class Learned(NamedTuple):
    """What an agent's networks say, in the units of the problem."""

    q: Tensor  # [S,A]
    value: Tensor  # [S], E_pi [Q - alpha log pi]
    entropy: Tensor  # [S]
    action: Tensor  # [S], mean


@torch.no_grad()
def learned(agent: Agent, unit: float) -> Learned:
    one_hot, draws = torch.eye(STATES), 4000
    every = ACTION.float()[:, None, None].expand(CELLS, STATES, 1)
    policy = agent.actor(one_hot.repeat(draws, 1))
    judged = agent.critic(one_hot.repeat(draws, 1), policy.value).atoms.mean().amin(0)[0]  # [draws * S]
    alpha = agent.temperature()
    by_state = (judged - alpha * policy.log_prob[0, :, 0], -policy.log_prob[0, :, 0], policy.value[0, :, 0])
    value, surprise, action = (x.view(draws, STATES).mean(0).double() for x in by_state)
    q = agent.critic(one_hot, every).atoms.mean().amin(0).T.double()
    return Learned(unit * q, unit * value, surprise, action)


def check(found: Learned, problem: Problem, optimum: Solution) -> None:
    likely = optimum.policy > 1e-5  # where exp(Q / alpha) has some mass
    assert ((found.q - optimum.q).abs() * likely).max() < 0.05 * optimum.value.max()
    assert (found.value / optimum.value - 1).abs().max() < 0.03
    assert (found.entropy - entropy(problem, optimum.policy)).abs().max() < 0.1
    assert (found.action - (optimum.policy * ACTION).sum(-1)).abs().max() < 0.05


@pytest.mark.slow
def test_sac_reaches_the_soft_optimum() -> None:
    problem = known_problem()
    check(learned(trained(SAC, problem, rate=3e-3), unit=1.0), problem, soft_policy_iteration(problem))


@pytest.mark.slow
def test_sac_v1_reaches_the_same_optimum_by_its_reward_scale() -> None:
    """Rewards times 1/alpha at temperature 1: values come out in units of alpha, four times as large."""
    problem = known_problem()
    optimum, agent = soft_policy_iteration(problem), trained(SAC_V1, problem, rate=6e-3)  # Adam has further to go
    check(learned(agent, unit=ALPHA), problem, optimum)
    with torch.no_grad():
        state_value = ALPHA * agent.lookahead.value(torch.eye(STATES)).atoms.mean()[0, 0]
    assert (state_value / optimum.value - 1).abs().max() < 0.03


@pytest.mark.parametrize("other", [{"alpha": 0.01}, {"alpha": 0.5}, {"gamma": 0.75}, {"cell": 1.0}])
def test_the_check_tells_other_optima_apart(other: dict[str, float]) -> None:
    problem = known_problem()
    wrong = problem._replace(**other)
    q, value, policy = soft_policy_iteration(wrong)
    found = Learned(q, value, entropy(wrong, policy), (policy * ACTION).sum(-1))
    with pytest.raises(AssertionError):
        check(found, problem, soft_policy_iteration(problem))
