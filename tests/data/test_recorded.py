"""Data sets: arrays of D4RL and of Minari as rows of replay, against rows written by hand."""

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete

from softrl.data.recorded import columns
from softrl.data.spaces import FlatActions
from softrl.errors import UserError

ACTIONS = FlatActions(Box(-2.0, 2.0, (1,), np.float32))
# Two episodes: one of two decisions that ends the task, one of three that is cut.
ARRAYS = {
    "observations": np.array([[0.0], [1.0], [10.0], [11.0], [12.0]]),
    "actions": np.array([[2.0], [-2.0], [0.0], [1.0], [-1.0]]),
    "rewards": np.array([0.5, 1.5, 2.0, 3.0, 4.0]),
    "terminals": np.array([False, True, False, False, False]),
    "timeouts": np.array([False, False, False, False, True]),
}


def written(path, **changed):
    name = path / "data.npz"
    np.savez(name, **{key: value for key, value in (ARRAYS | changed).items() if value is not None})
    return str(name)


def listed(rows):
    return {name: value[:, 0, 0].tolist() for name, value in rows.items()}


def test_episodes_become_rows_with_their_final_observations(tmp_path):
    following = np.array([[1.0], [2.0], [11.0], [12.0], [13.0]])
    rows = columns(written(tmp_path, next_observations=following), ACTIONS, 1)
    assert listed(rows) == {
        "obs.state": [0, 1, 2, 10, 11, 12, 13],
        "action": [1, -1, 0, 0, 0.5, -0.5, 0],
        "reward": [0.5, 1.5, 0, 2, 3, 4, 0],
        "terminated": [0, 1, 0, 0, 0, 0, 0],
        "first": [1, 0, 0, 1, 0, 0, 0],
        "last": [0, 0, 1, 0, 0, 0, 1],
    }


def test_without_next_observations_an_action_of_unknown_outcome_is_left_out(tmp_path):
    rows = columns(written(tmp_path), ACTIONS, 1)
    assert listed(rows) == {
        "obs.state": [0, 1, 1, 10, 11, 12],  # behind the termination any observation will do
        "action": [1, -1, 0, 0, 0.5, 0],
        "reward": [0.5, 1.5, 0, 2, 3, 0],
        "terminated": [0, 1, 0, 0, 0, 0],
        "first": [1, 0, 0, 1, 0, 0],
        "last": [0, 0, 1, 0, 0, 1],
    }


def test_the_end_of_the_file_cuts_the_last_episode(tmp_path):
    cut = listed(columns(written(tmp_path, timeouts=np.zeros(5, bool)), ACTIONS, 1))
    assert cut == listed(columns(written(tmp_path), ACTIONS, 1))


def test_choices_become_one_hots(tmp_path):
    path = written(tmp_path, actions=np.array([0, 2, 1, 0, 0]))
    rows = columns(path, FlatActions(Discrete(3)), 1)
    assert rows["action"][:3, 0].tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]


def test_numbers_in_columns_are_those_in_a_row(tmp_path):
    columned = {key: ARRAYS[key][:, None] for key in ("rewards", "terminals", "timeouts")}
    assert listed(columns(written(tmp_path, **columned), ACTIONS, 1)) == listed(columns(written(tmp_path), ACTIONS, 1))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"timeouts": None}, "has no timeouts"),
        ({"rewards": np.zeros(4)}, "arrays of several lengths"),
        ({"observations": np.zeros((5, 2))}, "observations of 2 numbers, and the environment of 1"),
        ({"next_observations": np.zeros((3, 1))}, "arrays of several lengths"),
        ({"rewards": np.float64(0.0)}, "arrays of several lengths"),
        ({"rewards": np.zeros((5, 2))}, "arrays of several lengths"),
        ({"rewards": np.full(5, np.nan)}, "not finite"),
        ({"rewards": np.full(5, 1e300)}, "not finite"),
        ({"actions": np.zeros((5, 3))}, "none of Box"),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path, changed, sentence):
    with pytest.raises(UserError, match=sentence):
        columns(written(tmp_path, **changed), ACTIONS, 1)


def test_a_file_that_is_none(tmp_path):
    (tmp_path / "torn.npz").write_bytes(b"PK\x03\x04 and no more")
    for name in ("absent.npz", "torn.npz"):
        with pytest.raises(UserError, match="cannot be read"):
            columns(str(tmp_path / name), ACTIONS, 1)
    (tmp_path / "table.csv").write_text("env_steps,return\n")
    with pytest.raises(UserError, match="it is no archive of arrays") as told:
        columns(str(tmp_path / "table.csv"), ACTIONS, 1)
    assert "pickle" not in str(told.value)


def test_episodes_of_minari_are_flattened_as_environments_are(tmp_path, monkeypatch):
    minari = pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    space = Dict({"b": Box(-9.0, 9.0, (2,)), "a": Box(-9.0, 9.0, (1,))})
    seen = {"b": np.arange(6.0).reshape(3, 2), "a": np.array([[7.0], [8.0], [9.0]])}
    buffer = minari.data_collector.EpisodeBuffer(
        id=0,
        observations={name: list(value.astype(np.float32)) for name, value in seen.items()},
        actions=list(np.array([[2.0], [1.0]], np.float32)),
        rewards=[1.0, 2.0],
        terminations=[False, False],
        truncations=[False, True],
    )
    minari.create_dataset_from_buffers(
        dataset_id="softrl/two-v0", buffer=[buffer], observation_space=space, action_space=ACTIONS.space
    )
    rows = columns("minari:softrl/two-v0", ACTIONS, 3)
    flat = [gymnasium.spaces.utils.flatten(space, {k: v[t] for k, v in seen.items()}).tolist() for t in range(3)]
    assert rows["obs.state"][:, 0].tolist() == flat
    assert rows["action"][:, 0, 0].tolist() == [1.0, 0.5, 0.0]
    assert rows["last"][:, 0, 0].tolist() == [0, 0, 1]
    assert rows["terminated"].sum() == 0


def test_a_data_set_that_minari_has_not_is_one_sentence(tmp_path, monkeypatch):
    minari = pytest.importorskip("minari")
    monkeypatch.setattr(minari, "load_dataset", lambda name, download: (_ for _ in ()).throw(ValueError("unknown")))
    with pytest.raises(UserError, match="Minari has no data set x/y-v0"):
        columns("minari:x/y-v0", ACTIONS, 3)
