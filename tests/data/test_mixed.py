"""Batches of two origins: which rows come from where, and what each is told."""

import torch

from softrl.data.mixed import Mixed
from softrl.data.priority import Proportional
from softrl.data.replay import Replay, ReplayConfig
from softrl.types import Spec, Step

SPEC = Spec({"state": (1,)}, continuous=1)


def filled(value: float, config: ReplayConfig = ReplayConfig(capacity=64), seed: int = 0, spec: Spec = SPEC) -> Replay:
    """Replay of forty rows in two environments whose rewards and observations are all `value`."""
    replay = Replay(config, spec, envs=2, gamma=0.9, seed=seed)
    for _ in range(20):
        told = torch.full((2, 1), value)
        replay.add(Step({"state": told}, told, told[:, 0], torch.zeros(2), torch.zeros(2)))
    return replay


def test_a_share_of_each_batch_comes_from_the_data_set():
    window = Mixed(filled(1.0), filled(-1.0), share=0.25).sample(8)
    expected = torch.tensor([1.0] * 6 + [-1.0] * 2)
    torch.testing.assert_close(window.reward[:, 0], expected)
    torch.testing.assert_close(window.obs["state"][:, 1, 0], expected)
    assert window.weight.tolist() == [1.0] * 8


def test_samples_fetched_together_are_those_fetched_one_by_one():
    together = Mixed(filled(1.0), filled(-1.0), share=0.5).sample(4, times=3)
    one_by_one = Mixed(filled(1.0), filled(-1.0), share=0.5)
    single = [one_by_one.sample(4) for _ in range(3)]
    torch.testing.assert_close(together.index, torch.cat([window.index for window in single]))
    torch.testing.assert_close(together.reward, torch.cat([window.reward for window in single]))


def test_each_origin_has_at_least_one_row():
    assert Mixed(filled(1.0), filled(-1.0), share=0.01).counts(10) == (9, 1)
    assert Mixed(filled(1.0), filled(-1.0), share=0.99).counts(10) == (1, 9)


def test_priorities_belong_to_replay_and_never_to_cells_of_the_data_set():
    replay = filled(1.0, ReplayConfig(capacity=64, sampler=Proportional(alpha=1.0, epsilon=1e-9)))
    mixed = Mixed(replay, filled(-1.0), share=0.5)
    window = mixed.sample(4)
    before = replay.sampler.tree.leaves.clone()
    mixed.update_priorities(window.index, torch.tensor([2.0, 3.0, 100.0, 100.0]))
    changed = (replay.sampler.tree.leaves != before).nonzero()[:, 0].tolist()
    assert sorted(changed) == sorted(set(window.index[:2].tolist()))
    assert replay.sampler.tree.leaves.max() < 4


def test_rows_of_the_data_set_weigh_what_the_others_of_their_batch_do_on_average():
    replay = filled(1.0, ReplayConfig(capacity=64, sampler=Proportional(alpha=1.0, beta=1.0)))
    cells = torch.arange(38)
    replay.update_priorities(cells, 1.0 + cells)
    weight = Mixed(replay, filled(-1.0), share=0.25).sample(8, times=2).weight.view(2, 8)
    assert weight[:, :6].mean() < 0.9
    torch.testing.assert_close(weight[:, 6:], weight[:, :6].mean(1, keepdim=True).expand(2, 2))


def test_its_state_leads_to_the_same_samples():
    mixed = Mixed(filled(1.0), filled(-1.0), share=0.5)
    mixed.sample(8)
    state = mixed.state_dict()
    expected = mixed.sample(8).index
    other = Mixed(filled(1.0, seed=5), filled(-1.0, seed=6), share=0.5)
    other.load_state_dict(state)
    assert other.sample(8).index.tolist() == expected.tolist()
