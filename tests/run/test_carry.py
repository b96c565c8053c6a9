"""What a world model remembers while it acts in several environments is what it infers from their rows in replay."""

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from torch import Tensor

from softrl.agent.agent import Agent
from softrl.agent.config import AgentConfig
from softrl.agent.noise import AdditiveNoise
from softrl.data import envs
from softrl.data.collect import Collector
from softrl.data.envs import EnvConfig
from softrl.data.replay import Replay, ReplayConfig
from softrl.nn.actors.gaussian import Gaussian
from softrl.nn.critics import ActionIn
from softrl.nn.encoders.world import World
from softrl.nn.latents import Normal
from softrl.nn.rssm import RSSM
from softrl.nn.sights import Vectors
from softrl.nn.trunks.mlp import MLP

TINY = MLP((8,), activation="elu")
N, T = 3, 24


@dataclass(frozen=True)
class Certain(Normal):
    """Latents without noise."""

    def noise(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        return torch.zeros(*shape, self.size)


class Wander(gymnasium.Env[Any, Any]):
    """A place that actions move; episodes of 2 to 7 steps, every second one terminated."""

    observation_space, action_space = Box(-np.inf, np.inf, (2,), np.float32), Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.place, self.left = self.np_random.standard_normal(2).astype(np.float32), int(self.np_random.integers(2, 8))
        return self.place.copy(), {}

    def step(self, action: Any) -> Any:
        self.place = self.place + np.float32(action[0])
        self.left -= 1
        over, terminates = self.left == 0, bool(self.place[0] > 0)
        return self.place.copy(), float(self.place[0]), over and terminates, over and not terminates, {}


def parts() -> tuple[Agent, Collector]:
    env = envs.vector(Wander, EnvConfig(workers="sync"), N, seed=5)
    torch.manual_seed(0)
    world = World(Vectors(TINY, TINY), RSSM(7, 8, Certain(4)), TINY, TINY, sequence=T)
    config = AgentConfig(encoder=world, actor=Gaussian(TINY), critic=ActionIn(TINY), explorer=AdditiveNoise())
    agent = config.build(envs.spec(env)._replace(gamma=0.9))
    return agent, Collector(env, agent, agent.spec, seed=0)


@pytest.mark.parametrize("resumed", [None, 7, 16])
@pytest.mark.parametrize("warmup", [0, 11])
def test_acting_in_several_environments_filters_as_learning_does(resumed: int | None, warmup: int) -> None:
    """Also through random actions before, and where another process goes on from the state that this one saved."""
    agent, collector = parts()
    replay = Replay(ReplayConfig(N * 50), agent.spec, N, 0.9, seed=0)
    acted = []
    for t in range(T):
        if t == resumed:
            state = collector.state_dict()
            agent, collector = parts()
            collector.load_state_dict(state)
        collector.begin(random=t < warmup)
        acted.append(collector.carry["encoder.features"].clone())
        replay.add(collector.finish().row)
    window = replay.window(torch.arange(N), torch.ones(N))
    assert window.last is not None
    assert (window.last.sum(1) > 1).all()
    assert not torch.equal(window.last[0], window.last[1])
    torch.testing.assert_close(torch.stack(acted), agent.encoder.trace(window).filtered.features[:, 0])
