"""Every pair of recipes, the second stacked on the first: trained for four updates, or refused with a sentence.

    .venv/bin/python benchmarks/pairs.py           # trains all pairs, eight minutes of a core
    .venv/bin/python benchmarks/pairs.py --only NAME  # trains those of one recipe, and keeps the others' rows
    .venv/bin/python benchmarks/pairs.py --page    # writes the page anew

Raw results go to benchmarks/results/pairs/pairs.csv, with their page beside.
"""

import argparse
import csv
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from test_pairs import NAMES, PAIRS, verdict  # noqa: E402

from softrl.run.versions import versions  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "pairs"
COLUMNS = ("first", "second", "end", "sentence", "commit")


def main(arguments: Sequence[str] | None = None) -> None:
    """Try, keep, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", action="store_true", help="write the page from what is kept")
    parser.add_argument("--only", choices=NAMES, metavar="NAME", help="try the pairs of this recipe alone")
    options = parser.parse_args(arguments)
    RESULTS.mkdir(parents=True, exist_ok=True)
    if options.only:
        again(RESULTS / "pairs.csv", options.only)
    elif not options.page:
        attempt(RESULTS / "pairs.csv", PAIRS)
    write(RESULTS)


def attempt(path: Path, pairs: Sequence[tuple[str, str]]) -> None:
    """Try the pairs and keep how each ended."""
    commit = str(versions()["commit"])
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for first, second in pairs:
            table.writerow((first, second, *verdict(first, second), commit))
            file.flush()


def again(path: Path, name: str) -> None:
    """Try the pairs of one recipe, new or changed, and keep the other rows as they are."""
    with path.open(newline="") as file:
        known = {(row["first"], row["second"]): tuple(row.values()) for row in csv.DictReader(file)}
    commit = str(versions()["commit"])
    tried = {pair: (*pair, *verdict(*pair), commit) for pair in PAIRS if name in pair}
    rows = known | tried
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *(rows[pair] for pair in PAIRS if pair in rows)])


def write(results: Path) -> None:
    """The page: how many pairs ended how, and what each recipe is refused with."""
    with (results / "pairs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    commits = dict.fromkeys(row["commit"] for row in rows)
    refused: dict[str, list[str]] = defaultdict(list)
    stacked: dict[str, int] = defaultdict(int)
    for row in rows:
        if row["end"] == "refused":
            refused[row["first"]].append(row["second"])
        stacked[row["first"]] += row["end"] == "trained"
    trained = sum(stacked.values())
    tried = {row[place] for row in rows for place in ("first", "second")}
    newer = [name for name in NAMES if name not in tried]
    lines = [
        "# Every pair of recipes",
        "",
        f"`softrl train ENV --recipe FIRST+SECOND`: of {len(rows)} ordered pairs {trained} trained for four updates, "
        f"with every part moved that should move, and {len(rows) - trained} were refused with a sentence. These are in "
        f"[pairs.csv](pairs.csv), made by `benchmarks/pairs.py` at commit {' and '.join(commits)}.",
        *(["", f"Newer than that, and in no pair yet: {', '.join(newer)}."] if newer else []),
        "",
        "| first | stacks with | refuses |",
        "|---|---|---|",
        *(f"| {first} | {stacked[first]} | {', '.join(refused[first]) or 'none'} |" for first in stacked),
    ]
    (results / "README.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
