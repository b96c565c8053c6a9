"""An interpreter that has the peers: theirs and our requirements never meet in one environment."""

import os
import subprocess
import sys
import venv
from pathlib import Path

PEERS = (
    *("stable-baselines3", "sb3-contrib", "sbx-rl", "torchrl", "tensordict"),
    *("gymnasium[mujoco]", "mujoco<4", "dm-control"),  # the last for tasks of DeepMind Control
)


def interpreter(root: Path) -> str:
    """$PEERS_PYTHON, or that of an environment under `root`, which is made and filled where it is not there yet."""
    given = os.environ.get("PEERS_PYTHON")
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
    print(interpreter(Path(__file__).resolve().parent.parent))
