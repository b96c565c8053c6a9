"""The commands: how each is called and what it does. Nothing heavy is imported here: `softrl --help` must not wait."""

from typing import NamedTuple

from softrl.errors import UserError, nearest


class Command(NamedTuple):
    """One subcommand, whose code is `softrl.cli.<name>.main`."""

    usage: str
    about: str


COMMANDS = {
    "train": Command(
        "ENV [--recipe NAME[+NAME...]] [--steps N] [--seed S] [--run DIR] [--config FILE] [--any.part.field VALUE ...]",
        "Learn a task; at the end it says where the run, its curve and its video are.",
    ),
    "resume": Command(
        "RUN [--steps N] [--minutes M] [--env ENV] [--any.part.field VALUE ...]",
        "Go on with a run, exactly; --steps and --minutes extend it, other values hold from there on: RUN --help lists "
        "them.",
    ),
    "evaluate": Command(
        "RUN [--episodes 10] [--stochastic] [--video FILE.mp4] [--json] [--checkpoint latest|best|STEP] [--env ENV]",
        "Returns of a run's policy.",
    ),
    "play": Command("RUN [--out FILE.mp4] [--checkpoint latest|best|STEP] [--env ENV]", "A video of a run's policy."),
    "plot": Command(
        "RUN... [--out FILE.png|.svg] [--by recipe|env|seed] [--reference METHOD]",
        "Learning curves with bootstrap bands over seeds, published points beside them; RUN may be a folder of runs.",
    ),
    "recipes": Command(
        "[list | show NAME[+NAME...] | diff A B]",
        "The algorithms: what each changes, and where it was published; module:name is one of your own.",
    ),
    "envs": Command("[list [PATTERN] | show ENV]", "The tasks: observations, actions, time limits, aliases."),
    "doctor": Command("", "What is here, what is missing, and the command that mends it."),
    "bench": Command(
        "[update | loop | envs]", "Speed here: of an update over its matrix products, of training, of environments."
    ),
}


def find(name: str) -> Command:
    """The command of that name; raises UserError with the nearest name when there is none."""
    if name not in COMMANDS:
        hint = nearest(name, COMMANDS) or f": choose one of {', '.join(COMMANDS)}"
        raise UserError(f"there is no command '{name}'{hint}")
    return COMMANDS[name]


def overview() -> str:
    """The page that `softrl --help` prints."""
    lines = (f"  {f'softrl {name} {usage}'.strip()}\n      {about}" for name, (usage, about) in COMMANDS.items())
    return "\n".join(
        (
            "softrl: the Soft Actor-Critic toolkit\n",
            *lines,
            "\nN may be written 100_000, 100k or 1M, and counts environment steps: frames, action repeat included.",
            "softrl COMMAND --help says more; softrl train ENV --recipe NAME --help lists the fields of that recipe.",
            "--debug shows where in the code a mistake was noticed.",
        )
    )
