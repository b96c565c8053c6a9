"""On problems whose soft optimum is known exactly, agents with choices find its values and its policy.

A chain of four states with two choices at once (of sizes 3 and 2) is solved by `softrl.math.tabular`. A bandit whose
choices have a continuous parameter is solved in closed form:

    Q(d, c) = height_d - steepness_d (c - peak_d)^2
    W_d = alpha_c log int exp(Q(d, c) / alpha_c) dc,    pi(d) ~ exp(W_d / alpha_d),    pi(c|d) ~ exp(Q(d, c) / alpha_c)
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from softrl.agent.action_space import adapt_to_action_space
from softrl.agent.agent import Agent
from softrl.agent.config import AgentConfig
from softrl.agent.lookahead import Split
from softrl.agent.temperature import Fixed
from softrl.math.choices import combinations
from softrl.math.returns import soft_value
from softrl.math.rules import Average
from softrl.math.tabular import Problem, Solution, soft_value_iteration
from softrl.nn.actors.categorical import Categorical
from softrl.nn.actors.hybrid import Hybrid
from softrl.nn.critics import ActionIn
from softrl.nn.heads import Quantile
from softrl.nn.trunks.mlp import MLP
from softrl.types import Spec, Window

STATES, CHOICES, ALPHA, GAMMA = 4, (3, 2), 0.4, 0.8
JOINT = combinations(CHOICES)  # [J,S]
NET = MLP(hidden=(32, 32))
SQUARES = MLP(hidden=(32,), activation="relu2")  # the bandit's values are squares of the parameter
SAC = AgentConfig(
    actor=Categorical(trunk=NET, joint=True),
    critic=ActionIn(trunk=NET),
    lookahead=Split(tau=0.05),
    target_rule=Average(),
    actor_rule=Average(),
    temperature=Fixed(ALPHA),
)


def known_problem() -> Problem:
    """The first choice moves along the chain, the second pays not to slip; whoever leaves at the end is done."""
    generator = torch.Generator().manual_seed(3)
    reward = torch.rand(STATES, len(JOINT), generator=generator).double()
    transition = torch.zeros(STATES, len(JOINT), STATES).double()
    for state in range(STATES):
        for joint in range(len(JOINT)):
            move, careful = joint // 2 - 1, joint % 2
            sure = 0.9 if careful else 0.6
            reward[state, joint] -= 0.3 * careful
            for step, chance in ((move, sure), (0, 1 - sure)):
                if state + step < STATES:
                    transition[state, joint, max(state + step, 0)] += chance
    return Problem(transition, reward, GAMMA, ALPHA)


def sample(problem: Problem, size: int) -> Window:
    """Transitions from uniform states and joint choices."""
    state, joint = torch.randint(STATES, (size,)), torch.randint(len(JOINT), (size,))
    onward = problem.transition[state, joint]  # [B,S]
    after = torch.multinomial(torch.cat([onward, 1 - onward.sum(-1, keepdim=True)], -1).clamp(min=0), 1)[:, 0]
    ended = after == STATES
    one_hot = torch.eye(STATES)
    states = torch.stack([one_hot[state], one_hot[after.where(~ended, state)]], 1)
    return window(states, JOINT[joint], problem.reward[state, joint].float(), GAMMA * (~ended).float())


def window(states: Tensor, action: Tensor, reward: Tensor, discount: Tensor) -> Window:
    """A window of one decision a row."""
    size = len(action)
    return Window(
        obs={"state": states},
        action=action[:, None],
        reward=reward[:, None],
        discount=discount[:, None],
        first=torch.zeros(size, 1, dtype=torch.bool),
        weight=torch.ones(size),
        index=torch.arange(size),
    )


def trained(config: AgentConfig, spec: Spec, draw: Callable[[], Window], updates: int, rate: float = 3e-3) -> Agent:
    torch.manual_seed(0)
    agent = Agent(adapt_to_action_space(config, spec), spec)
    descend(agent, draw, updates, rate)
    return agent


def descend(agent: Agent, draw: Callable[[], Window], updates: int, rate: float = 3e-3) -> None:
    for i in range(updates):
        for optimizer in (agent.optim.value, agent.optim.actor):
            optimizer.learning_rate.fill_(rate * (1 - i / updates))  # so that the noise of sampling dies out
        agent.update(draw())


@torch.no_grad()
def learned(agent: Agent) -> Solution:
    """Values and policy of an agent on the chain, by full enumeration whatever its actor is."""
    z = torch.eye(STATES)
    q = agent.critic(z, JOINT[:, None].expand(-1, STATES, -1)).atoms.mean().mean(0).T.double()  # [S,A]
    log_prob = agent.actor(z).log_prob[..., 0].T.double()
    return Solution(q, (log_prob.exp() * (q - ALPHA * log_prob)).sum(-1), log_prob.exp())


def check(found: Solution, optimum: Solution) -> None:
    assert (found.policy - optimum.policy).abs().sum(-1).max() / 2 < 0.02
    assert (found.value / optimum.value - 1).abs().max() < 0.02
    assert (found.q - optimum.q).abs().max() < 0.02 * optimum.q.abs().max()


@pytest.mark.parametrize(
    ("critic", "updates"),
    [(ActionIn(NET), 500), (ActionIn(NET, Quantile(11)), 1600)],
    ids=["scalar", "quantile"],
)
@pytest.mark.slow
def test_choices_reach_the_soft_optimum(critic: ActionIn, updates: int) -> None:
    problem, spec = known_problem(), Spec({"state": (STATES,)}, 0, CHOICES)
    agent = trained(dataclasses.replace(SAC, critic=critic), spec, lambda: sample(problem, 256), updates)
    check(learned(agent), soft_value_iteration(problem))


@pytest.mark.parametrize("other", [{"alpha": 0.3}, {"gamma": 0.77}])
def test_the_check_tells_other_optima_apart(other: dict[str, float]) -> None:
    problem = known_problem()
    with pytest.raises(AssertionError):
        check(soft_value_iteration(problem._replace(**other)), soft_value_iteration(problem))


class Bandit(NamedTuple):
    """Three choices with a parameter each, and prices of both entropies."""

    peak: Tensor
    height: Tensor = torch.tensor([1.0, 1.3, 0.9])
    steepness: Tensor = torch.tensor([3.0, 3.0, 3.0])
    alpha: Tensor = torch.tensor([0.3, 0.06])

    def value(self, choice: Tensor, parameter: Tensor) -> Tensor:
        """Q(d, c) elementwise."""
        return self.height[choice] - self.steepness[choice] * (parameter - self.peak[choice]).square()

    def optimum(self, grid: Tensor) -> tuple[Tensor, Tensor]:
        """The soft-optimal density of (d, c) on a grid of parameters, [3,G], and the soft value."""
        q = self.value(torch.arange(3)[:, None], grid) / self.alpha[1]
        within = torch.logsumexp(q, -1, keepdim=True) + (grid[1] - grid[0]).log()
        chance = (self.alpha[1] * within / self.alpha[0]).softmax(0)
        return chance * (q - within).exp(), self.alpha[0] * torch.logsumexp(self.alpha[1] * within / self.alpha[0], 0)

    def sample(self, size: int) -> Window:
        """Decisions drawn uniformly, each the last of its episode."""
        choice, parameter = torch.randint(3, (size,)), 1.4 * torch.rand(size) - 0.7  # as far as the optimum reaches
        action = torch.cat([torch.eye(3)[choice], parameter[:, None]], -1)
        return window(torch.ones(size, 2, 1), action, self.value(choice, parameter), torch.zeros(size))


@pytest.mark.parametrize(
    ("dependent", "updates"),
    [(False, 600), (True, 1000)],
    ids=["independent", "dependent"],
)
@pytest.mark.slow
def test_choices_with_parameters_reach_the_soft_optimum(dependent: bool, updates: int) -> None:
    bandit = Bandit(torch.tensor([-0.2, 0.0, 0.2]) if dependent else torch.tensor([0.1, 0.1, 0.1]))
    config = dataclasses.replace(SAC, actor=Hybrid(NET, dependent), critic=ActionIn(SQUARES))
    spec = Spec({"state": (1,)}, 1, (3,))
    torch.manual_seed(0)
    agent = Agent(adapt_to_action_space(config, spec), spec)
    agent.temperature.log_alpha.data.copy_(bandit.alpha.log())
    descend(agent, lambda: bandit.sample(128), updates, rate=1e-2)

    grid = (torch.arange(2000) + 0.5) / 1000 - 1
    with torch.no_grad():
        logits, mean, log_std = agent.actor.distributions(torch.ones(1, 1))
        u = grid.atanh()
        density = Normal(mean[:, 0], log_std[:, 0].exp()).log_prob(u).exp() / (1 - grid.square())  # [G,2000]
        policy = logits.softmax(-1).T * density.expand(3, -1)
        actions = agent.actor(torch.ones(4000, 1))
        value = soft_value(
            agent.actor_rule(agent.critic(torch.ones(4000, 1), actions.value).atoms), actions, bandit.alpha
        )
    wanted, best = bandit.optimum(grid)
    assert (policy - wanted).abs().sum() / 1000 / 2 < 0.02
    assert float(value.mean().mean()) == pytest.approx(float(best), rel=0.02)
