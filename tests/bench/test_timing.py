"""Clocks under a clock of our own."""

import pytest

from softrl.bench import timing
from softrl.bench.timing import Stopwatch, paired, table


class Clock:
    """Time that passes only when something takes it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(timing.time, "perf_counter", lambda: self.now)

    def take(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_pairs_take_turns_and_the_median_is_of_their_ratios(clock: Clock) -> None:
    order: list[str] = []
    busy = iter([1, 1, 1, 1, 1, 1, 1, 1, 4, 4, 1, 1])  # the machine slows down for one whole pair

    def call(name: str, seconds: float) -> None:
        order.append(name)
        clock.take(seconds * next(busy))

    ratio = paired(lambda: call("update", 3.0), lambda: call("floor", 2.0), pairs=3, seconds=0.0)
    assert order[-6:] == ["update", "floor"] * 3  # after the calls that find how many make a block
    assert ratio == (3.0, 1.5, 1.5, 1.5)


def test_a_block_lasts_about_as_long_as_asked(clock: Clock) -> None:
    assert timing.block(lambda: clock.take(0.25), 2.0) == 8
    assert timing.block(lambda: clock.take(5.0), 2.0) == 1


def test_a_stopwatch_counts_seconds_and_calls_and_hands_on_the_answer(clock: Clock) -> None:
    class Part:
        def work(self, seconds: float) -> str:
            clock.take(seconds)
            return "done"

    part, watch = Part(), Stopwatch()
    watch.watch("work", part, "work")
    assert part.work(1.5) == part.work(seconds=0.5) == "done"
    assert watch.seconds["work"] == 2.0
    watch.clear()
    assert not watch.seconds


def test_what_a_part_leaves_to_a_device_can_count_as_its_own(clock: Clock) -> None:
    class Part:
        queued = 0.0

        def work(self) -> None:
            clock.take(1.0)
            self.queued += 3.0

        def wait(self) -> None:
            clock.take(self.queued)
            self.queued = 0.0

    part, watch = Part(), Stopwatch()
    watch.watch("work", part, "work")
    part.work()
    assert watch.seconds["work"] == 1.0
    watch.wait = part.wait
    part.work()  # what was queued before is waited for outside
    assert watch.seconds["work"] == 1.0 + 4.0


def test_a_block_lasts_until_a_device_has_done_its_work(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing.torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(timing.torch.cuda, "synchronize", lambda: clock.take(1.0))
    assert timing.timed(lambda: clock.take(0.25), 4) == 0.5  # four calls of a quarter, and a second at the end


def test_tables_are_aligned() -> None:
    assert table([("", "ms"), ("update", "4.1"), ("act", "10.25")]) == [
        "           ms",
        "update    4.1",
        "act     10.25",
    ]
