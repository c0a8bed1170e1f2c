"""Write docs/results/captioning.md from the result files in docs/results/captioning. Nothing in its table is typed.

python runs/captioning.py
"""

import json
import math
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs/results/captioning"
PAGE = ROOT / "docs/results/captioning.md"
MARKS = ("<!-- tables of runs/captioning.py -->", "<!-- end of tables -->")
HEADINGS = (
    "member",
    "seeds",
    "B-1",
    "B-2",
    "B-3",
    "B-4",
    "METEOR",
    "ROUGE-L",
    "CIDEr-D",
    "95 %",
    "different",
    "words",
    "by heart",
)
COLUMN_OF_CIDER = HEADINGS.index("CIDEr-D")
NAMES = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "meteor", "rouge_l", "cider_d")


def load() -> dict[str, list[dict[str, Any]]]:
    """The results of each member, one per seed; files are called MEMBER-SEED.json."""
    members: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for path in sorted(RESULTS.glob("*-[0-9].json")):
        members[path.stem[:-2]].append(json.loads(path.read_text(encoding="utf-8")))
    return members


def interval(results: list[dict[str, Any]]) -> str:
    """Of CIDEr-D, 95 %: over photographs for one seed; for several, the mean's, with the spread of the seeds in it."""
    halves = [(r["intervals"]["cider_d"][1] - r["intervals"]["cider_d"][0]) / 2 for r in results]
    mean = fmean(r["scores"]["cider_d"] for r in results)
    if len(results) == 1:
        low, high = results[0]["intervals"]["cider_d"]
        return f"{low:.1f}–{high:.1f}"
    # Photographs are the same for every seed, so their part of the error does not shrink with more seeds.
    of_seeds = sum((r["scores"]["cider_d"] - mean) ** 2 for r in results) / (len(results) - 1) / len(results)
    half = math.hypot(fmean(halves), 1.96 * math.sqrt(of_seeds))
    return f"{mean - half:.1f}–{mean + half:.1f}"


def by_heart(member: str) -> str:
    """Steps after which the member knew 32 photographs by heart."""
    learned = json.loads((RESULTS / "overfit.json").read_text(encoding="utf-8"))
    result = learned[member.removesuffix("-frozen")]
    return f"{result['steps']}" if result["bleu_4"] > 90 else f"never ({result['bleu_4']:.1f})"


def row(member: str, results: list[dict[str, Any]]) -> tuple[str, ...]:
    """One line of the table: means over seeds."""
    means = [fmean(r["scores"][name] for r in results) for name in NAMES]
    distinct = fmean(r["scores"]["n_distinct_captions"] for r in results)
    words = fmean(r["scores"]["mean_length"] for r in results)
    scores = [f"{mean:.1f}" for mean in means]
    return member, str(len(results)), *scores, interval(results), f"{distinct:.0f}", f"{words:.1f}", by_heart(member)


def family_table(members: dict[str, list[dict[str, Any]]]) -> str:
    """All members, best CIDEr-D first."""
    rows = sorted((row(*item) for item in members.items()), key=lambda cells: -float(cells[COLUMN_OF_CIDER]))
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---" * len(HEADINGS) + "|"]
    return "\n".join(lines + ["| " + " | ".join(cells) + " |" for cells in rows])


def symbols_table() -> str:
    """The transformer over words, phones and characters: the result files called symbols-KIND.json."""
    headings = ("symbols", *HEADINGS[2:11])
    lines = ["| " + " | ".join(headings) + " |", "|---" * len(headings) + "|"]
    for symbols in ("words", "phones", "characters"):
        path = RESULTS / f"symbols-{symbols}.json"
        if not path.is_file():
            continue
        scores = json.loads(path.read_text(encoding="utf-8"))
        means = [scores["scores"].get(name) for name in NAMES]
        cells = ["–" if mean is None else f"{mean:.1f}" for mean in means]
        cells += [interval([scores]), str(scores["scores"]["n_distinct_captions"])]
        lines.append("| " + " | ".join((symbols, *cells)) + " |")
    return "\n".join(lines)


def speed_table(measured: dict[str, Any]) -> str:
    """X-LAN in full size beside a plain reading of the original: `benchmarks/captioning.py`."""
    machine = measured["machine"]
    where = f"{machine['processor']}, {machine['threads']} threads"
    lines = [f"X-LAN, 75 million parameters, {measured['regions']} regions, {where},"]
    lines += ["ms (times as fast as the plain reading):", "", "| | side | ms | faster |", "|---|---|---|---|"]
    for case in measured["describing"]:
        what = f"beam {case['beam_size']}, pictures at a time: {case['pictures']}"
        lines += speed_rows(what, case["sides"])
    return "\n".join(lines + speed_rows("cross-entropy training step", measured["training"]["sides"]))


def speed_rows(what: str, sides: dict[str, dict[str, Any]]) -> list[str]:
    """A line for each side."""
    plain = sides["plain"]["median_ms"]
    return [
        f"| {what} | {name} | {side['median_ms']:.0f} | {plain / side['median_ms']:.2f} |"
        for name, side in sides.items()
    ]


def main() -> None:
    """Put the tables between the marks of the page."""
    speed = speed_table(json.loads((ROOT / "docs/results/captioning-speed.json").read_text(encoding="utf-8")))
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    tables = "\n\n".join((family_table(load()), symbols_table(), speed))
    PAGE.write_text(f"{before}{MARKS[0]}\n{tables}\n{MARKS[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
