"""Every command and flag that docs/coming_from.md names for softrl works."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from softrl.cli.flags import split, switches
from softrl.cli.main import main
from softrl.cli.train import Options, configured, understood
from softrl.data import graphics
from softrl.recipes import RECIPES, apply, find
from softrl.run.config import Run
from softrl.run.fields import override
from softrl.types import Spec

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "coming_from.md").read_text()
SECTIONS = dict(zip(*[iter(re.split(r"^## (.+)$", PAGE, flags=re.MULTILINE)[1:])] * 2, strict=True))
ROW = re.compile(r"^\| (.+) \| (.+) \|$", re.MULTILINE)
THEIRS = [
    "pip install -r requirements.txt",
    "python -m visual_control.main env=cheetah_run dreamer=0",
    "python -m visual_control.main env=cheetah_run dreamer=1",
    "python -m visual_control.main env=cheetah_run dreamer=2",
    "conda env create -f conda_env.yml",
    "source activate pytorch_sac_ae",
    "python train.py --domain_name cheetah --task_name run --encoder_type pixel --decoder_type pixel --action_repeat 4 "
    "--save_video --save_tb --work_dir ./log --seed 1",
    "tensorboard --logdir log",
    "source activate pytorch_sac",
    "python train.py --env cheetah_run",
    "python train.py --env cheetah_run --chunk_size 5",
    "python train.py --env cheetah_run --chunk_size 5 --num_train_steps 2000000 --eval_frequency 20000 --experiment "
    "va_cheetah_run --confidence_threshold 0.5",
    "tensorboard --logdir exp",
    "python train.py --help",
    "CUDA_VISIBLE_DEVICES=1,2 python train.py",
    "CUDA_VISIBLE_DEVICES=1,2 python main.py --buffer_size 1000",
    "CUDA_VISIBLE_DEVICES=1,2 python main_2.py",
]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def ours() -> list[tuple[str, str]]:
    """Section and code of everything on the right of a table."""
    return [(name, code) for name, text in SECTIONS.items() for _, cell in ROW.findall(text) for code in quoted(cell)]


def unique(codes: list[str]) -> list[str]:
    return sorted(set(codes))


QUICK = ("sac", "tqc+simba+l2_init")
COMMANDS = unique([code.removeprefix("CUDA_VISIBLE_DEVICES=1 ") for _, code in ours() if "softrl " in code])
FLAGS = sorted({(name, code) for name, code in ours() if code.startswith("--")})


def test_every_command_of_the_five_documents_has_a_row():
    there = [code for text in SECTIONS.values() for cell, _ in ROW.findall(text) for code in quoted(cell)]
    assert [command for command in THEIRS if command not in there] == []


def test_every_row_says_something_that_can_be_done_or_that_it_cannot_yet():
    for text in SECTIONS.values():
        for there, here in ROW.findall(text)[1:]:
            assert quoted(here) or "not yet" in here or "always" in here or "learned" in here, there


def test_what_an_example_does_is_there():
    for text in SECTIONS.values():
        for there, here in ROW.findall(text):
            if "not yet" in here:
                assert not re.search("-optimize|--track|wandb", there), there
            for name in re.findall(r"examples/\w+\.py", here):
                assert (ROOT / name).is_file(), name


def test_recipes_whose_temperature_is_not_learned_are_named():
    [cell] = re.findall(r"\| learned in every recipe but (.+) \|", PAGE)
    runs = {name: apply(find(name).complete_name, Run()) for name in RECIPES}
    assert set(quoted(cell)) == {name for name, run in runs.items() if not run.agent.temperature.learned}


def recipe_of(command: str) -> str:
    words = shlex.split(command)
    return words[words.index("--recipe") + 1] if "--recipe" in words else "sac"


def trainings() -> list[Any]:
    """Commands that train; every recipe trains for a moment elsewhere, so that most are of the slow tier."""
    commands = [command for command in COMMANDS if command.startswith("softrl train")]
    marks = [[pytest.mark.slow] * (recipe_of(command) not in QUICK) for command in commands]
    return [pytest.param(command, marks=mark) for command, mark in zip(commands, marks, strict=True)]


@pytest.mark.parametrize("command", trainings())
def test_training_commands_run(command, here, small, capsys):
    words, recipe = shlex.split(command)[1:], recipe_of(command)
    if apply(recipe, Run()).env.pixels and graphics.missing():
        pytest.skip("no OpenGL here")
    shrunk = ["--help"] if "--help" in words else small
    assert main([*words, "--recipe", f"{recipe}+tiny", *shrunk]) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("command", [command for command in COMMANDS if not command.startswith("softrl train")])
def test_commands_on_a_run_run(command, finished, here, capsys):
    if command.startswith("softrl play") and graphics.missing():
        pytest.skip("no OpenGL here")
    assert main(shlex.split(command.replace("RUN", str(finished)))[1:]) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize(("section", "flags"), FLAGS)
def test_flags_are_fields_of_the_recipe_of_their_section(section, flags):
    recipe = re.search(r"^Flags are those of recipe `(\w+)`", SECTIONS[section], re.MULTILINE)
    assert recipe, f"section {section} names no recipe"
    found = split(["Pendulum-v1", "--recipe", f"{recipe[1]}+tiny", *shlex.split(flags)], switches(Options()))
    _, values = understood(found)
    override(configured(found), values).agent.build(Spec(obs={"state": (3,)}, continuous=1))


def test_python_blocks_run():
    for block in re.findall(r"^```python\n(.+?)^```", PAGE, re.MULTILINE | re.DOTALL):
        exec(block, {})
