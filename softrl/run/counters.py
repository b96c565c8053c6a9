"""How far a run has come: the numbers of its checkpoints that are neither learned nor drawn."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class Counters:
    """How far a run has come."""

    env_steps: int = 0  # frames
    decisions: int = 0
    updates: int = 0
    episodes: int = 0
    seconds: float = 0.0  # of training and evaluation, over all processes that worked on the run
    best: float | None = None  # highest mean return of an evaluation
    last: float | None = None  # that of the newest one
    evaluated: int = -1  # env step of the newest evaluation
    filmed: int = -1  # env step of the newest video
    written: int = -1  # env step of the newest metrics of training
    warned: bool = False  # of targets outside the critic's support
    cut: bool = False  # an evaluation has said that it cut an episode
    initialised: bool = False  # with the weights of another run

    def speed(self, seconds: float) -> dict[str, float]:
        """Tags of how fast it came so far in so many seconds."""
        return {
            "time/fps": self.env_steps / max(seconds, 1e-9),
            "time/updates_per_second": self.updates / max(seconds, 1e-9),
            "train/n_updates": float(self.updates),
        }

    def state_dict(self) -> dict[str, Any]:
        """The numbers."""
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from the numbers."""
        vars(self).update(state)
