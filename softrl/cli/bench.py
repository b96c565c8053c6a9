"""`softrl bench`: how fast the update, the loop or the environments are here."""

from collections.abc import Collection, Sequence
from importlib import import_module

from softrl.cli.flags import check, choose, count_operands, split, switches
from softrl.cli.output import answer
from softrl.cli.page import page, sections, usage
from softrl.cli.train import recipes_with
from softrl.errors import UserError, nearest
from softrl.run.fields import flat, read, settings

MEASURED = ("update", "loop", "envs")
"""What can be measured, each by a module of `softrl.bench` with `Options`, `settable(options) -> run, paths` and
`report(options, settings) -> lines`."""
RENAMED = {"env.name": "env", "train.updates_per_decision": "updates"}
"""Settings of a run that have another name among the options."""


def main(words: Sequence[str]) -> None:
    """Measure; raises UserError."""
    if list(words) == ["--help"]:
        answer(page("bench", [f"softrl bench {' | '.join(MEASURED)} --help says more of each; update is the default."]))
        return
    named = bool(words) and not words[0].startswith("--")
    what, rest = (words[0], words[1:]) if named else (MEASURED[0], words)
    if what not in MEASURED:
        raise UserError(f"there is nothing to measure called '{what}'{nearest(what, MEASURED)}")
    measure(what, rest)


def measure(what: str, words: Sequence[str]) -> None:
    """Measure one of them; raises UserError."""
    module = import_module(f"softrl.bench.{what}")
    defaults = module.Options()
    found, own = split(words, switches(defaults) | {"help"}), flat(defaults)
    # Before anything is checked, as the recipe says what there is to set; a flag without its value is refused below.
    options = choose(defaults, found._replace(flags={name: text for name, text in found.flags.items() if text}))
    run, paths = module.settable(options)
    if "help" in found.switches:
        groups = ", ".join(f"--{group}" for group in sorted({path.partition(".")[0] for path in paths}))
        also = f"Flags of softrl train that begin with {groups} set what is measured, as they do there."
        about = (module.__doc__ or "").partition(": ")[2].strip()
        answer(page("bench", [*sections(defaults, "options"), also], about[:1].upper() + about[1:]))
        return
    whole = settings(run)

    def elsewhere(path: str) -> str:
        return left_out(path, own) if path in whole else recipes_with(path)

    check(found, [*own, *paths], flat(run).keys() - set(whole), elsewhere)
    count_operands(found.operands, 0, 0, usage("bench"))
    texts = {path: text for path, text in found.flags.items() if path not in own}
    for line in module.report(options, read(run, texts)):
        answer(line)


def left_out(path: str, own: Collection[str]) -> str:
    """The end of a sentence about a setting of a run that is not taken here."""
    here = RENAMED.get(path, path.rpartition(".")[2])
    return f"; here it is '--{here}'" if here in own else "; nothing that is measured here depends on it"
