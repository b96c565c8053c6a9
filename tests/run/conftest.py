"""A replay ring and a part, as small as the storage needs them."""

import pytest
import torch


class Ring:
    """Rows [time] of two arrays in a ring; row t holds functions of t, so every row can be checked."""

    def __init__(self, capacity):
        self.capacity = capacity
        self.newest = 0
        self.reward = torch.full((capacity,), -1.0)
        self.obs = torch.full((capacity, 2, 3), 255, dtype=torch.uint8)

    @property
    def oldest(self):
        return max(0, self.newest - self.capacity)

    def add(self, count, salt=0):
        for _ in range(count):
            self.reward[self.newest % self.capacity] = self.newest * 0.5 + salt
            self.obs[self.newest % self.capacity] = self.newest % 251
            self.newest += 1

    def rows(self, start, stop):
        assert self.oldest <= start < stop <= self.newest
        where = torch.arange(start, stop) % self.capacity
        return {"reward": self.reward[where], "obs/state": self.obs[where]}

    def restore(self, newest, blocks):
        self.reward.fill_(-1)
        self.newest = newest
        expected = None
        for first, arrays in blocks:
            assert expected in (None, first), "blocks are in order, without gaps"
            expected = first + len(arrays["reward"])
            where = torch.arange(first, expected) % self.capacity
            self.reward[where], self.obs[where] = arrays["reward"], arrays["obs/state"]
        assert (expected or 0) == newest

    def content(self):
        """Rows in the order of time."""
        return self.rows(self.oldest, self.newest) if self.newest else {}


class Values:
    """A part whose state is whatever was put into it."""

    def __init__(self, state):
        self.state = state

    def state_dict(self):
        return self.state

    def load_state_dict(self, state):
        self.state = state


@pytest.fixture(scope="session")
def ring():
    return Ring


@pytest.fixture(scope="session")
def values():
    return Values
