"""The commands that describe what there is: recipes, envs, doctor."""

from importlib import metadata
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement

from softrl.agent.compile import compiler
from softrl.cli import doctor
from softrl.cli.main import main
from softrl.data import graphics
from softrl.recipes import RECIPES


def lines(capsys, *words: str) -> list[str]:
    assert main(words) == 0
    return capsys.readouterr().out.splitlines()


def test_recipes_are_listed_with_their_papers(capsys):
    listed = lines(capsys, "recipes")
    assert [line.split()[0] for line in listed] == list(RECIPES)
    assert listed == lines(capsys, "recipes", "list")
    assert "arXiv 1801.01290" in next(line for line in listed if line.startswith("sac_v1 "))


def test_a_recipe_is_shown_with_what_defines_it_and_its_tasks(capsys):
    shown = [line.split() for line in lines(capsys, "recipes", "show", "sac_v1")]
    assert ["agent.update*", "sac_v1"] in shown
    assert ["train.warmup", "1000"] in shown
    assert ["agent.reward_scale.factor", "in", "Humanoid-*", "20.0"] in shown


def test_what_defines_a_recipe_inside_a_part_is_shown_too(capsys):
    shown = [line.split() for line in lines(capsys, "recipes", "show", "hl_gauss")]
    assert ["agent.critic.head*", "Categorical"] in shown
    assert ["agent.critic.head.target*", "hl_gauss"] in shown
    assert ["agent.reward_scale.largest*", "5.0"] in shown


def test_a_recipe_without_changes_is_shown(capsys):
    assert lines(capsys, "recipes", "show", "sac")[0].startswith("sac (arXiv 1812.05905): Twin critics")


def test_a_recipe_that_is_stacked_on_others_only_is_shown(capsys):
    shown = [line.split() for line in lines(capsys, "recipes", "show", "discrete_latents")]
    assert ["agent.encoder.dynamics.latent*", "OneHot"] in shown


def test_a_stack_is_shown_with_the_values_that_hold_in_the_end(capsys):
    shown = lines(capsys, "recipes", "show", "tqc+simba")
    assert [line.partition(" (")[0] for line in shown[:2]] == ["tqc", "simba"]
    rows = [line.split() for line in shown[2:]]
    assert ["agent.critic.members*", "5"] in rows
    assert ["agent.actor.trunk*", "SimBa"] in rows
    assert ["agent.target_rule.drop", "in", "Hopper-*", "5"] in rows
    assert not [row for row in rows if row[0] == "recipe" or "absent" in row]


def test_two_recipes_are_compared_field_by_field(capsys):
    rows = [line.split() for line in lines(capsys, "recipes", "diff", "sac", "sac_yarats+tiny")]
    assert rows[0] == ["sac", "sac_yarats+tiny"]
    assert ["agent.temperature.initial", "1.0", "0.1"] in rows
    assert ["train.batch", "256", "32"] in rows
    assert not any(row[0] == "train.gamma" for row in rows)


def test_environments_are_listed_by_pattern(capsys):
    assert {"cheetah_run", "HalfCheetah-v5"} <= set(lines(capsys, "envs", "list", "cheetah"))
    assert "walker_walk" in lines(capsys, "envs")


def test_an_environment_is_shown_under_any_of_its_names(capsys):
    shown = lines(capsys, "envs", "show", "cheetah-run")
    assert shown == lines(capsys, "envs", "show", "dm_control/cheetah-run-v0")
    assert shown[0].split() == ["name", "cheetah_run"]
    assert any("time limit" in line and "1000" in line for line in shown)


def test_the_doctor_reports_every_package_and_ends_well(capsys):
    report = "\n".join(lines(capsys, "doctor"))
    subjects = "python torch mujoco dm-control threads bfloat16 gpu compiler libEGL disk"
    for subject in subjects.split():
        assert subject in report


@pytest.mark.parametrize(
    ("wanted", "state", "remedy"),
    [
        ("torch>=2", metadata.version("torch"), ""),
        ("torch<2", f"{metadata.version('torch')}, and softrl works with <2", "pip install 'torch<2'"),
        ("no-such-package>=1", "missing", "pip install 'no-such-package>=1'"),
    ],
)
def test_the_doctor_says_what_to_install(wanted, state, remedy):
    finding = doctor.package(Requirement(wanted))
    assert finding[1:] == (state, remedy)


def test_the_doctor_knows_a_driver_without_a_usable_gpu():
    assert doctor.gpu(usable=False, driver=None).remedy == ""
    assert "pip install" in doctor.gpu(usable=False, driver="/usr/bin/nvidia-smi").remedy


@pytest.mark.parametrize(("found", "remedy"), [(None, "pip install triton"), (object(), "")])
def test_the_doctor_looks_for_what_compiles_on_a_gpu(found, remedy, monkeypatch):
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda _: SimpleNamespace(total_memory=2**33))
    monkeypatch.setattr("torch.cuda.get_device_name", lambda _: "some GPU")
    monkeypatch.setattr(doctor, "find_spec", lambda _: found)
    told = doctor.gpu(usable=True, driver=None)
    assert told.remedy == remedy
    assert "some GPU, 8 GiB" in told.state


@pytest.mark.skipif(compiler() is None, reason="no C++ compiler")
def test_the_doctor_compiles_some_lines():
    assert doctor.compiling(compiler()) == ("compiler", compiler(), "")


@pytest.mark.parametrize(
    ("said", "remedy"), [("Python.h: No such file or directory", "python3-dev"), ("cannot execute cc1plus", "g++")]
)
def test_the_doctor_says_what_a_compiler_lacks(tmp_path, said, remedy):
    path = tmp_path / "g++"
    path.write_text(f"#!/bin/sh\ncat >/dev/null\necho '<stdin>:1:10: fatal error: {said}' >&2\nexit 1\n")
    path.chmod(0o755)
    finding = doctor.compiling(str(path))
    assert finding.state == f"{path} fails: {said}"
    assert finding.remedy == f"apt-get install {remedy}, or --compile off"
    assert doctor.compiling(None).remedy == "apt-get install g++"


def test_the_doctor_warns_of_a_full_disk(tmp_path, monkeypatch):
    assert doctor.disk(tmp_path).remedy == ""
    monkeypatch.setattr(doctor, "SPACE", 10**18)
    assert "make room" in doctor.disk(tmp_path).remedy


def test_the_doctor_names_the_extra_that_an_environment_of_gymnasium_asks_for(monkeypatch):
    monkeypatch.setattr(doctor, "DRAWING", {"json": ("classic", "pictures"), "no_such_module": ("box2d", "landers")})
    assert list(doctor.drawing()) == [
        ("json", "here, for pictures", ""),
        ("no_such_module", "not here, and needed for landers alone", "pip install 'softrl[box2d]'"),
    ]


def test_the_doctor_tries_to_render(monkeypatch):
    monkeypatch.setattr(graphics, "missing", lambda: None)
    monkeypatch.setattr(graphics, "choose", lambda: "egl")
    monkeypatch.setattr(graphics, "speed", lambda size: 61.4)
    assert doctor.rendering() == ("rendering", "works with MUJOCO_GL=egl: 61 small pictures a second", "")

    def fail(size):
        raise OSError("no driver")

    monkeypatch.setattr(graphics, "speed", fail)
    assert doctor.rendering().state == "fails with MUJOCO_GL=egl: no driver"
    assert "libosmesa6" in doctor.rendering().remedy
    monkeypatch.setattr(graphics, "missing", lambda: "unset MUJOCO_GL")
    assert doctor.rendering().remedy == "unset MUJOCO_GL"
    monkeypatch.setattr(graphics, "missing", lambda: graphics.ADVICE)
    assert doctor.rendering().remedy == doctor.INSTALL
