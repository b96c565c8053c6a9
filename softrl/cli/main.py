"""The command `softrl`: finds the subcommand, and turns people's mistakes into one sentence and exit code 2."""

import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

from softrl.cli.commands import find, overview
from softrl.cli.memory import memory_errors
from softrl.cli.output import answer, prepare, warnings_as_sentences
from softrl.errors import UserError, own_traceback

HERE = ""
"""The working folder, where modules with environments and parts of people's own lie; `python` looks there too."""


def dispatch(words: Sequence[str]) -> None:
    """Do what a command line without the word `softrl` says; raises UserError."""
    name, *rest = words or ["--help"]
    if name in ("--help", "-h", "help"):
        answer(overview())
    elif name == "--version":
        from softrl import __version__

        answer(__version__)
    else:
        find(name)
        with memory_errors():
            import_module(f"softrl.cli.{name}").main(["--help" if word == "-h" else word for word in rest])


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code of a command line: 0 done, 2 a mistake or a circumstance said in one sentence, 130 interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    if HERE not in sys.path:
        sys.path.append(HERE)
    prepare()
    try:
        with warnings_as_sentences():
            dispatch([word for word in words if word != "--debug"])
    except UserError as error:
        more = "; --debug shows the traceback" if own_traceback(error) else ""
        if "--debug" in words:
            more = ""
            traceback.print_exc()
        with suppress(OSError):  # a log on the same full disk
            print(f"softrl: {' '.join(str(error).split())}{more}", file=sys.stderr, flush=True)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        pass  # the reader has seen enough
    return 0


if __name__ == "__main__":
    sys.exit(main())
