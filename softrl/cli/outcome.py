"""What a run says when it ends: how well it went and where everything is."""

import shlex
import sys
from typing import TYPE_CHECKING

from softrl.run.console import announce, audience
from softrl.run.folder import read_config

if TYPE_CHECKING:
    from softrl.api import RunResult


def tell(result: "RunResult", quiet: bool) -> None:
    """Print where a run is, with its curve and video unless `quiet`; raises KeyboardInterrupt when it was stopped."""
    if quiet:
        announce(str(result.path))
    else:
        announce(f"run    {result.path}\ncurve  {result.path / 'curve.png'}\nvideo  {video(result)}")
        if result.best is not None and result.last is not None:
            announce(f"return {result.last:.1f} at the end, {result.best:.1f} at best")
    if not result.finished:
        with audience():
            again = f"stopped, and saved: softrl resume {shlex.quote(str(result.path))} goes on"
            print(again, file=sys.stderr if quiet else sys.stdout, flush=True)
        raise KeyboardInterrupt


def video(result: "RunResult") -> str:
    """The newest video of a run, or why there is none."""
    videos = sorted((result.path / "videos").glob("*.mp4"), key=lambda file: file.stat().st_mtime)
    return str(videos[-1]) if videos else f"none: {reason(result)}"


def reason(result: "RunResult") -> str:
    """Why a run has no video: nobody wanted one, it could not be made, or none was due yet."""
    if read_config(result.path)["video"]["every"] == "never":
        return "not asked for"
    return refusal(result) or "the run was stopped before one was due"


def refusal(result: "RunResult") -> str:
    """What a run's log says last of a video that could not be made; nothing where none was tried."""
    log = (result.path / "log.txt").read_text("utf-8", errors="surrogateescape")
    told = [line.partition("no video: ")[2] for line in log.splitlines()]
    return next(filter(None, reversed(told)), "")
