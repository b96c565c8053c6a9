"""An interpreter that has the peers: theirs and our requirements never meet in one environment."""

import argparse
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from softrl.errors import UserError

PEERS = (
    *("stable-baselines3", "sb3-contrib", "sbx-rl", "torchrl", "tensordict"),
    *("gymnasium[mujoco]", "mujoco<4", "dm-control"),  # the last for tasks of DeepMind Control
)


def interpreter(root: Path, named: str | None = None) -> str:
    """The one that is named, $PEERS_PYTHON, or that of an environment under `root`, made where it is not there yet.

    Raises UserError where there is no program of that name.
    """
    given = named or os.environ.get("PEERS_PYTHON")
    if given and shutil.which(given) is None:
        raise UserError(f"{given} is no program: give the peers' interpreter, or neither --peers nor PEERS_PYTHON")
    if given:
        return given
    home = root / ".peers"
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    filled = home / "filled"
    if not filled.exists() or filled.read_text() != "\n".join(PEERS):
        print(f"installing {', '.join(PEERS)} in {home}", file=sys.stderr, flush=True)
        venv.create(home, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PEERS], check=True)
        filled.write_text("\n".join(PEERS))  # a cut installation is made again
    return str(python)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    print(interpreter(Path(__file__).resolve().parent.parent))
