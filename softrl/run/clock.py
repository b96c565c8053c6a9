"""When things happen: periods, update ratios and the evaluation schedule, exact over any stride and across a resume."""

from fractions import Fraction
from typing import Any


class Every:
    """True once for each call at which a count has reached the next multiple of `period`; zero does not count.

    A stride over several multiples is one event, and the next stays on the multiples.
    """

    def __init__(self, period: int) -> None:
        self._period = period
        self._next = period

    def __call__(self, count: int) -> bool:
        """Whether the event is due at this count."""
        due = count >= self._next
        if due:
            self.restart(count)
        return due

    def state_dict(self) -> dict[str, Any]:
        """The next multiple."""
        return {"next": self._next}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where the state was taken."""
        self._next = state["next"]

    def restart(self, count: int) -> None:
        """Let the multiple after this count be the next: a loaded state has one of another period."""
        self._next = (count // self._period + 1) * self._period


class UpdateRatio:
    """How many updates are owed: floor(rate * decisions taken since it started) minus those given out before.

    The rate is the nearest fraction with a denominator up to a million, so 0.1 or 1/3 never drift.
    """

    def __init__(self, rate: float) -> None:
        self._rate = Fraction(rate).limit_denominator(1_000_000)
        self._origin = 0
        self._given = 0

    def __call__(self, decisions: int, ready: bool = True) -> int:
        """Updates owed after `decisions` in total; decisions taken while not `ready` never owe any."""
        if not ready:
            self._origin, self._given = decisions, 0
        owed = self._rate.numerator * (decisions - self._origin) // self._rate.denominator - self._given
        self._given += owed
        return owed

    def state_dict(self) -> dict[str, Any]:
        """Where counting started and what was given out."""
        return {"origin": self._origin, "given": self._given}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where the state was taken."""
        self._origin, self._given = state["origin"], state["given"]


class AtEnd:
    """True once when a count has reached the end, and again when a resumed run has moved the end."""

    def __init__(self, end: int) -> None:
        self._end = end
        self._last = 0  # end at which it fired last

    def __call__(self, count: int) -> bool:
        """Whether the event is due at this count."""
        due = count >= self._end > self._last
        if due:
            self._last = self._end
        return due

    def state_dict(self) -> dict[str, Any]:
        """The end at which it fired last."""
        return {"last": self._last}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where the state was taken; the end may have moved."""
        self._last = state["last"]

    def restart(self, count: int) -> None:
        """There is no mark but the end."""


class EvaluationClock:
    """True at step 0, on schedule, and at the end: every `every` environment steps, or 5k below 100k and 10k after.

    A step beyond its mark (action repeat, several environments) fires once and leaves the schedule where it was.
    """

    def __init__(self, every: int | None, end: int) -> None:
        self._every = every
        self._end = end
        self._next = 0
        self._last = -1  # step at which it fired last

    def __call__(self, step: int) -> bool:
        """Whether an evaluation is due at this environment step."""
        due = step >= self._next or (step >= self._end and step != self._last)
        if due:
            self._next = self._after(step)
            self._last = step
        return due

    def _after(self, step: int) -> int:
        period = self._every or (5_000 if step < 100_000 else 10_000)
        return (step // period + 1) * period

    def state_dict(self) -> dict[str, Any]:
        """The next mark and the last step it fired at."""
        return {"next": self._next, "last": self._last}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where the state was taken; the end may have moved, and that of `AtEnd` has no mark."""
        self._next, self._last = state.get("next", 0), state["last"]

    def restart(self, step: int) -> None:
        """Let the mark after this step be the next: a loaded state has one of another schedule."""
        self._next = self._after(step)
