"""How many threads a run gets."""

import os

import pytest
import torch

from softrl.run import threads


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    threads.fastest_thread_count.cache_clear()
    yield
    threads.fastest_thread_count.cache_clear()


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({1: 1.0}, 1),
        ({1: 1.0, 2: 0.6}, 2),
        ({1: 1.0, 2: 0.95}, 1),  # within the noise: fewer
        ({1: 1.0, 2: 7.0}, 1),  # a busy machine, where threads wait for each other
        ({1: 1.0, 2: 0.6, 4: 0.58}, 2),
        ({1: 1.0, 2: 0.95, 4: 0.5}, 4),
        ({1: 1.0, 2: 3.0, 4: 0.7}, 4),
    ],
)
def test_more_threads_must_pay(seconds: dict[int, float], chosen: int) -> None:
    assert threads.fewest(seconds) == chosen


@pytest.mark.parametrize(("slowed", "chosen"), [((), 2), ((2,), 1)])
def test_it_is_the_machine_that_decides(monkeypatch: pytest.MonkeyPatch, slowed: tuple[int, ...], chosen: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    now = {"threads": 1}
    monkeypatch.setattr(torch, "set_num_threads", lambda n: now.update(threads=n))
    monkeypatch.setattr(threads, "timed", lambda call: 3.0 if now["threads"] in slowed else 1.0 / now["threads"])
    assert threads.fastest_thread_count(256) == chosen


def test_the_number_of_threads_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    assert threads.fastest_thread_count(32) in (1, 2)
    assert torch.get_num_threads() == 1


def test_one_processor_needs_no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
    monkeypatch.setattr(threads, "timed", lambda call: pytest.fail("measured"))
    assert threads.fastest_thread_count(256) == 1


@pytest.mark.parametrize(
    ("asked", "expected"), [("1", 1), ("3,2", 3), (" 2 ", 2), ("64", 4), ("0", 4), ("many", 4), ("", 4)]
)
def test_no_more_threads_than_openmp_is_granted(monkeypatch: pytest.MonkeyPatch, asked: str, expected: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3})
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert threads.granted() == expected


def test_what_openmp_is_granted_holds_for_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3})
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(threads, "timed", lambda call: pytest.fail("measured"))
    assert threads.fastest_thread_count(256) == 1


def test_where_the_system_cannot_tell_all_processors_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")  # macOS has none
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert threads.processors() == 7
