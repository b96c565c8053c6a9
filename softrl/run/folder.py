"""The run folder: its name, its first files, its lock, and what is wrong with one that cannot be read."""

import json
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from softrl.errors import UserError, disk_errors
from softrl.run.files import replace_file, sync_folder, write_durably
from softrl.run.modules import check_modules
from softrl.run.versions import versions

try:
    import fcntl
except ModuleNotFoundError as error:
    raise UserError(
        "this system has no file locks as Linux has, which run folders need: on Windows, use WSL"
    ) from error

FORMAT = 1  # of a run folder; a reader refuses a greater one
FIRST = {
    *("config.json", "command.txt", "versions.json", "spaces.json", "init.json", ".lock", "checkpoints", "replay"),
    *("frames.npy", "frames.npy.partial"),
    *("dataset.safetensors", ".dataset.safetensors.tmp", "eval.csv", "episodes.csv", "train.csv"),
    *("metrics.jsonl", "log.txt"),
}
"""All that is in a run folder before its first checkpoint."""

_lock_descriptors: set[int] = set()


def create(
    config: dict[str, Any],
    command: Sequence[str],
    *,
    env: str,
    recipe: str,
    seed: int,
    home: Path = Path(),
    root: Path = Path("runs"),
    run: Path | None = None,
    more: Mapping[str, Any] | None = None,
) -> Path:
    """Make a new run folder with config.json, command.txt and versions.json; it appears whole or not at all.

    `more` are further JSON files, name -> content. The folder is `run` when given, which may be that of a run that was
    killed before its first checkpoint, else `root/<env>/<recipe>/seed<S>`, with `-1`, `-2`, ... when that is taken.
    Both are seen from `home`.

    Raises:
        UserError: `run` exists and is neither empty nor such a folder, the place cannot be written, or the
            configuration names a module that lies with runs: the run could not be read again.
    """
    default = home / root / _safe(env) / _safe(recipe) / f"seed{seed}"
    place = home / run if run else default
    check_modules(config, place)
    parent = place.parent
    with disk_errors(f"a run folder in {parent}", "make room there or give --run another place"):
        parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=parent))
        try:
            _write_first_files(temporary, config, command, more or {})
            return _named(temporary, place, run) if run else _numbered(temporary, default)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def withdraw(run: Path) -> None:
    """Take back a folder that `create` has just made, because its run cannot begin."""
    shutil.rmtree(run, ignore_errors=True)


def read_config(run: Path) -> dict[str, Any]:
    """The configuration that a run was made with.

    Raises:
        UserError: no such folder, no config.json in it, one that is torn, one from a newer softrl, or one that names a
            module that lies with runs.
    """
    path = run / "config.json"
    try:
        there, known = run.is_dir(), path.is_file()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"{run} cannot be looked into, {reason}: ask whose it is, or give another run") from error
    if not there:
        raise UserError(f"there is no run folder {run}: look under runs/, or start one with `softrl train`")
    if not known:
        raise UserError(f"{run} has no config.json, it is not a run folder: give the one that `softrl train` printed")
    try:
        config = json.loads(path.read_bytes())
        written = int(config.pop("format"))
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is torn or was edited ({error}): mend it, put back a copy, or start a new run"
        ) from error
    if written > FORMAT:
        raise UserError(f"{run} was made by a newer softrl (format {written}): update softrl to read it")
    check_modules(config, run)
    return config


def located(path: str | Path, which: str | int) -> tuple[Path, str | int]:
    """Run folder and checkpoint of a path, which may be either; raises UserError for what cannot be a checkpoint."""
    path = Path(path)
    if path.parent.name != "checkpoints" or (path / "config.json").is_file():
        return path, which
    if not re.fullmatch(r"best|step_\d+", path.name):
        raise UserError(f"{path} is no checkpoint: their names are best and step_ with a number")
    return path.parent.parent, "best" if path.name == "best" else int(path.name.removeprefix("step_"))


def write_config(run: Path, config: dict[str, Any]) -> None:
    """Put another configuration in place of the one of a run (a run that is extended); old or new, never torn.

    Raises:
        UserError: the disk is full or the folder cannot be written, or a module is named that lies with runs.
    """
    check_modules(config, run)
    with disk_errors(f"{run / 'config.json'}", "the old one is intact, make room and try again"):
        replace_file(run / "config.json", _config_bytes(config))


def add_command(run: Path, command: Sequence[str]) -> None:
    """Put a command that changed a run behind those before it in command.txt; raises UserError as `write_config`."""
    path = run / "command.txt"
    with disk_errors(f"{path}", "the old one is intact, make room and try again"):
        before = path.read_bytes() if path.exists() else b""
        replace_file(path, before + _line(command))


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Hold a run folder for this process; the operating system lets go however the process ends.

    Raises:
        UserError: another process holds it, or the folder cannot be written.
    """
    with disk_errors(f"{run / '.lock'}", "make the run folder writable"):
        descriptor = os.open(run / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    _lock_descriptors.add(descriptor)
    try:
        _lock(descriptor, run)
        yield
    finally:
        if descriptor in _lock_descriptors:  # not so in a forked child, which has closed it
            _lock_descriptors.remove(descriptor)
            os.close(descriptor)


def _lock(descriptor: int, run: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UserError(f"{run} is in use by another process: wait for it, stop it, or use another folder") from error
    except OSError as error:
        raise UserError(
            f"{run} lies where files cannot be locked ({error.strerror}): use a folder on another "
            "file system, or have this one mounted with locks"
        ) from error


def _close_in_child() -> None:
    """A forked environment worker must not keep the lock of a trainer that was killed."""
    for descriptor in _lock_descriptors:
        os.close(descriptor)
    _lock_descriptors.clear()


os.register_at_fork(after_in_child=_close_in_child)


def _line(command: Sequence[str]) -> bytes:
    """A command as a shell reads it, in the bytes in which it came."""
    return f"{shlex.join(command)}\n".encode(errors="surrogateescape")


def _vacate(run: Path) -> None:
    """Remove the folder of a run that was killed before its first checkpoint; raises UserError where it still lives."""
    if not _unbegun(run):
        return
    with suppress(FileNotFoundError):  # where another process is quicker
        descriptor = os.open(run / ".lock", os.O_RDWR)
        try:
            _lock(descriptor, run)
            # By now the folder may be that of another process.
            if os.path.samestat(os.fstat(descriptor), os.stat(run / ".lock")) and _unbegun(run):
                shutil.rmtree(run)
        finally:
            os.close(descriptor)


def _unbegun(run: Path) -> bool:
    """Whether a run once held this folder and left it before its first checkpoint, with nothing else in it."""
    if not (run / ".lock").is_file() or {path.name for path in run.iterdir()} - FIRST:
        return False
    whole = [path for path in (run / "checkpoints").glob("*") if path.suffix != ".partial"]
    tables = [run / name for name in ("eval.csv", "train.csv")]  # with a heading, unless checkpoints were thrown away
    return not whole and not any(path.is_file() and path.read_bytes().count(b"\n") > 1 for path in tables)


def _named(temporary: Path, run: Path, typed: Path) -> Path:
    _vacate(run)
    try:
        os.rename(temporary, run)  # onto an empty folder this succeeds, onto anything else it does not
    except OSError as error:
        if not run.exists():
            raise
        if not (run / "config.json").exists():  # a link, a mount point, the working folder, or another's files
            inside = f", such as {typed / 'run'}" if run.is_dir() else ""
            raise UserError(f"{typed} exists and is no run folder: give --run another one{inside}") from error
        again = shlex.quote(str(typed))
        raise UserError(f"{typed} exists: go on with `softrl resume {again}`, or give --run another folder") from error
    sync_folder(run.parent)
    return run


def _numbered(temporary: Path, default: Path) -> Path:
    for number in count():
        path = default.with_name(f"{default.name}-{number}") if number else default
        if not path.exists():
            try:
                return _named(temporary, path, path)
            except UserError:
                continue  # another process took the name in between
    raise AssertionError("the numbers do not end")


def _write_first_files(folder: Path, config: dict[str, Any], command: Sequence[str], more: Mapping[str, Any]) -> None:
    folder.chmod(0o755)
    write_durably(folder / "config.json", _config_bytes(config))
    write_durably(folder / "command.txt", _line(command))
    write_durably(folder / "versions.json", (json.dumps(versions(), indent=2) + "\n").encode())
    for name, content in more.items():
        write_durably(folder / name, (json.dumps(content, indent=2) + "\n").encode())


def _config_bytes(config: dict[str, Any]) -> bytes:
    return (json.dumps({"format": FORMAT, **config}, indent=2) + "\n").encode()


def _safe(name: str) -> str:
    """A name as one path component: `module:Id-v0` and `ALE/Pong-v5` would nest or hide."""
    return re.sub(r"[^A-Za-z0-9._+=-]", "_", name).lstrip(".") or "unnamed"
