"""Trains a list of runs, two at a time with one thread each; skips what is done and resumes what was cut.

It may be killed and started again at any time; what its runs were doing goes on or is resumed.
"""

import argparse
import os
import shlex
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from types import FrameType

import collecting
import jobs
from arguments import positive
from jobs import Job

ROOT = Path(__file__).resolve().parent.parent
ATTEMPTS = 3  # starts of one run that may fail before it is given up
MISTAKE = 2  # exit code of a command line that will never work


def main() -> int:
    """Run or collect a list; answers the exit code: 0 when all its runs are done."""
    parser = argparse.ArgumentParser(prog="benchmarks/run", description=__doc__)
    parser.add_argument("list", type=Path, help="a file with one command a line")
    parser.add_argument("--workers", type=positive, default=2, help="runs at a time (default 2)")
    parser.add_argument("--every", type=float, default=60.0, help="seconds between progress lines (default 60)")
    parser.add_argument("--collect", action="store_true", help="copy what is done to benchmarks/results instead")
    options = parser.parse_args()
    if not options.list.is_file():
        parser.error(f"{options.list} is not a list: there are those of benchmarks/lists")
    os.chdir(ROOT)
    listed = jobs.read(options.list, Path())
    if options.collect:
        return collecting.collect(listed, ROOT / "benchmarks")
    signal.signal(signal.SIGTERM, interrupt)
    queue = Queue(listed, options.workers)
    try:
        return queue.run(options.every)
    except KeyboardInterrupt:
        queue.stop()
        return 130


def interrupt(number: int, frame: FrameType | None) -> None:
    """Let SIGTERM end the program as Ctrl-C does."""
    raise KeyboardInterrupt


def say(text: str) -> None:
    """A line with the time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


class Queue:
    """The runs of a list that are not done, and the processes at work on them."""

    def __init__(self, listed: list[Job], workers: int) -> None:
        self.workers = workers
        self.waiting = [job for job in listed if not job.done()]
        self.running: dict[Job, subprocess.Popen[bytes]] = {}
        self.failures: Counter[Job] = Counter()
        self.given_up: list[Job] = []
        for job in listed:
            if job not in self.waiting:
                say(f"{job.folder}: done before")

    def run(self, every: float) -> int:
        """Work until nothing is left; answers 1 when a run was given up."""
        told = time.monotonic()
        while self.waiting or self.running:
            self.reap()
            self.fill()
            if time.monotonic() - told >= every:
                told = time.monotonic()
                self.report()
            time.sleep(min(1.0, every))
        return 1 if self.given_up else 0

    def fill(self) -> None:
        """Start runs while there are workers; a run that another process holds keeps one of them busy."""
        elsewhere = [job for job in self.waiting if job.occupied()]
        self.waiting = [job for job in self.waiting if job in elsewhere or not job.done()]
        free = self.workers - len(self.running) - len(elsewhere)
        for job in [job for job in self.waiting if job not in elsewhere][: max(0, free)]:
            self.waiting.remove(job)
            command = job.command()
            say(f"{job.folder}: {shlex.join([Path(command[0]).name, *command[1:]])}")
            job.output.parent.mkdir(parents=True, exist_ok=True)
            with job.output.open("ab") as output:
                self.running[job] = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, "OMP_NUM_THREADS": "1"},
                    start_new_session=True,  # Ctrl-C is for this program, which then asks its runs to save
                )

    def reap(self) -> None:
        """Take note of processes that ended; a run that is not done waits for its next attempt, or is given up."""
        for job, process in list(self.running.items()):
            if process.poll() is None:
                continue
            del self.running[job]
            if job.done():
                say(f"{progress(job)}, done")
                continue
            self.failures[job] += 1
            last = (job.output.read_text(errors="replace").strip().splitlines() or ["no output"])[-1]
            say(f"{job.folder}: ended with code {process.returncode}: {last}")
            if process.returncode == MISTAKE or self.failures[job] == ATTEMPTS:
                self.given_up.append(job)
                say(f"{job.folder}: given up; {job.output} says why")
            else:
                self.waiting.append(job)

    def report(self) -> None:
        """A line for each run at work, and how many wait."""
        for job in [*self.running, *(job for job in self.waiting if job.occupied())]:
            say(progress(job))
        say(f"{len(self.waiting)} waiting")

    def stop(self) -> None:
        """Ask the runs to save and end, and wait for them."""
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            process.wait()
        say("stopped; start again to go on")


def progress(job: Job) -> str:
    """How far a run is."""
    rows, steps = job.evaluations(), job.config().get("steps", "?")
    if not rows:
        return f"{job.folder}: starting"
    return f"{job.folder}: {rows[-1]['env_steps']} of {steps}, return {float(rows[-1]['return_mean']):.1f}"


if __name__ == "__main__":
    raise SystemExit(main())
