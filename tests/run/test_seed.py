"""Seeds: functions of their arguments alone; generators: exactly where they were."""

import itertools
import random

import numpy as np
import pytest
import torch

from softrl.run.seed import PURPOSES, Generators, derive, evaluation_seed, isolated_generators


def test_seeds_are_what_they_always_were():
    """Golden: a change would change every run of every user."""
    first = [1650919450, 286815940, 292121270, 1429145591, 2034211244, 600983078]
    assert [derive(0, purpose) for purpose in PURPOSES] == first


def test_seeds_differ_between_purposes_seeds_and_indices():
    seeds = [
        derive(seed, purpose, *rest) for seed in range(20) for purpose in PURPOSES for rest in ((), (0,), (1,), (0, 1))
    ]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_evaluation_seeds_depend_on_steps_and_episode():
    points = itertools.product(range(3), (0, 5_000, 10_000), range(10))
    seeds = {evaluation_seed(*point) for point in points}
    assert len(seeds) == 90
    assert evaluation_seed(1, 5_000, 3) == 1_556_887_102  # for ever: curves of one seed are of the same episodes


def draw():
    return random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), torch.rand(3).tolist()


def test_generators_go_on_exactly_where_they_were():
    generators = Generators()
    generators.seed(3)
    draw()
    random.gauss(0, 1)  # leaves a second Gaussian waiting
    np.random.randn()
    state = generators.state_dict()
    expected = [draw() for _ in range(3)]
    generators.seed(4)
    draw()
    generators.load_state_dict(state)
    assert [draw() for _ in range(3)] == expected


def test_reading_the_state_draws_nothing():
    generators = Generators()
    generators.seed(3)
    expected = draw()
    generators.seed(3)
    generators.state_dict()
    assert draw() == expected


def test_one_seed_starts_all_of_them():
    generators = Generators()
    generators.seed(3)
    first = draw()
    generators.seed(3)
    assert draw() == first
    generators.seed(4)
    second = draw()
    assert all(a != b for a, b in zip(first, second, strict=True))


def test_isolated_draws_have_a_seed_of_their_own_and_change_none_outside() -> None:
    """Also where what was done inside failed."""

    def fail() -> None:
        draw()
        raise ZeroDivisionError

    Generators().seed(4)
    other = draw()
    Generators().seed(3)
    first, second = draw(), draw()
    Generators().seed(3)
    assert draw() == first
    with isolated_generators(4, torch.zeros(1)):
        assert draw() == other
    with pytest.raises(ZeroDivisionError), isolated_generators(4, torch.zeros(1)):
        fail()
    assert draw() == second


def test_a_gpu_that_nothing_was_done_on_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for the state of its generator would take memory of it."""

    def asked(*_: object) -> None:
        raise AssertionError("a GPU was set up")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state", asked)
    assert Generators().state_dict()["cuda"] == {}


@pytest.mark.gpu
def test_cuda_generators():
    generators = Generators()
    generators.seed(3)
    torch.rand(2, device="cuda")
    state = generators.state_dict()
    expected = torch.rand(4, device="cuda")
    torch.rand(4, device="cuda")
    generators.load_state_dict(state)
    assert torch.equal(torch.rand(4, device="cuda"), expected)
