"""Starts known on the host, of a ring that lies there and of one that cannot be asked anything."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st

from softrl.data import replay as replays, starts
from softrl.data.priority import LAP, Proportional, Recency, Uniform
from softrl.data.replay import Replay, ReplayConfig
from softrl.data.starts import StartMask
from softrl.types import Spec, Step

SPECS = {
    "decisions": Spec({"state": (2,)}, 1),
    "pictures": Spec({"pixels": (9, 2, 3)}, 1, stack=3),
    "sequences": Spec({"state": (2,)}, 1, sequence=3),
    "chunks": Spec({"state": (2,)}, 1, chunk=3, prefixes=True),
}


class Anywhere(torch.Generator):
    """A generator that draws on the host, whatever device is asked for."""

    def __new__(cls, device: Any = None) -> "Anywhere":
        return super().__new__(cls)


@pytest.fixture(autouse=True)
def generators_without_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors on torch's device `meta` have shapes and no numbers, and no generator draws there."""
    monkeypatch.setattr(replays.torch, "Generator", Anywhere)


def row(spec: Spec, last: list[bool], time: int) -> Step:
    envs = len(last)
    obs = {name: torch.full((envs, *shape), time, dtype=torch.uint8).float() for name, shape in spec.obs.items()}
    action, over = torch.zeros(envs, 1), torch.tensor(last)
    return Step(obs, action, torch.zeros(envs), torch.zeros(envs, dtype=torch.bool), over)


def pair(spec: Spec, capacity: int, envs: int, **config: Any) -> tuple[Replay, Replay]:
    """Replay on the host and replay on a device of which nothing can be asked."""
    one, other = (
        Replay(ReplayConfig(capacity * envs, **config), spec, envs, 0.9, seed=0, device=device)
        for device in ("cpu", "meta")
    )
    return one, other


@pytest.mark.parametrize("kind", SPECS)
def test_a_ring_elsewhere_knows_what_a_ring_here_knows(kind: str) -> None:
    compare(kind, [[time % 5 == 4, time % 7 == 3] for time in range(23)], 9, Uniform(), every=9)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SPECS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_whatever_the_episodes_a_ring_elsewhere_knows_what_a_ring_here_knows(kind: str, data: st.DataObject) -> None:
    envs = data.draw(st.integers(1, 2))
    lasts = [[False] * envs]
    for _ in range(data.draw(st.integers(1, 25))):
        lasts.append([not was and data.draw(st.booleans()) for was in lasts[-1]])
    samplers = [Uniform()] if kind == "sequences" else [Uniform(), Recency(least=2, cycle=3)]
    compare(kind, lasts, data.draw(st.integers(6, 10)), data.draw(st.sampled_from(samplers)))


def compare(kind: str, lasts: list[list[bool]], capacity: int, sampler: Any, every: int = 1) -> None:
    """To add rows and to sample asks nothing of the device, for `meta` would raise, and draws the same."""
    here, there = pair(SPECS[kind], capacity, len(lasts[0]), sampler=sampler)
    assert there.start_mask.on_device > here.start_mask.on_device
    assert {there.ring.device.type, there.invalid.device.type} == {"meta"}
    for time, last in enumerate(lasts):
        for replay in (here, there):
            replay.add(row(here.spec, last, time))
        assert torch.equal(here.start_mask.invalid, there.start_mask.invalid)
        if time % every == 0 and not here.start_mask.invalid.all():
            near, far = here.sample(4, times=2), there.sample(4, times=2)
            there.peek(4)
            assert far.reward.device.type == "meta"
            assert far.reward.shape == near.reward.shape == (8, near.reward.shape[1])
            # Chunks draw how they are cut as well, on the host from the generator of starts.
            assert kind == "chunks" or torch.equal(here.draws.get_state(), there.draws.get_state())


@pytest.mark.parametrize("config", [Proportional(), LAP()], ids=lambda config: type(config).__name__)
def test_priorities_are_beside_the_rows_and_ask_nothing_either(config: Any) -> None:
    _, there = pair(SPECS["decisions"], 8, 2, sampler=config)
    for time in range(20):
        there.add(row(there.spec, [time % 5 == 4] * 2, time))
        if len(there):
            window = there.sample(4)
            there.update_priorities(window.index, torch.ones(4, device="meta"))
            assert window.weight.device.type == "meta"


def test_rows_of_the_host_are_delivered() -> None:
    """And the errors of prioritised rows come back to them."""
    _, there = pair(SPECS["pictures"], 8, 2, host=True)
    _, prioritised = pair(SPECS["decisions"], 8, 2, host=True, sampler=LAP())
    for replay in (there, prioritised):
        for time in range(12):
            replay.add(row(replay.spec, [time % 5 == 4] * 2, time))
        assert replay.ring.device.type == "cpu"
        window = replay.sample(4)
        assert {value.device.type for value in window.obs.values()} == {"meta"}
        assert window.weight.device.type == "meta"
        assert window.index.device.type == "cpu"
    assert there.frames["pixels"].ring.device.type == "cpu"
    assert window.obs["state"].shape == (4, 2, 2)


def test_a_ring_elsewhere_is_restored() -> None:
    here, there = pair(SPECS["pictures"], 7, 2)
    for time in range(17):
        here.add(row(here.spec, [time % 4 == 3, time % 5 == 4], time))
    blocks = [(here.oldest, here.rows(here.oldest, 13)), (13, here.rows(13, 17))]
    there.restore(here.newest, blocks)
    assert torch.equal(here.start_mask.invalid, there.start_mask.invalid)
    for name, known in there.start_mask.columns.items():
        rows = torch.arange(here.oldest, here.newest) % here.length
        assert torch.equal(torch.from_numpy(known[rows.numpy()]), here.columns[name][rows])
    for time in range(17, 21):
        for replay in (here, there):
            replay.add(row(here.spec, [time % 4 == 3, time % 5 == 4], time))
        assert torch.equal(here.start_mask.invalid, there.start_mask.invalid)


def test_the_mask_by_hand() -> None:
    names = ("reward", "terminated", "first", "last", "age")
    mask = StartMask(torch.full((4, 1, 5), torch.nan), names, context=2)
    for here, last in enumerate([False, True, False, False]):
        mask.write(here, row(SPECS["decisions"], [last], here)._replace(reward=torch.tensor([here + 0.5])), here == 0)
    assert {name: known[:, 0].tolist() for name, known in mask.columns.items()} == {
        "reward": [0.5, 1.5, 2.5, 3.5],
        "terminated": [0, 0, 0, 0],
        "first": [1, 0, 1, 0],
        "last": [0, 1, 0, 0],
        "age": [0, 1, 0, 1],
    }
    assert mask.invalid.all()
    mask.invalid.fill_(False)
    mask.invalidate_broken_stacks(oldest=1)  # row 1 misses the row before it; row 2 opens an episode
    assert mask.invalid[:, 0].tolist() == [False, True, False, False]


def test_rows_that_are_restored_from_a_device_are_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """As benchmarks do, which repeat what replay holds; checkpoints hold columns on the host."""
    mask = StartMask(torch.zeros(4, 1, 2), ("last", "age"), 1)
    there = {name: torch.zeros(3, 1, 1, device="meta") for name in ("last", "age")}
    monkeypatch.setattr(starts, "sent", lambda values, device: torch.zeros(values.shape))
    mask.restore(torch.arange(3), there, lambda last: last.astype(bool))
    assert mask.invalid[:, 0].tolist() == [False, False, False, True]
