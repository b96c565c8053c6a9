"""Versions: present, read without importing anything heavy, and no commit of a stranger's repository."""

import json
import subprocess
import sys
from importlib import metadata

import pytest

from softrl.run import versions as module
from softrl.run.versions import versions


def test_versions_of_what_is_installed(monkeypatch):
    found = versions()
    assert found["python"] == sys.version.split()[0]
    assert found["torch"] == metadata.version("torch")
    assert set(found) >= {"softrl", "numpy", "mujoco", "gymnasium", "dm-control", "commit", "platform", "cpu"}
    monkeypatch.setattr(module, "_PACKAGES", ("no-such-package",))
    assert versions()["no-such-package"] is None


CORE = "vendor_id\t: AuthenticAMD\ncpu family\t: 26\nmodel\t\t: 2\nmodel name\t: AMD EPYC\nstepping\t: 1\n\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (2 * CORE, "AMD EPYC (family 26, model 2)"),
        ("processor\t: 0\nmodel name\t: ARMv8\n", "ARMv8"),
        ("cpu family\t: 6\n", "that of the platform (family 6)"),
        (None, "that of the platform"),
    ],
)
def test_processors_of_one_name_are_told_apart(tmp_path, monkeypatch, text, told):
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(module, "_DESCRIPTION", tmp_path / "cpuinfo")
    monkeypatch.setattr(module.platform, "processor", lambda: "that of the platform")
    assert versions()["cpu"] == told


def test_nothing_heavy_is_imported():
    code = "import sys; from softrl.run.versions import *; versions(); print({'torch', 'mujoco'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "softrl").mkdir()
    (tmp_path / "softrl" / "__init__.py").write_text("")
    (tmp_path / "benchmarks" / "peers").mkdir(parents=True)
    for name in ("README.md", "peers/loop.py"):
        (tmp_path / "benchmarks" / name).write_text("")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    git(tmp_path, "tag", "v1")
    return tmp_path


def test_the_commit_of_a_checkout_and_its_local_changes(checkout):
    commit = git(checkout, "rev-parse", "HEAD")
    assert module._commit(checkout / "softrl") == commit
    (checkout / "benchmarks" / "README.md").write_text("results that were collected")
    assert module._commit(checkout / "softrl") == commit
    (checkout / "benchmarks" / "peers" / "loop.py").write_text("changed = True")
    assert module._commit(checkout / "softrl") == f"{commit}-dirty"
    git(checkout, "checkout", "-q", ".")
    (checkout / "softrl" / "__init__.py").write_text("changed = True")
    assert module._commit(checkout / "softrl") == f"{commit}-dirty"


def test_a_package_installed_inside_another_repository_has_no_commit(checkout):
    installed = checkout / "environment" / "softrl"
    installed.mkdir(parents=True)
    assert module._commit(installed) is None


def test_a_checkout_without_git_has_no_commit(checkout, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert module._commit(checkout / "softrl") is None


def test_a_run_that_goes_on_with_other_packages_says_so(tmp_path):
    file, log = tmp_path / "versions.json", []
    assert module.moved_on(tmp_path, log.append) == []
    file.write_text(json.dumps(versions()))
    assert module.moved_on(tmp_path, log.append) == []
    file.write_text(json.dumps(versions() | {"torch": "1.0", "safetensors": "0.0", "commit": "x"}))
    [told] = module.moved_on(tmp_path, log.append)
    assert told.startswith(f"torch 1.0 is now {metadata.version('torch')}: what follows may differ")
    assert log == [told]
    file.write_text(json.dumps(versions() | {"cpu": "AMD EPYC (family 26, model 2)"}))
    [told] = module.moved_on(tmp_path, log.append)
    assert told.startswith(f"cpu AMD EPYC (family 26, model 2) is now {versions()['cpu']}: what follows may differ")
    file.write_text(json.dumps(versions() | {"cpu": "Intel(R) Xeon(R)"}))  # an older run, from before its kind was told
    assert module.moved_on(tmp_path, log.append) == []
