"""The trainer: collect, learn, and everything that happens by the clock."""

import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from softrl.agent.chunk import mean_executed
from softrl.agent.compile import compile_errors, launched, packed, refusal
from softrl.agent.diagnose import churn, diagnose, probe
from softrl.data import envs
from softrl.data.collect import Collected, Collector
from softrl.data.replay import Replay
from softrl.data.sources import Source
from softrl.errors import UserError
from softrl.nn.layers import set_precision
from softrl.nn.processor import quicken_products
from softrl.run import pictures, video
from softrl.run.change import Settings
from softrl.run.checkpoint import Checkpoints, shape_errors_named
from softrl.run.clock import AtEnd, EvaluationClock, Every, UpdateRatio
from softrl.run.config import Run
from softrl.run.console import Console, Quiet
from softrl.run.counters import Counters
from softrl.run.dataset import experience
from softrl.run.evaluate import Evaluation, StoppedError, caution, evaluate, filmed
from softrl.run.fields import to_json
from softrl.run.folder import write_config
from softrl.run.heap import keep_freed
from softrl.run.launches import next_launch, updates_per_launch
from softrl.run.log import Logger
from softrl.run.progress import Callback, Progress, asks_to_stop, present
from softrl.run.resolve import Begun, replay_config
from softrl.run.saved import Saved
from softrl.run.seed import Generators, derive, evaluation_seed, isolated_generators, repeatable
from softrl.run.segments import Segments
from softrl.run.signals import stopped_by_signals
from softrl.run.weights import check_finite
from softrl.types import Window

PICTURED = 8
"""Rows of replay that pictures show and encoders measure something on."""
MUCH_CLIPPED = 0.05
"""Share of targets outside a critic's support above which a run says so."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Trainer:
    """One run in its folder: the parts, the loop, the clocks. Build it anew and `load` to go on exactly."""

    def __init__(
        self, run: Run, source: Source, folder: Path, named: Path | None = None, begun: Begun = Begun()
    ) -> None:
        self.run, self.source, self.named = run, source, named or folder
        folder = self.folder = folder.absolute()  # an environment may leave the working folder
        self.console: Console = Quiet()
        self.callback: Callback | None = None
        self.stopping = self.interrupted = self.given_up = self.ended = self.may_stop_compiling = False
        self.began = time.perf_counter()
        self.opened = np.zeros(run.envs)  # seconds of the run at which each environment's episode began, or went on
        torch.set_num_threads(run.threads or 1)
        repeatable()
        if run.device == "cpu":
            quicken_products()
        self.generators = Generators()
        self.generators.seed(derive(run.seed, "agent"))
        self.env = envs.vector(source, run.env, run.envs, derive(run.seed, "environment"))
        seed = derive(run.seed, "evaluation")
        with isolated_generators(seed, torch.empty(0, device=run.device)):  # some environments draw while they are made
            self.eval_env = envs.vector(source, replace(run.env, workers="sync"), run.eval.episodes, seed)
        spec = envs.spec(self.env)._replace(gamma=run.train.gamma)
        self.agent = run.agent.build(spec).to(run.device)
        spec = self.agent.spec  # which says how many actions are planned at once
        set_precision(self.agent, DTYPES[run.precision])
        self.compiled_update = launched(packed(self.agent.update_fn), run.compile, run.device)
        seed = derive(run.seed, "replay")
        kept = replay_config(run, source, begun)
        self.replay = Replay(kept, spec, run.envs, run.train.gamma, seed, run.device, folder)
        self.experience = experience(run, self.replay, self.agent, self.env.single_action_space, folder)
        keep_freed()  # after replay is made, which is to be given back whole when the run is over
        self.updates_per_launch = updates_per_launch(run, self.replay)
        self.collector = Collector(self.env, self.agent, spec, derive(run.seed, "explore"), device=run.device)
        self.count = Counters()
        self.owed = UpdateRatio(run.train.updates_per_decision)
        self.log_due = Every(run.log.every)
        self.evaluation_due = EvaluationClock(run.eval.every, run.steps)
        self.checkpoint_due = EvaluationClock(run.checkpoint.every or run.eval.every, run.steps)
        filmed = run.video.every
        self.video_due = EvaluationClock(filmed, run.steps) if isinstance(filmed, int) else AtEnd(run.steps)
        self.log, self.settings = Logger(folder, run.device, planned=spec.chunk > 1), Settings(run)
        self.checkpoints = Checkpoints(
            folder,
            run.checkpoint.keep,
            agent=self.agent,
            replay=Segments(folder / "replay", self.replay, self.replay.segment),
            sampling=self.experience,
            collector=self.collector,
            count=self.count,
            owed=self.owed,
            log_due=self.log_due,
            evaluation_due=self.evaluation_due,
            checkpoint_due=self.checkpoint_due,
            video_due=self.video_due,
            generators=self.generators,
            log=self.log,
            settings=self.settings,
        )

    @torch.enable_grad()  # whatever the caller has switched off
    def train(self, console: Console, callback: Callback | None = None) -> None:
        """Run to the end, or until a signal or the callback stops it; a checkpoint is on disk in either case.

        What ends it otherwise is written to the log.

        Raises:
            UserError: the environment failed or gave numbers that are not finite, learning diverged, or the disk is
                full; earlier checkpoints are intact.
        """
        self.console, self.callback = console, callback
        self.began = time.perf_counter() - self.count.seconds
        with stopped_by_signals(self.stop), self.log.last_words():
            self.run_due_events()
            self.opened[:] = self.seconds()
            while not self.finished() and not self.stopping:
                self.advance()
                self.run_due_events()
            self.ended = self.finished()  # asked once: the clock goes on while the rest is written
            if self.ended and self.out_of_time():
                self.unless_stopped(self.end_by_the_clock)
            self.ended = self.ended and not self.given_up
            if self.ended and self.count.written != self.count.env_steps:
                self.written(keep=True)  # for the row of a run that is extended
            self.save()

    def end_by_the_clock(self) -> None:
        """The last evaluation and video of a run whose minutes are over, unless it has them."""
        if self.count.evaluated != self.count.env_steps:
            self.evaluate()
        if self.run.video.every != "never" and self.count.filmed != self.count.env_steps:
            self.film()

    def finished(self) -> bool:
        """Whether the run has come to its end."""
        return self.count.env_steps >= self.run.steps or self.out_of_time()

    def out_of_time(self) -> bool:
        """Whether the minutes of the run are over."""
        return self.run.left(self.seconds()) <= 0

    def advance(self) -> None:
        """One vector step, and the updates that are owed: after it, or while it is on its way."""
        warming = self.count.env_steps < self.run.train.warmup
        self.collector.begin(random=warming and not self.count.initialised)
        if self.run.collect == "async":
            self.catch_up(warming)
        self.record_step(self.collector.finish())
        if self.run.collect == "sync":
            self.catch_up(warming)
        self.console.progress(self.count.env_steps)

    def record_step(self, got: Collected) -> None:
        """Remember and count what a step brought."""
        self.replay.add(got.row)
        self.count.env_steps += got.frames
        self.count.decisions += got.decisions
        for episode in got.episodes:
            self.count.episodes += 1
            planned = mean_executed(self.collector.carry, episode.env)
            self.log.episode(self.count.env_steps, self.count.episodes, *episode[1:], self.seconds(), planned)
            self.console.episode(self.count.episodes, episode.total, self.seconds() - self.opened[episode.env])
            self.opened[episode.env] = self.seconds()

    def catch_up(self, warming: bool) -> None:
        """Make the updates owed so far."""
        ready = not warming and self.replay.ready
        owed = self.owed(self.count.decisions, ready)
        while owed:
            count = next_launch(self.run, self.updates_per_launch, self.count.updates, owed)
            self.update(count)
            owed -= count

    def update(self, count: int = 1) -> None:
        """Sample, then make `count` updates; a single one with diagnostics before and after it when they are due."""
        window = self.experience.sample(self.run.train.batch, count)
        # Not as soon as an update is made: evaluations, checkpoints and diagnostics in between see what was learned.
        if done := self.count.updates:
            self.agent.intervene(window, done)
        self.count.updates += count
        every = self.run.log.diagnostics
        if every is None or self.count.updates % every:
            self.launch_updates(window, count)
            return
        spare = self.replay.peek(self.run.train.batch)  # rows that are, most likely, not learned from now
        before = probe(self.agent, spare)
        self.launch_updates(window, count)
        seen = diagnose(self.agent, spare) | churn(before, probe(self.agent, spare))
        self.log.add(tuple(seen), torch.stack(tuple(seen.values())))

    def launch_updates(self, window: Window, count: int) -> None:
        """Make the newest `count` updates, from the samples of replay that lie in a window one after the other."""
        n, train = self.count.updates, self.run.train
        numbers = range(n - count + 1, n + 1)
        actor = tuple(number % train.actor_every == 0 for number in numbers)
        follow = tuple(number % train.target_every == 0 for number in numbers)
        for attempt in itertools.count():
            try:
                results = self.compiled_update(self.agent, window, actor=actor, follow=follow)
                break
            except compile_errors() as error:
                if attempt or not self.interrupted:  # a terminal's Ctrl-C ends the compiler, too: it is asked once more
                    self.stop_compiling(error)
        for names, values, _ in results:
            self.log.add(names, values)
        self.experience.update_priorities(window.index, results[-1][-1])

    def stop_compiling(self, error: Exception) -> None:
        """Go on uncompiled, now and when resumed; raises UserError where compiling was asked for."""
        told = f"the update cannot be compiled ({refusal(str(error))}), `softrl doctor` looks for what is missing"
        if not self.may_stop_compiling:
            raise UserError(f"{told}: mend it, or use --compile off") from error
        self.run = self.settings.run = replace(self.run, compile="off")
        write_config(self.folder, to_json(self.run))
        self.compiled_update = launched(packed(self.agent.update_fn), "off")
        self.say(f"{told}: updates run uncompiled")

    def run_due_events(self) -> None:
        """What the clocks ask for: log, evaluation, video, checkpoint, in this order."""
        steps = self.count.env_steps
        if self.log_due(steps):
            self.write()
        self.unless_interrupted(self.evaluation_due, self.evaluate)
        if self.run.video.every != "never":
            self.unless_interrupted(self.video_due, self.film)
        if self.checkpoint_due(steps):
            self.save()

    def unless_interrupted(self, clock: EvaluationClock | AtEnd, event: Callable[[], object]) -> None:
        """What takes long, if its clock asks for it: where a signal ends the run meanwhile, a resume has it to do."""
        before = clock.state_dict()
        if clock(self.count.env_steps) and not self.unless_stopped(event):
            clock.load_state_dict(before)

    def unless_stopped(self, event: Callable[[], object]) -> bool:
        """Whether something could be done before a signal came; else the run is not finished yet."""
        try:
            event()
        except StoppedError:
            self.given_up = True
        return not self.given_up

    def look(self) -> None:
        """Raise StoppedError where a signal has come."""
        if self.interrupted:
            raise StoppedError

    def write(self) -> None:
        """Write the metrics since the last time."""
        values = self.written()
        self.console.learned(values)
        clipped = values.get("train/clipped_share", 0.0)
        if clipped > MUCH_CLIPPED and not self.count.warned:
            self.count.warned = True
            line = f"{clipped:.0%} of the targets lie outside the critic's support: widen agent.critic.head.low, .high"
            self.say(line)
        self.tell(values)

    def written(self, keep: bool = False) -> dict[str, float]:
        """Metrics since the last time, written; those of updates are begun anew unless `keep`."""
        steps, optimizer = self.count.env_steps, self.agent.optim.value
        self.count.written = steps
        rate = float(optimizer.config.schedule.rate(optimizer.learning_rate, optimizer.count))
        return self.log.write(steps, self.count.speed(self.seconds()) | {"train/learning_rate": rate}, keep)

    def evaluate(self) -> Evaluation:
        """One evaluation of the protocol; the best so far is kept as checkpoint `best`.

        Raises:
            UserError: the environment failed or gave numbers that are not finite; learning diverged; the disk is full.
        """
        # What a diverged policy does may be finite: a choice is, and its return.
        check_finite(self.agent, self.count.updates)
        count, run = self.count, self.run
        seeds = [evaluation_seed(run.seed, count.env_steps, i) for i in range(run.eval.episodes)]
        result = evaluate(self.agent, self.eval_env, seeds, look=self.look)
        if any(result.cut) and not count.cut:
            count.cut = True
            self.say(caution(result))
        planned = np.array(result.plans, float).mean(0).tolist()  # over episodes
        at = (count.env_steps, count.decisions, count.updates)
        successes, measured = result.successes or None, self.measured()
        values = self.log.evaluation(*at, *result[:2], successes, self.seconds(), planned, measured)
        count.last = mean = values["eval/mean_reward"]
        count.evaluated = count.env_steps
        self.console.evaluation(count.env_steps, mean)
        self.show()
        if count.best is None or mean > count.best:
            count.best = mean
            self.checkpoints.mark_best(count.env_steps)
        self.tell(values)
        return result

    def measured(self) -> dict[str, float]:
        """What the encoder measures on some rows of replay."""
        if not self.replay.ready:
            return {}
        found = self.agent.encoder.measures(self.replay.peek(PICTURED))
        return {name: float(value) for name, value in found.items()}

    def show(self) -> None:
        """What the encoder makes of some rows of replay, to media/<env_steps>_<name>.png and .mp4."""
        if not self.replay.ready:
            return
        encoder, window = self.agent.encoder, self.replay.peek(PICTURED)
        shown = encoder.pictures(window), encoder.films(window)
        pictures.show(self.folder / "media", self.count.env_steps, self.log.events, *shown)

    def film(self) -> None:
        """A video of one evaluation episode; a line in the log where it is too long, or fails and was not asked for."""
        try:
            self.record()
        except UserError as error:
            if self.run.video.every != "auto" and not isinstance(error, video.EndlessError):
                raise
            self.log.text(f"no video: {error}")
        self.count.filmed = self.count.env_steps

    def record(self) -> None:
        """Film an evaluation episode to videos/<env_steps>.mp4; raises UserError where rendering cannot work."""
        steps = self.count.env_steps
        seed = evaluation_seed(self.run.seed, steps, 0)
        frames, fps = filmed(self.agent, self.source, self.run, seed, look=self.look)
        video.write(self.folder / "videos" / f"{steps}.mp4", frames, fps)
        self.log.events.video(steps, "evaluation", frames, fps)

    def save(self) -> None:
        """A checkpoint of this moment; raises UserError rather than save weights that are not finite."""
        check_finite(self.agent, self.count.updates)
        self.count.seconds = self.seconds()
        self.checkpoints.save(self.count.env_steps)

    def load(self, saved: Saved, elsewhere: str = "") -> list[str]:
        """Go on from a checkpoint; returns, and logs, what was refused or lost on the way.

        `elsewhere` says that it goes on in another environment than it began in. Raises UserError where there is
        another and it says nothing.
        """
        self.collector.elsewhere = bool(elsewhere)
        with shape_errors_named(self.folder):
            self.checkpoints.take(saved)
        self.replay.ranking.cut(torch.from_numpy(self.collector.cut))
        self.began = time.perf_counter() - self.count.seconds
        lost = not all(self.collector.exact)
        cut = "the environment cannot give its state: its episode was cut, and a new one begins" if lost else ""
        told = [*self.checkpoints.warnings, *filter(None, [elsewhere, cut])]
        for line in told:
            self.log.text(line)
        return told

    def close(self) -> None:
        """End the environments and close the files; what the whole process has, `left_as_it_was` gives back."""
        self.env.close()
        self.eval_env.close()
        self.log.close()

    def place(self) -> Path:
        """The run folder as it was named, where that still leads to it, else from the root."""
        return self.named if self.named.exists() and self.named.samefile(self.folder) else self.folder

    def seconds(self) -> float:
        """Wall-clock seconds of the run so far."""
        return time.perf_counter() - self.began

    def stop(self) -> None:
        """End the loop at the next step, or the next decision of an evaluation."""
        self.stopping = self.interrupted = True

    def say(self, line: str) -> None:
        """A line for people, in the log and on the screen."""
        self.log.text(line)
        self.console.say(line)

    def tell(self, values: dict[str, float]) -> None:
        """Call the user's callback, which stops the run by returning True."""
        if self.callback:
            c, policy = self.count, present(self.agent, self.eval_env, self.run, self.source)
            told = Progress(c.env_steps, c.decisions, c.updates, c.episodes, values, self.folder, policy)
            if asks_to_stop(self.callback, told) and not (self.stopping or self.finished()):
                self.stopping = True
                self.say(f"stopped by the callback, which returned True, at {c.env_steps} of {self.run.steps} steps")
