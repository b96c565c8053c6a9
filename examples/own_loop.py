"""Soft actor-critic in a loop of your own: `agent.act`, `observe` and `update`, a replay, and nothing else of softrl.

python examples/own_loop.py [STEPS]    (300 at least: the first 256 rows are the first batch)
"""

import sys

import torch

import softrl
from softrl.data.replay import Replay, ReplayConfig
from softrl.types import Step


def main(steps: int = 5_000) -> None:
    env = softrl.make("Pendulum-v1", seed=0)
    spec = softrl.spec(env)
    agent = softrl.recipe("sac").agent.build(spec)  # an nn.Module
    replay = Replay(ReplayConfig(capacity=100_000), spec, envs=1, gamma=0.99, seed=0)

    obs, _ = env.reset()
    carry = agent.initial(1)  # what the agent remembers within an episode: nothing, with recipe sac
    total, over = 0.0, False
    for step in range(steps):
        here = {"state": torch.from_numpy(obs[None])}  # [1,D]
        if over:
            # the final observation is a row too: the transition into it needs it, and none starts from it
            nothing = torch.zeros(1, spec.action)
            row = Step(here, nothing, torch.zeros(1), torch.tensor([False]), last=torch.tensor([True]))
            replay.add(row)
            agent.observe(row, carry)  # normalisers see every observation once
            print(f"step {step}: return {total:.0f}")
            obs, _ = env.reset()
            carry, total, over = agent.initial(1), 0.0, False
            continue
        action, carry = agent.act(here, carry)
        obs, reward, terminated, truncated, _ = env.step(action[0].numpy())
        row = Step(here, action, torch.tensor([float(reward)]), torch.tensor([terminated]), last=torch.tensor([False]))
        replay.add(row)
        carry = agent.observe(row, carry)
        total, over = total + float(reward), terminated or truncated
        if step > 256:
            metrics, error = agent.update(replay.sample(256))
    print("critic loss:", float(metrics["critic_loss"]), "- mean error:", float(error.mean()))


if __name__ == "__main__":
    main(*(int(steps) for steps in sys.argv[1:2]))
