"""A policy as one file that needs torch alone: exported, loaded again without softrl, and compared with the original.

python examples/deploy.py [RUN] [FILE.pt2]    (any run of states without memory or plans, its actions one array)
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import softrl
from softrl.api import Policy


class Deployed(nn.Module):
    """Flat observations [N,D] -> actions [N,..] of a Box, a Discrete or an array of choices; whole numbers as int64."""

    bounds: Tensor

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.agent, flat = policy.agent, policy.flat
        if "state" not in self.agent.spec.obs or self.agent.spec.chunk > 1 or self.agent.encoder.initial(1):
            raise softrl.UserError("this exports policies of states that remember nothing: no pixels, chunks or worlds")
        if flat.space.shape is None:
            raise softrl.UserError("this exports actions that are one array: of a Dict or Tuple, export agent.act")
        self.spans = flat.spans  # of the one-hots of choices
        ends = np.stack([flat.decode(np.full(flat.shape, end, np.float32)) for end in (-1.0, 1.0)])
        self.whole = ends.dtype.kind != "f"
        self.register_buffer("bounds", torch.as_tensor(ends.astype(np.float64) if self.whole else ends))

    def forward(self, state: Tensor) -> Tensor:
        carry = self.agent.initial(state.shape[0])  # len() would be a fixed number in what is exported
        unit, _ = self.agent.act({"state": state}, carry, deterministic=True)  # [N,A]
        low, high = self.bounds
        if self.spans:
            picks = torch.stack([unit[:, span].argmax(-1) for span in self.spans], -1)
            return low.long() + picks.view(-1, *low.shape)
        value = low + (high - low) * (unit.view(-1, *low.shape) + 1) / 2
        return value.round().long() if self.whole else value


def main(run: str = "", file: str = "policy.pt2") -> None:
    policy = softrl.load(run or softrl.train("Pendulum-v1", steps=5_000, **{"train.warmup": 500}).path)
    deployed, many = Deployed(policy), torch.export.Dim("N")
    [width] = policy.agent.spec.obs["state"]
    program = torch.export.export(deployed, (torch.zeros(2, width),), dynamic_shapes={"state": {0: many}})
    torch.export.save(program, file)

    loaded = torch.export.load(file).module()  # on another machine: torch, and nothing else
    states = np.random.default_rng(0).normal(size=(5, width)).astype(np.float32)
    answers, wanted = loaded(torch.from_numpy(states)).detach(), policy.predict(states)[0]
    np.testing.assert_allclose(answers, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())
    print(f"{file}: {Path(file).stat().st_size / 1e6:.1f} MB, the same actions as the run's policy")


if __name__ == "__main__":
    main(*sys.argv[1:3])
