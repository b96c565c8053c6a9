"""What a run shows of what a world model foresees: films and its error, at evaluations, without a trace in the run."""

import json
from pathlib import Path
from typing import Any

import av
import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box

from softrl import api
from softrl.nn.encoders.world import WorldModel
from softrl.run import video

ERROR = "eval/prediction_error"
SMALL = {
    "steps": 80,
    "eval.every": 40,
    "train.warmup": 20,
    "train.batch": 4,
    "train.updates_per_decision": 0.1,
    "env.workers": "sync",
    "agent.encoder.sight.pictures.depth": 2,
}


class Lamp(gymnasium.Env[Any, Any]):
    """A grey picture whose brightness the action moves; 30 steps an episode."""

    observation_space, action_space = Box(0, 1, (1,), np.float32), Box(-1, 1, (1,), np.float32)
    render_mode = "rgb_array"

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.light, self.age = np.float32(self.np_random.random()), 0
        return np.array([self.light]), {}

    def step(self, action: Any) -> Any:
        self.light, self.age = np.float32(np.clip(self.light + 0.1 * action[0], 0, 1)), self.age + 1
        return np.array([self.light]), float(self.light), False, self.age == 30, {}

    def render(self) -> np.ndarray:
        return np.full((24, 24, 3), 255 * self.light, np.uint8)


def train(path: Path, **options: Any) -> Path:
    return api.train(Lamp, "latent_sac+tiny", seed=3, run=path, **{**SMALL, **options}).path


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("filmed") / "run")


def test_a_run_from_pixels_has_a_film_beside_each_picture(filmed: Path) -> None:
    media = filmed / "media"
    names = {f"{step}_open_loop.{ending}" for step in (40, 80) for ending in ("png", "mp4")}
    assert {path.name for path in media.iterdir()} == names
    with av.open(str(media / "80_open_loop.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 10  # tiny's stretches
    assert frames[0].shape == (
        2 * 3 * 24,
        2 * 6 * 24,
        3,
    )  # twice as large, six stretches


def errors(run: Path) -> dict[int, float]:
    """The errors of prediction by the step of their evaluation."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {line["env_steps"]: line[ERROR] for line in lines if ERROR in line}


def test_a_run_learns_the_same_without_films_and_errors(
    filmed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WorldModel, "films", lambda self, window: {})
    monkeypatch.setattr(WorldModel, "measures", lambda self, window: {})
    unseen = train(tmp_path / "unseen")
    assert not list((unseen / "media").glob("*.mp4"))
    assert errors(unseen) == {}
    weights = "checkpoints/step_000000080/agent.safetensors"
    assert (filmed / weights).read_bytes() == (unseen / weights).read_bytes()


def test_a_run_from_states_draws_nothing_and_tells_its_error(filmed: Path, tmp_path: Path) -> None:
    run = train(tmp_path / "run", **{"env.pixels": None})
    assert not (run / "media").exists()
    for found in (errors(run), errors(filmed)):
        assert found.keys() == {40, 80}  # at the first evaluation there is no experience
        assert all(0 < error < 1 for error in found.values())


def test_an_episode_too_long_for_a_film_costs_the_film_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "LARGEST", 20 * 24 * 24 * 3)  # of 31 frames
    short = {"steps": 40, "eval.every": 40, "eval.episodes": 1, "threads": 1, "video.every": 40}
    run = api.train(Lamp, "sac+tiny", seed=3, run=tmp_path / "run", **short)
    assert run.finished
    assert not list((run.path / "videos").glob("*.mp4"))
    assert (run.path / "log.txt").read_text().count("no video: the video of one episode takes more than") == 2
