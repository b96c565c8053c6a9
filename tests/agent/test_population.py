"""Ages and utilities of units against the published algorithm as a loop, and by hand."""

import pytest
import torch

from softrl.agent.plasticity import ContinualBackprop
from softrl.agent.population import Population


class Loop:
    """One layer of one network, as Dohare et al. (2024, algorithm 1) write it down."""

    def __init__(self, c: ContinualBackprop, units: int) -> None:
        self.c, self.owed = c, 0.0
        self.utility, self.age = [0.0] * units, [0] * units

    def give_up(self, active: list[float], weight: list[list[float]]) -> list[bool]:
        c, units = self.c, range(len(active))
        for i in units:
            self.age[i] += c.every
            size = sum(abs(w) for w in weight[i]) / len(weight[i])
            self.utility[i] = c.decay * self.utility[i] + (1 - c.decay) * active[i] * size
        mature = [i for i in units if self.age[i] > c.maturity]
        self.owed += len(mature) * c.rate * c.every
        chosen = [False] * len(active)
        while self.owed >= 1:
            self.owed -= 1
            left = [i for i in mature if not chosen[i]]
            chosen[min(left, key=lambda i: self.utility[i] / (1 - c.decay ** (self.age[i] / c.every)))] = True
        for i in units:
            if chosen[i]:
                self.utility[i], self.age[i] = 0.0, 0
        return chosen


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize(
    "config",
    [
        ContinualBackprop(rate=0.0625, maturity=3, decay=0.5),
        ContinualBackprop(every=4, rate=0.0625, maturity=10, decay=0.75),
        ContinualBackprop(rate=0.25, maturity=0, decay=0.0),
    ],
)
def test_equals_the_published_loop(config: ContinualBackprop, members: int) -> None:
    population, loops = Population(config, members, 6), [Loop(config, 6) for _ in range(members)]
    given_up = 0
    for _ in range(60):
        active, weight = torch.rand(members, 6), torch.randn(members, 6, 4)
        chosen = population.give_up(active, weight)
        expected = [loop.give_up(a.tolist(), w.tolist()) for loop, a, w in zip(loops, active, weight, strict=True)]
        assert chosen.tolist() == expected
        assert population.age.tolist() == [loop.age for loop in loops]
        torch.testing.assert_close(population.utility, torch.tensor([loop.utility for loop in loops]))
        given_up += int(chosen.sum())
    assert given_up >= 10 * members


def test_by_hand() -> None:
    population = Population(ContinualBackprop(rate=0.25, maturity=1, decay=0.5), 1, 4)
    weight = torch.tensor([[[1.0, -1.0], [2.0, 0.0], [-4.0, 0.0], [0.5, 0.5]]])  # mean sizes 1, 1, 2, 0.5

    def look(*active: float) -> list[bool]:
        return population.give_up(torch.tensor([active]), weight).tolist()[0]

    assert look(1.0, 2.0, 0.25, 2.0) == [False] * 4  # all of age 1, which is not more than the maturity
    torch.testing.assert_close(population.utility, torch.tensor([[0.5, 1.0, 0.25, 0.5]]))
    assert look(1.0, 2.0, 0.1, 2.0) == [False, False, True, False]  # 0.75, 1.5, 0.225, 0.75; four mature units owe one
    torch.testing.assert_close(population.utility, torch.tensor([[0.75, 1.5, 0.0, 0.75]]))
    assert population.age.tolist() == [[2, 2, 0, 2]]
    assert look(1.0, 2.0, 0.2, 2.0) == [False] * 4  # three mature units owe 0.75
    # 0.8875, 1.875, 0.7, 0.8375 are, corrected for ages 4, 4, 2, 4: 0.947, 2, 0.933, 0.893.
    assert look(0.9, 2.0, 0.6, 1.6) == [False, False, False, True]
    assert population.owed.tolist() == [0.75]


@pytest.mark.parametrize(("every", "maturity"), [(1, 0), (1, 5), (3, 5), (3, 6), (3, 0)])
def test_the_first_unit_is_given_up_at_the_first_look_at_which_it_is_mature(every: int, maturity: int) -> None:
    config = ContinualBackprop(every=every, rate=0.25, maturity=maturity)  # four mature units owe one at once
    population = Population(config, 1, 4)
    for _ in range(config.first // every - 1):
        assert not population.give_up(torch.rand(1, 4), torch.rand(1, 4, 2)).any()
    assert population.give_up(torch.rand(1, 4), torch.rand(1, 4, 2)).any()


def test_what_it_remembers_is_state() -> None:
    assert set(Population(ContinualBackprop(), 2, 3).state_dict()) == {"utility", "age", "owed"}
