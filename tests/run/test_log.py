"""The log files of a run: the columns and tags that were promised, every digit, and cut back exactly."""

import json
import os

import numpy as np
import pytest
import torch

from softrl.run.log import Logger


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def fill(log, start):
    """A little of everything."""
    log.add(("critic_loss", "q_mean"), torch.tensor([0.1 * start, 2.0]))
    log.add(("critic_loss",), torch.tensor([0.3 * start]))
    log.episode(start, start // 10, 1 / 3 + start, 10, None, 0.25)
    log.write(start, {"time/fps": 100.0})
    log.evaluation(start, start // 2, start // 4, [1.0, 4.0], [5, 6], None, 1.5)
    log.text(f"at {start}")
    log.add(("critic_loss",), torch.tensor([float(start)]))


def test_a_line_may_name_a_file_of_any_bytes(tmp_path):
    Logger(tmp_path).text(f"cannot write {os.fsdecode(b'r' + bytes([252]))}")
    assert (tmp_path / "log.txt").read_bytes().endswith(b" cannot write r\xfc\n")


def test_the_columns_are_the_promised_ones(tmp_path):
    Logger(tmp_path)
    header = lambda name: (tmp_path / name).read_text()  # noqa: E731
    assert header("train.csv") == "env_steps,episode,return,length,success,seconds\n"
    assert header("eval.csv") == (
        "env_steps,decisions,updates,return_mean,return_sd,return_min,return_max,length_mean,success_mean,seconds\n"
    )
    assert header("episodes.csv") == "env_steps,episode,return,length\n"


def test_agents_that_plan_have_two_more_columns_behind_the_promised_ones(tmp_path):
    log = Logger(tmp_path, planned=True)
    log.episode(10, 1, 2.5, 10, None, 0.25, (None, None))
    log.episode(20, 2, 3.5, 10, 1.0, 0.5, (10 / 3, 0.75))
    values = log.evaluation(20, 10, 5, [1.0], [5], None, 1.5, [4.0, 0.9])
    assert (tmp_path / "train.csv").read_text() == (
        "env_steps,episode,return,length,success,seconds,chunk_length,confidence\n"
        "10,1,2.5,10,,0.25,,\n"
        "20,2,3.5,10,1.0,0.5,3.3333333333333335,0.75\n"
    )
    header, row = (tmp_path / "eval.csv").read_text().splitlines()
    assert header.endswith(",success_mean,seconds,chunk_length,confidence")
    assert row == "20,10,5,1.0,0.0,1.0,1.0,5.0,,1.5,4.0,0.9"
    assert values["eval/chunk_length"] == 4.0
    assert values["eval/confidence"] == 0.9
    assert (tmp_path / "episodes.csv").read_text().startswith("env_steps,episode,return,length\n")


def test_evaluation_by_hand(tmp_path, read_csv):
    log = Logger(tmp_path)
    values = log.evaluation(100, 50, 25, [1.0, 3.0, 8.0, 0.0], [10, 20, 30, 40], [1.0, 0.0, 0.0, 0.0], 2.5)
    deviation = float(np.sqrt((2**2 + 0**2 + 5**2 + 3**2) / 4))
    means = {"eval/mean_reward": 3.0, "eval/mean_ep_length": 25.0, "eval/success_rate": 0.25}
    assert values == {**means, "eval/std_reward": deviation}
    assert read_csv(tmp_path / "eval.csv") == [
        {
            **{"env_steps": "100", "decisions": "50", "updates": "25", "return_mean": "3.0"},
            **{"return_sd": repr(deviation), "return_min": "0.0", "return_max": "8.0", "length_mean": "25.0"},
            **{"success_mean": "0.25", "seconds": "2.5"},
        }
    ]
    assert [row["return"] for row in read_csv(tmp_path / "episodes.csv")] == ["1.0", "3.0", "8.0", "0.0"]
    assert lines(tmp_path / "metrics.jsonl") == [{"env_steps": 100, **values}]


def test_every_digit_is_kept_and_types_of_numpy_do_not_show(tmp_path, read_csv):
    log = Logger(tmp_path)
    value = 0.1 + 0.2
    log.episode(1, 1, np.float64(value), np.int64(7), None, 1e-17)
    log.episode(2, 2, float("nan"), 7, True, 1.0)
    first, second = read_csv(tmp_path / "train.csv")
    assert float(first["return"]) == value
    assert first == {
        **{"env_steps": "1", "episode": "1", "return": repr(value), "length": "7"},
        **{"success": "", "seconds": "1e-17"},
    }
    assert (second["return"], second["success"]) == ("nan", "1")


def test_write_gives_means_recent_episodes_and_extras_under_their_tags(tmp_path):
    log = Logger(tmp_path)
    assert log.write(0, {"time/fps": 1.0}) == {"time/fps": 1.0}
    log.add(("critic_loss",), torch.tensor([1.0]))
    log.add(("critic_loss",), torch.tensor([3.0]))
    for episode in range(150):
        log.episode(episode, episode, float(episode), 2, None, 0.0)
    assert log.write(5, {"train/n_updates": 2.0}) == {
        "train/critic_loss": 2.0,
        "rollout/ep_rew_mean": (50 + 149) / 2,
        "rollout/ep_len_mean": 2.0,
        "train/n_updates": 2.0,
    }
    assert [line["env_steps"] for line in lines(tmp_path / "metrics.jsonl")] == [0, 5]


def test_the_share_of_recent_episodes_that_succeeded(tmp_path):
    """None where nothing was said, and those of before a resume count."""
    log = Logger(tmp_path)
    log.episode(1, 1, 0.0, 2, None, 0.0)
    assert "rollout/success_rate" not in log.write(1, {})
    for success in (1.0, 0.0, 1.0, 1.0):
        log.episode(1, 1, 0.0, 2, success, 0.0)
    assert log.write(2, {})["rollout/success_rate"] == 0.75
    state = log.state_dict()
    again = Logger(tmp_path)
    again.load_state_dict(state)
    assert again.write(3, {})["rollout/success_rate"] == 0.75
    again.load_state_dict(state | {"recent": [[1.0, 2]]})  # of a softrl that did not remember successes
    assert again.write(3, {}) == {"rollout/ep_rew_mean": 1.0, "rollout/ep_len_mean": 2.0}


def test_values_that_are_not_finite_leave_the_json_standard(tmp_path):
    log = Logger(tmp_path)
    log.write(1, {"a": float("nan"), "b": float("inf"), "c": 1.0})

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    text = (tmp_path / "metrics.jsonl").read_text()
    assert json.loads(text, parse_constant=refuse) == {"env_steps": 1, "a": None, "b": None, "c": 1.0}


def test_new_metrics_may_come_later(tmp_path):
    log = Logger(tmp_path)
    log.add(("critic_loss",), torch.tensor([1.0]))
    log.write(1, {})
    log.add(("critic_loss", "dormant_share"), torch.tensor([1.0, 0.5]))
    log.write(2, {})
    assert [sorted(line) for line in lines(tmp_path / "metrics.jsonl")] == [
        ["env_steps", "train/critic_loss"],
        ["env_steps", "train/critic_loss", "train/dormant_share"],
    ]


def contents(folder):
    """Every file's bytes but those of event files and log.txt, which hold the time."""
    timed = ("events.", "log.txt")
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(timed)}


def test_cut_back_and_written_again_is_the_run_that_was_never_cut(tmp_path, read_csv):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    log = Logger(whole)
    for start in (10, 20, 30):
        fill(log, start)

    log = Logger(cut)
    fill(log, 10)
    state = log.state_dict()
    fill(log, 20)
    (cut / "train.csv").open("ab").write(b"25,2,3.0,1")  # half a row of a process that was killed
    again = Logger(cut)
    again.load_state_dict(state)
    assert [row["env_steps"] for row in read_csv(cut / "eval.csv")] == ["10"]
    assert (cut / "log.txt").read_text().endswith("at 10\n")
    for start in (20, 30):
        fill(again, start)
    assert contents(cut) == contents(whole)
    assert [line.split()[-1] for line in (cut / "log.txt").read_text().splitlines()] == ["10", "20", "30"]


def test_a_log_that_somebody_deleted_does_not_stop_a_resume(tmp_path, read_csv):
    log = Logger(tmp_path)
    fill(log, 10)
    state = log.state_dict()
    log.close()
    (tmp_path / "train.csv").unlink()
    again = Logger(tmp_path)
    again.load_state_dict(state)
    fill(again, 20)
    assert [row["env_steps"] for row in read_csv(tmp_path / "train.csv")] == ["20"]


@pytest.mark.parametrize("successes", [None, [1.0, 1.0]])
def test_success_is_empty_where_the_environment_gives_none(tmp_path, successes, read_csv):
    tags = Logger(tmp_path).evaluation(1, 1, 1, [1.0, 2.0], [1, 1], successes, 0.0)
    assert tags.get("eval/success_rate") == (None if successes is None else 1.0)
    assert read_csv(tmp_path / "eval.csv")[0]["success_mean"] == ("" if successes is None else "1.0")
