"""Choices and numbers at once, and no environment: act, ask for log-probabilities, learn from a batch of tensors.

python examples/choices_and_numbers.py
"""

import torch

from softrl.agent.config import AgentConfig
from softrl.math.choices import components
from softrl.nn.critics import ActionIn
from softrl.nn.heads import Quantile, Scalar
from softrl.types import Spec, Window

GAMMA = 0.99


def main() -> None:
    spec = Spec({"state": (5,)}, continuous=2, choices=(5, 5), gamma=GAMMA)
    state, reward, done = torch.randn(3, 5), torch.randn(3), torch.zeros(3, dtype=torch.bool)
    for head in (Quantile(3), Scalar()):
        # what fits the space comes by itself: a hybrid actor, critics of both, a temperature for each component
        agent = AgentConfig(critic=ActionIn(head=head, members=2)).build(spec)
        print(f"critics: {agent.critic.head.__class__.__name__}, temperatures: {agent.temperature().tolist()}")

        action, _ = agent.act({"state": state}, {})  # [3,12]: two one-hots of 5, then 2 numbers in [-1, 1]
        first, second, numbers = action.split([5, 5, 2], -1)
        print("choices:", first.argmax(-1).tolist(), second.argmax(-1).tolist(), "numbers:", numbers.tolist())

        policy = agent.actor(state)  # all 25 combinations with their probabilities, each with numbers drawn for it
        drawn, each = policy.prob.T.multinomial(1)[:, 0], torch.arange(3)  # one combination a state
        action = policy.value[drawn, each]  # [3,12], distributed as what `act` answers
        for name, log_prob in zip(components(spec), policy.log_prob.unbind(-1), strict=True):  # [25,3]
            entropy = -policy.expectation(log_prob).mean()
            print(f"{name}: log-probabilities {log_prob[drawn, each].tolist()}, entropy {entropy:.3f}")

        window = Window(
            obs={"state": torch.stack([state, state + 1], 1)},  # [3,2,5]: here and next
            action=action[:, None],
            reward=reward[:, None],
            discount=GAMMA * (~done).float()[:, None],
            first=torch.zeros(3, 1, dtype=torch.bool),
            weight=torch.ones(3),
            index=torch.arange(3),
        )
        metrics, error = agent.update(window)
        print(
            f"critic loss {metrics['critic_loss']:.3f}, actor loss {metrics['actor_loss']:.3f}, errors {error.tolist()}"
        )


if __name__ == "__main__":
    main()
