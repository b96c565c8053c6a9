"""A policy as one file that needs torch alone: exported, loaded again without softrl, and compared with the original.

python examples/deploy.py [RUN] [FILE.pt2]
"""

import sys
from pathlib import Path

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

import softrl
from softrl.api import Policy


class Deployed(nn.Module):
    """Observations [N,D] -> actions [N,A] in the environment's units, for a Box of actions and policies of states."""

    low: Tensor
    high: Tensor

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.agent = policy.agent
        box = policy.flat.space
        assert isinstance(box, Box)
        self.register_buffer("low", torch.from_numpy(box.low))
        self.register_buffer("high", torch.from_numpy(box.high))

    def forward(self, state: Tensor) -> Tensor:
        unit, _ = self.agent.act({"state": state}, {}, deterministic=True)  # [N,A] in [-1, 1]
        return self.low + (self.high - self.low) * (unit + 1) / 2


def main(run: str = "", file: str = "policy.pt2") -> None:
    path = Path(run) if run else softrl.train("Pendulum-v1", steps=5_000, **{"train.warmup": 500}).path
    policy = softrl.load(path)
    [width] = policy.agent.spec.obs["state"]
    many = torch.export.Dim("N")
    example = torch.zeros(2, width)
    program = torch.export.export(Deployed(policy), (example,), dynamic_shapes={"state": {0: many}})
    torch.export.save(program, file)

    loaded = torch.export.load(file).module()  # on another machine: torch, and nothing else
    states = np.random.default_rng(0).normal(size=(5, width)).astype(np.float32)
    np.testing.assert_allclose(loaded(torch.from_numpy(states)).detach(), policy.predict(states)[0], atol=1e-5)
    print(f"{file}: {Path(file).stat().st_size / 1e6:.1f} MB, the same actions as {path}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
