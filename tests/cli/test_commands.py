"""The commands that read a run: resume, evaluate, play, plot."""

import json
import shutil
from statistics import fmean

import pytest

import softrl
from softrl.cli import outcome
from softrl.cli.main import main
from softrl.data import graphics
from softrl.errors import Refused
from softrl.run.evaluate import Evaluation


@pytest.fixture
def run(finished, here):
    """A copy of the finished run, named `run`."""
    return shutil.copytree(finished, here / "run")


def test_resume_extends_a_run(run, capsys):
    assert main(["resume", "run", "--steps", "80", "--quiet"]) == 0
    assert capsys.readouterr().out == "run\n"
    assert json.loads((run / "config.json").read_text())["steps"] == 80
    assert (run / "eval.csv").read_text().splitlines()[-1].startswith("80,")


def test_quiet_resume_says_nothing_of_what_was_asked_for(run, capsys):
    assert main(["resume", "run", "--steps", "80", "--train.batch", "16", "--quiet"]) == 0
    assert capsys.readouterr() == ("run\n", "")


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "run", "--episodes", "1"],
        ["train", "cartpole_swingup", "--recipe", "sac+tiny", "--init", "run"],
    ],
)
def test_a_torn_checkpoint_is_not_passed_over_in_silence(run, small, capsys, words):
    weights = run / "checkpoints" / "step_000000060" / "agent.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    assert main([*words, *(small if words[0] == "train" else [])]) == 0
    told = capsys.readouterr().err
    assert told.startswith("softrl: checkpoint step_000000060 of run is refused: agent.safetensors was altered, ")
    assert told.endswith("; step_000000000 is used\n")
    assert told.count("\n") == 1
    with pytest.warns(Refused, match="; step_000000000 is used"):
        softrl.load(run)


def test_a_torn_checkpoint_is_told_of_by_a_quiet_resume(run, capsys):
    weights = run / "checkpoints" / "step_000000060" / "agent.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    assert main(["resume", "run", "--quiet"]) == 0
    told = capsys.readouterr()
    assert told.out == "run\n"
    assert told.err.startswith("softrl: checkpoint step_000000060 of run is refused: agent.safetensors was altered")
    assert told.err.count("\n") == 1


def test_videos_are_mp4_files(run, refused):
    sentence = "videos are .mp4 files, and 'film.gif' is to be another: name it film.mp4"
    assert refused("play", "run", "--out", "film.gif") == sentence
    assert refused("evaluate", "run", "--video", "film.gif") == sentence


def test_resume_goes_on_with_other_values_and_says_so(run, capsys):
    words = ["resume", "run", "--steps", "80", "--train.batch", "16"]
    assert main(words) == 0
    assert "from frame 60 on train.batch is 16, no longer 32\n" in capsys.readouterr().out
    assert json.loads((run / "config.json").read_text())["train"]["batch"] == 16
    assert (run / "command.txt").read_text().splitlines()[1] == f"softrl {' '.join(words)}"


def test_resume_refuses_what_cannot_change_and_what_there_is_not(run, refused):
    told = refused("resume", "run", "--agent.actor.trunk.hidden", "64")
    assert told.startswith(
        "agent.actor.trunk.hidden cannot change within a run, from 32,32 to 64: `softrl train` makes"
    )
    assert "--init run" in told
    assert refused("resume", "run", "--checkpoint", "best") == (
        "there is no flag '--checkpoint': a run goes on from its newest; softrl train ENV --init RUN/checkpoints/best "
        "begins from another"
    )
    assert refused("bench", "loop", "--env-id", "Hopper-v5") == "there is no flag '--env-id'; did you mean '--env'?"
    assert refused("bench", "loop", "--env.name", "Hopper-v5") == "there is no flag '--env.name'; here it is '--env'"
    assert refused("bench", "envs", "--train.updates_per_decision", "2").endswith("; here it is '--updates'")
    assert refused("bench", "--train.warmup", "9").endswith("; nothing that is measured here depends on it")
    assert ", which belongs to a part of other recipes: c51, " in refused("bench", "--agent.critic.head.bins", "9")
    assert refused("bench", "--agent.critic", "9").startswith("'agent.critic' is a part: ")
    assert refused("bench", "--agent.critic.members", "0").startswith("agent.critic.members is 0: ")
    assert refused("resume", "run", "--batch", "32").endswith("did you mean '--train.batch'?")
    assert refused("resume", "run", "--train.batch", "0") == "train.batch is 0: it must be at least 1"
    assert refused("resume", "run", "--replay.dataset_share") == (
        "--replay.dataset_share needs a value: write --replay.dataset_share VALUE"
    )


def test_the_page_of_resume_lists_what_can_change_in_a_run(run, capsys):
    assert main(["resume", "--help"]) == 0
    assert "--train.batch" not in capsys.readouterr().out
    assert main(["resume", "run", "--help"]) == 0
    page = capsys.readouterr().out
    assert "--train.batch  (a whole number; now" in page
    assert "--agent.optim.actor.learning_rate" in page
    assert "--seed" not in page
    assert "--agent.critic.members" not in page


def test_resume_cannot_shorten_a_run(run, refused):
    assert "--steps can extend a run, not shorten it" in refused("resume", "run", "--steps", "20")


def test_resume_extends_the_minutes_of_a_run(run, capsys):
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"minutes": 1e-6}))
    assert main(["resume", "run", "--steps", "80"]) == 0
    assert "its 1e-06 minutes are over: --minutes can extend them" in capsys.readouterr().out
    assert main(["resume", "run", "--steps", "80", "--minutes", "60", "--quiet"]) == 0
    assert json.loads((run / "config.json").read_text()) == config | {"steps": 80, "minutes": 60.0}
    assert (run / "eval.csv").read_text().splitlines()[-1].startswith("80,")


def test_evaluate_prints_json_that_adds_up(run, capsys):
    assert main(["evaluate", "run", "--episodes", "3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["returns"]) == len(told["lengths"]) == 3
    assert told["return_mean"] == pytest.approx(fmean(told["returns"]))
    assert told["return_min"] == min(told["returns"])
    assert told["length_mean"] == 20


def test_evaluate_prints_a_sentence_for_any_checkpoint(run, capsys):
    for checkpoint in ("latest", "best", "60"):
        assert main(["evaluate", "run", "--episodes", "1", "--checkpoint", checkpoint]) == 0
        assert capsys.readouterr().out.endswith("over 1 episode of 20 steps\n")


def test_evaluate_tells_successes_where_the_environment_does(run, capsys, monkeypatch):
    assert "success_mean" not in summary_of(["run"], capsys)
    told = Evaluation([1.0, 3.0, 5.0, 7.0], [10, 10, 20, 20], [0.0, 1.0, 1.0, 1.0], [], [True] + [False] * 3)
    monkeypatch.setattr("softrl.api.evaluation", lambda *_, **__: told)
    assert summary_of(["run"], capsys)["success_mean"] == 0.75
    assert main(["evaluate", "run", "--episodes", "4"]) == 0
    sentence = "return 4.0, sd 2.2, from 1.0 to 7.0, over 4 episodes of 15 steps, success 75%\n"
    printed = capsys.readouterr()
    assert printed.out == sentence
    assert printed.err.startswith("softrl: 1 of 4 evaluation episodes had no end after 100000 decisions")


def test_evaluate_tells_how_much_of_its_plans_an_agent_executes(run, capsys, monkeypatch):
    assert "chunk_length_mean" not in summary_of(["run"], capsys)
    told = Evaluation([1.0, 3.0], [10, 20], [], [(2.0, 0.5), (3.0, 0.9)], [False] * 2)
    monkeypatch.setattr("softrl.api.evaluation", lambda *_, **__: told)
    summary = summary_of(["run"], capsys)
    assert (summary["chunk_length_mean"], summary["confidence_mean"]) == (2.5, 0.7)
    assert main(["evaluate", "run", "--episodes", "2"]) == 0
    assert capsys.readouterr().out.endswith("of 15 steps, 2.5 actions of a plan executed\n")


def summary_of(words, capsys):
    assert main(["evaluate", *words, "--episodes", "1", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_plot_takes_a_folder_of_runs(finished, here, capsys):
    for seed in (0, 1):
        shutil.copytree(finished, here / "runs" / "cartpole_swingup" / f"seed{seed}")
    assert main(["plot", "runs", "--out", "all.png"]) == 0
    assert capsys.readouterr().out == "all.png\n"


def test_stochastic_episodes_differ_from_deterministic_ones(run, capsys):
    returns = []
    for words in ([], ["--stochastic"]):
        assert main(["evaluate", "run", "--episodes", "1", "--json", *words]) == 0
        returns.append(json.loads(capsys.readouterr().out)["returns"])
    assert returns[0] != returns[1]


def test_a_checkpoint_that_is_not_there_is_refused(run, refused):
    assert "7" in refused("evaluate", "run", "--checkpoint", "7")


def test_plot_writes_the_picture_it_names(run, here, capsys):
    assert main(["plot", "run", "--out", "curves.svg"]) == 0
    assert capsys.readouterr().out == "curves.svg\n"
    assert (here / "curves.svg").read_text().lstrip().startswith("<?xml")


def test_plot_refuses_what_it_cannot_write(run, refused):
    assert ".png" in refused("plot", "run", "--out", "curves.bmp")


@pytest.mark.usefixtures("without_opengl")
def test_videos_without_opengl_are_refused_with_what_to_install(run, refused):
    assert "apt-get install" in refused("play", "run")
    assert "apt-get install" in refused("evaluate", "run", "--video", "episode.mp4", "--episodes", "1")


@pytest.mark.usefixtures("without_opengl")
def test_what_stands_in_the_way_of_a_video_is_said_before_episodes_are_played(run, refused, monkeypatch):
    monkeypatch.setattr("softrl.api.run_episodes", lambda *_: pytest.fail("episodes were played"))
    assert "apt-get install" in refused("evaluate", "run", "--video", "episode.mp4")


@pytest.mark.skipif(graphics.missing() is not None, reason="no OpenGL library")
def test_evaluate_films_an_episode_and_tells_the_returns(run, here, capsys):
    import av

    words = ["evaluate", "run", "--video", "episode.mp4", "--episodes", "2", "--json"]
    assert main(words) == 0
    assert len(json.loads(capsys.readouterr().out)["returns"]) == 2
    with av.open(str(here / "episode.mp4")) as file:
        assert sum(1 for _ in file.decode(video=0)) == 21  # twenty steps and the picture before them


@pytest.mark.parametrize(("every", "why"), [("never", "not asked for"), ("auto", "the run was stopped before one")])
def test_a_stopped_run_says_how_to_go_on_and_exits_as_interrupted(run, capsys, every, why):
    class Result:
        path, finished, best, last = run, False, 1.0, 0.5

    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"video": config["video"] | {"every": every}}))
    shutil.rmtree(run / "videos", ignore_errors=True)  # of the run's end, where there is OpenGL
    with pytest.raises(KeyboardInterrupt):
        outcome.tell(Result, quiet=False)
    out = capsys.readouterr().out
    assert f"softrl resume {run}" in out
    assert f"video  none: {why}" in out


def test_a_reason_that_names_a_file_of_any_bytes_is_told(tmp_path):
    class Result:
        path = tmp_path

    (tmp_path / "log.txt").write_bytes(b"2025-01-01 00:00:00 no video: cannot write r\xfc\n")
    assert outcome.refusal(Result) == "cannot write r\udcfc"
