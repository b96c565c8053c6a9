import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from softrl.cli.flags import split
from softrl.cli.main import main
from softrl.cli.settings import load, with_file, written
from softrl.recipes import RECIPES, apply, find
from softrl.run.config import Run
from softrl.run.fields import override, read

FILE = """
recipe = "tqc+tiny"
steps = "10k"
env.name = "cheetah_run"

[agent]
critic.members = 3
critic.trunk.hidden = [64, 32]
optim.value.max_gradient_norm = "none"

[replay]
memory_map = true
"""


def test_a_file_is_read_as_it_would_be_typed(here):
    (here / "mine.toml").write_text(FILE)
    assert load(here / "mine.toml") == {
        "recipe": "tqc+tiny",
        "steps": "10k",
        "env.name": "cheetah_run",
        "agent.critic.members": "3",
        "agent.critic.trunk.hidden": "64,32",
        "agent.optim.value.max_gradient_norm": "none",
        "replay.memory_map": "true",
    }


def test_what_is_typed_wins_over_the_file(here):
    (here / "mine.toml").write_text(FILE)
    found = with_file(split(["--config", "mine.toml", "--steps", "5"], set()))
    assert found.operands == ["cheetah_run"]
    assert (found.flags["steps"], found.flags["recipe"]) == ("5", "tqc+tiny")
    assert "env.name" not in found.flags
    assert with_file(split(["walker_walk", "--config", "mine.toml"], set())).operands == ["walker_walk"]
    assert with_file(split(["walker_walk"], set()))[:3] == (["walker_walk"], {}, set())


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('env.arguments = {size = 48, label = "none"}', 'size=48,label="none"'),
        ('env.arguments = "size=48,wind=true"', "size=48,wind=true"),
        ("[env.arguments]\nsize = 48", "size=48"),
        ("env.arguments = {}", "{}"),
    ],
)
def test_arguments_of_environments_are_the_value_of_one_flag(here, line, text):
    (here / "mine.toml").write_text(line)
    assert load(here / "mine.toml") == {"env.arguments": text}
    arguments = read(Run(), {"env.arguments": text})
    (here / "printed.toml").write_text(written(override(Run(), arguments)))
    assert read(Run(), {"env.arguments": load(here / "printed.toml")["env.arguments"]}) == arguments


@pytest.mark.parametrize("name", RECIPES)
def test_what_is_written_is_read_back(here, name):
    run = override(apply(find(name).complete_name, Run()), {"env.name": "Hopper-v5", "steps": 123, "train.gamma": 0.3})
    (here / "printed.toml").write_text(written(run))
    texts = load(here / "printed.toml")
    again = override(apply(texts.pop("recipe"), override(Run(), {"env.name": texts["env.name"]})), {})
    assert override(again, read(again, texts)) == run


def test_print_shows_the_configuration_and_trains_nothing(here, capsys):
    # an empty list, which resets has, is a value too
    words = ["train", "Pendulum-v1", "--recipe", "resets+tiny", "--agent.critic.members", "4"]
    assert main([*words, "--print"]) == 0
    page = capsys.readouterr().out
    assert list(here.iterdir()) == []
    assert {'recipe = "resets+tiny"', "agent.critic.members = 4", "agent.plasticity.at = []"} <= set(page.splitlines())
    (here / "again.toml").write_text(page)
    assert main(["train", "--config", "again.toml", "--print"]) == 0
    assert capsys.readouterr().out == page


def test_a_run_is_repeated_by_its_configuration(here, finished, capsys):
    path = finished / "config.json"
    assert main(["train", "--config", str(path), "--run", "again"]) == 0
    assert json.loads((here / "again" / "config.json").read_text()) == json.loads(path.read_text())
    assert (here / "again" / "episodes.csv").read_text() == (finished / "episodes.csv").read_text()


def test_parts_that_a_recipe_does_not_bring_are_refused(refused, here, finished):
    config = json.loads((finished / "config.json").read_text())
    config["agent"]["target_rule"] = {"type": "Average"}
    (here / "own.json").write_text(json.dumps(config))
    told = "own.json has agent.target_rule Average, and its recipe brings Minimum: such a part comes from Python"
    assert told in refused("train", "--config", "own.json")
    assert main(["train", "--config", "own.json", "--recipe", "sac+tiny", "--print"]) == 0  # what is typed wins


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("steps: 3", "mine.toml cannot be understood (Expected '=' after a key"),
        ("agent.critic.memberz = 3", "there is no flag '--agent.critic.memberz'; did you mean"),
        ('steps = "many"', "steps takes a whole number, got 'many'"),
        ("agent.critic = 3", "'agent.critic' is a part: choose it with a recipe"),
        ('recipe = "sacc"', "there is no recipe 'sacc'; did you mean 'sac'?"),
        ("\x00", "mine.toml cannot be understood"),
        ('config = "other.toml"', "mine.toml sets config: a file of settings names no other"),
    ],
)
def test_mistakes_in_a_file_are_refused(refused, here, content, sentence):
    (here / "mine.toml").write_text(content)
    assert sentence in refused("train", "cheetah_run", "--config", "mine.toml")


def test_letters_of_all_kinds_are_written_and_read(here, capsys):
    """A file written on Windows begins with a mark of its encoding."""
    assert main(["train", "cheetah_run", "--replay.dataset", "d\N{GRINNING FACE}.npz", "--print"]) == 0
    (here / "mine.toml").write_text("\ufeff" + capsys.readouterr().out, "utf-8")
    assert load(here / "mine.toml")["replay.dataset"] == "d\N{GRINNING FACE}.npz"


def test_a_list_is_no_configuration(refused, here):
    (here / "mine.json").write_text("[1]")
    assert "mine.json cannot be understood" in refused("train", "cheetah_run", "--config", "mine.json")


def test_modules_in_the_working_folder_are_found(here):
    """As `python file.py` finds them, and after everything that is installed."""
    (here / "own_module_here.py").write_text("raise ImportError('found, and broken on purpose')")
    command = [os.path.join(os.path.dirname(sys.executable), "softrl"), "envs", "show", "own_module_here:Own-v0"]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "found, and broken on purpose" in done.stderr


def test_mistakes_in_a_file_name_it_and_values_of_another_task_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "Pendulum-v1", "--recipe", "tqc", "--print"]) == 0
    Path("mine.toml").write_text(capsys.readouterr().out)
    assert main(["train", "--config", "mine.toml", "--recipe", "sac"]) == 2
    assert "softrl: mine.toml: there is no flag '--agent.critic.head.quantiles'" in capsys.readouterr().err
    assert main(["train", "HalfCheetah-v5", "--config", "mine.toml", "--print"]) == 0
    told = capsys.readouterr()
    assert "agent.target_rule.drop = 2" in told.out
    assert "mine.toml was written for Pendulum-v1" in told.err
    assert "agent.target_rule.drop 2 (0)" in told.err
    assert main(["train", "HalfCheetah-v5", "--config", "mine.toml", "--agent.target_rule.drop", "1", "--print"]) == 0
    assert "mine.toml" not in capsys.readouterr().err
