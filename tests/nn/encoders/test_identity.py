"""The neutral encoder passes on what it gets."""

import torch

from softrl.agent.config import AgentConfig
from softrl.nn.encoders.identity import Identity
from softrl.types import Spec, Window

SPEC = Spec({"state": (3,)}, 2)


def test_a_window_becomes_a_batch() -> None:
    state = torch.randn(5, 2, 3)
    window = Window(
        {"state": state},
        torch.randn(5, 1, 2),
        torch.randn(5, 1),
        torch.rand(5, 1),
        torch.zeros(5, 1, dtype=torch.bool),
        torch.rand(5),
        torch.arange(5),
    )
    batch, losses = Identity().build(SPEC)(window, AgentConfig().build(SPEC).actor)
    assert losses == {}
    assert torch.equal(batch.z, state[:, 0])
    assert torch.equal(batch.next_z, state[:, 1])
    assert torch.equal(batch.target_z, state[:, 1])
    assert torch.equal(batch.action, window.action[:, 0])
    assert torch.equal(batch.reward, window.reward[:, 0])
    assert torch.equal(batch.discount, window.discount[:, 0])
    assert torch.equal(batch.weight, window.weight)


def test_it_remembers_nothing_and_has_nothing_to_learn() -> None:
    encoder = Identity().build(SPEC)
    obs = {"state": torch.randn(4, 3)}
    z, carry = encoder.act(obs, encoder.initial(4))
    assert torch.equal(z, obs["state"])
    assert carry == {}
    assert list(encoder.parameters()) == []
    assert encoder.width == 3
