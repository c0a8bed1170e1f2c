"""Write docs/results/less-parallel.md and its curves from the result files of runs/less_parallel.sh.

    python runs/less_parallel.py [FOLDER] [--methods "pairs language-model"] [--shares "1 3 10 30 100"] …

Files of the folder are called units-METHOD-CONTROL-SHARE-SEED.json (`optophone evaluate captions --units`) and
speech-METHOD-CONTROL-SHARE-SEED.json (`optophone evaluate spoken-captions`); settings.json says what all of them were
made with. The page is FOLDER.md beside the folder, its curves FOLDER/units.svg and FOLDER/speech.svg. The options say
what is to be there, so that the page can tell what is missing.
"""

import argparse
import json
import math
import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from textless import about_recognizer

from optophone.evaluation.comparison import compare_results, read_caption_result
from optophone.evaluation.line_figure import Axis, Line, line_figure

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs/results/less-parallel"
PLAIN = "pairs"
METHODS = {
    PLAIN: "pairs only",
    "language-model": "language model",
    "pseudo-labels": "pseudo-labels",
    "back-translation": "back-translation",
    "bottleneck": "bottleneck",
    "bottleneck-pairs": "bottleneck, pairs only",
    "guidance": "pairs only, guided",
}
CONTROLS = {"paired": "", "shuffled": ", shuffled pictures", "unrelated": ", unrelated speech"}
STYLES = ("solid", "long-dashed", "dotted", "dash-dotted", "double-dotted", "dashed")
USES_PICTURES_ALONE = "pseudo-labels"
# The script's variables by the names of their settings.
VARIABLES = {
    "steps": "STEPS",
    "config": "CONFIG",
    "overrides": "OVERRIDES",
    "tested": "N_TESTED",
    "heard": "N_HEARD",
    "beam": "BEAM",
    "speech_limit": "SPEECH_LIMIT",
    "recognizer": "RECOGNIZER",
    "order": "ORDER",
}
NO_SPEECH_ALONE = (PLAIN, "bottleneck-pairs", "guidance", USES_PICTURES_ALONE)


@dataclass(frozen=True)
class Measure:
    """What is measured of a cell: the beginning of its files' names, the metric there, and how both are called."""

    files: str
    metric: str
    label: str
    title: str


MEASURES = (
    Measure("units", "bleu_4", "BLEU-4 of units", "Units written for photographs"),
    Measure("speech", "cider_d", "CIDEr-D of what is heard", "Heard from the system"),
)


class Cell(NamedTuple):
    """A training: how, with which control, on how many per cent of the pairs, with which seed."""

    method: str
    control: str
    share: str
    seed: str

    @property
    def name(self) -> str:
        """In names of files."""
        return "-".join(self)


class Figure(NamedTuple):
    """A mean over seeds with the interval that holds 95 %."""

    mean: float
    low: float
    high: float

    def text(self, sign: str = "") -> str:
        """As it stands in a table."""
        mean, low, high = (round(value, 1) + 0.0 for value in self)  # nothing is less than nothing
        return f"{mean:{sign}.1f} ({low:{sign}.1f} .. {high:{sign}.1f})"


@dataclass(frozen=True)
class Grid:
    """What is to be there."""

    methods: Sequence[str]
    shares: Sequence[str]
    seeds: Sequence[str]
    controls: Sequence[str]
    control_shares: Sequence[str]

    def rows(self) -> list[tuple[str, str]]:
        """Methods with controls, those that there can be."""
        return [(method, control) for control in self.controls for method in self.methods if is_row(method, control)]

    def cells(self) -> Iterator[Cell]:
        """All cells that have a training of their own."""
        for method, control in self.rows():
            for share in self.shares:
                if same_as(method, share) == method and (control == "paired" or share in self.control_shares):
                    yield from (Cell(method, control, share, seed) for seed in self.seeds)


def is_row(method: str, control: str) -> bool:
    """Whether the control changes anything."""
    return control != "unrelated" or method not in NO_SPEECH_ALONE


def same_as(method: str, share: str) -> str:
    """The method that this one is at this share: without pictures alone there are no captions for them."""
    return PLAIN if method == USES_PICTURES_ALONE and share == "100" else method


class Results:
    """The results of a measure.

    Args:
        folder: with the files.
        measure: which.
        grid: what is to be there.
    """

    def __init__(self, folder: Path, measure: Measure, grid: Grid) -> None:
        self.folder, self.measure, self.grid = folder, measure, grid
        paths = {cell: folder / f"{measure.files}-{cell.name}.json" for cell in grid.cells()}
        self.paths = {cell: path for cell, path in paths.items() if path.is_file()}
        self.missing = [cell for cell in paths if cell not in self.paths]
        self.found = {cell: json.loads(path.read_text(encoding="utf-8")) for cell, path in self.paths.items()}

    def cells(self, method: str, control: str, share: str) -> list[Cell]:
        """Those that there are, one a seed."""
        cells = [Cell(same_as(method, share), control, share, seed) for seed in self.grid.seeds]
        return [cell for cell in cells if cell in self.found]

    def figure(self, method: str, control: str, share: str) -> Figure | None:
        """The mean over seeds; None where no seed is there."""
        metric = self.measure.metric
        results = [self.found[cell] for cell in self.cells(method, control, share)]
        return over_seeds([(one["scores"][metric], one["intervals"][metric]) for one in results])

    def gain(self, method: str, control: str, share: str) -> Figure | None:
        """How much better than pairs alone, seed by seed and picture by picture; None where either is missing."""
        beside = "shuffled" if control == "shuffled" else "paired"
        differences = []
        for cell in self.cells(method, control, share):
            plain = Cell(PLAIN, beside, share, cell.seed)
            if plain in self.paths and cell.method != PLAIN:
                compared = compare_results(*(read_caption_result(self.paths[one]) for one in (plain, cell)))
                one = next(found for found in compared if found.metric == self.measure.metric)
                differences.append((one.difference, one.interval))
        return over_seeds(differences)

    def curve(self, method: str, control: str = "paired") -> list[tuple[float, float]]:
        """(share in per cent, mean) of the shares that there are."""
        figures = [(float(share), self.figure(method, control, share)) for share in self.grid.shares]
        return sorted((share, figure.mean) for share, figure in figures if figure is not None)


def over_seeds(values: Sequence[tuple[float, Sequence[float]]]) -> Figure | None:
    """Mean and interval of several seeds' figures.

    The pictures are the same for every seed, so their part of the error does not shrink with more seeds.
    """
    if not values:
        return None
    mean = fmean(value for value, _ in values)
    low, high = fmean(interval[0] for _, interval in values), fmean(interval[1] for _, interval in values)
    if len(values) == 1:
        return Figure(mean, low, high)
    of_seeds = sum((value - mean) ** 2 for value, _ in values) / (len(values) - 1) / len(values)
    return Figure(
        mean,
        *(mean + math.copysign(math.hypot(end - mean, 1.96 * math.sqrt(of_seeds)), end - mean) for end in (low, high)),
    )


def needed_share(curve: Sequence[tuple[float, float]], wanted: float) -> float | None:
    """The share at which a curve first reaches `wanted`, between its points on a logarithmic axis.

    Returns:
        per cent; the smallest share of the curve where that is enough already; None where it never gets there.
    """
    if not curve:
        return None
    if curve[0][1] >= wanted:
        return curve[0][0]
    for (before, lower), (after, higher) in pairwise(curve):
        if lower < wanted <= higher:
            way = (wanted - lower) / (higher - lower)
            return math.exp(math.log(before) + way * (math.log(after) - math.log(before)))
    return None


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(headings) + " |", "|---" * len(headings) + "|"]
    return "\n".join(lines + ["| " + " | ".join(cells) + " |" for cells in rows])


def label_of(method: str, control: str) -> str:
    """As a row is called."""
    name = METHODS.get(method, method) + CONTROLS.get(control, f", {control}")
    return name if control == "paired" else f"*{name}*"


def scores_table(results: Results) -> str:
    """Every method and control at every share."""
    rows = []
    for method, control in results.grid.rows():
        cells = []
        for share in results.grid.shares:
            figure = results.figure(method, control, share)
            wanted = control == "paired" or share in results.grid.control_shares
            text = figure.text() if figure else ("missing" if wanted else "–")
            cells.append(f"{text} =" if figure and same_as(method, share) != method else text)
        rows.append((label_of(method, control), *cells))
    return table(("", *(f"{share} %" for share in results.grid.shares)), rows)


def gains_table(results: Results) -> str:
    """Every method less pairs alone, with the same control."""
    rows = []
    for method, control in results.grid.rows():
        if method != PLAIN:
            gains = [results.gain(method, control, share) for share in results.grid.shares]
            rows.append((label_of(method, control), *(gain.text("+") if gain else "–" for gain in gains)))
    return table(("less pairs only", *(f"{share} %" for share in results.grid.shares)), rows) if rows else ""


def needed_table(results: Results, n_pictures: int | None) -> str:
    """How many pairs each method needs to be as good as pairs alone with all of them."""
    full = results.figure(PLAIN, "paired", "100")
    if full is None:
        return f"Pairs only at 100 % is missing, so nobody knows what {results.measure.label} is to be matched."
    rows = []
    for method in results.grid.methods:
        curve = results.curve(method)
        share = needed_share(curve, full.mean)
        if share is None:
            text = f"not with {max(one for one, _ in curve):g} %" if curve else "missing"
        else:
            below = "at most " if share == curve[0][0] < 100 else ""
            counted = "" if n_pictures is None else f", {round(share / 100 * n_pictures)} pictures"
            text = f"{below}{share:.0f} %{counted}"
        rows.append((METHODS.get(method, method), text, ", ".join(f"{one:g}" for one, _ in curve)))
    head = f"needed for {full.text()} {results.measure.label}"
    return table(("", head, "from shares of, %"), rows)


def apart_lines(results: Results) -> list[str]:
    """Which methods beat pairs alone so clearly that the intervals do not overlap, and whether controls do too."""
    lines = []
    for share in results.grid.shares:
        clear = [
            (label_of(method, control), control)
            for method, control in results.grid.rows()
            if method != PLAIN and same_as(method, share) == method and is_apart(results, method, control, share)
        ]
        if clear:
            lines.append(f"- {share} %: " + ", ".join(label for label, _ in clear))
    none = [f"No interval is above that of pairs only in {results.measure.label}."]
    return ["Intervals above that of pairs only, which has the same control:", "", *lines] if lines else none


def is_apart(results: Results, method: str, control: str, share: str) -> bool:
    """Whether its interval is above that of pairs alone."""
    mine = results.figure(method, control, share)
    plain = results.figure(PLAIN, "shuffled" if control == "shuffled" else "paired", share)
    return mine is not None and plain is not None and mine.low > plain.high


def missing_lines(results: Results) -> str:
    """What is not there yet."""
    if not results.missing:
        return "All cells are there."
    seeds: Mapping[tuple[str, str, str], list[str]] = defaultdict(list)
    for cell in results.missing:
        seeds[cell.method, cell.control, cell.share].append(cell.seed)
    total = len(results.missing) + len(results.found)
    shown = [
        f"{label_of(method, control)} at {share} % (seed {', '.join(some)})"
        for (method, control, share), some in seeds.items()
    ]
    return f"**Missing: {len(results.missing)} of {total} cells.** " + "; ".join(shown) + "."


def figure_of(results: Results) -> str | None:
    """The curves as SVG; None without points."""
    curves = [(method, results.curve(method)) for method in results.grid.methods]
    lines = [
        Line(
            METHODS.get(method, method), [(math.log10(share), value) for share, value in curve], STYLES[i % len(STYLES)]
        )
        for i, (method, curve) in enumerate(curves)
        if curve
    ]
    if not lines:
        return None
    values = [value for line in lines for _, value in line.points]
    shares = sorted({float(share) for share in results.grid.shares})
    marks = [(math.log10(share), f"{share:g} %") for share in shares]
    span = max(max(values) - min(values), 1.0)
    low, high = max(0.0, min(values) - 0.3 * span), max(values) + 0.1 * span
    y = Axis(results.measure.label, low, high, decimals=1 if span > 3 else 2)
    x = Axis("training pictures with their spoken captions, logarithmic", marks[0][0], marks[-1][0] + 1e-9, marks=marks)
    described = "Scores by the share of pairs, on a logarithmic axis."
    return line_figure(results.measure.title, described, x, y, lines)


def sections(folder: Path, grid: Grid) -> list[str]:
    """All of the page after its head; writes the curves."""
    parts = []
    for measure in MEASURES:
        results = Results(folder, measure, grid)
        parts.append(f"## {measure.title}")
        if not results.found:
            parts.append("Nothing was measured yet.")
            continue
        drawn = figure_of(results)
        if drawn is not None:
            (folder / f"{measure.files}.svg").write_text(drawn, encoding="utf-8")
            parts.append(
                f"![{measure.label} by the share of pairs; values in the table]({folder.name}/{measure.files}.svg)"
            )
        any_result = next(iter(results.found.values()))
        n_tested = any_result["data"]["rows"]
        ears = "".join(f" {ear}" for ear in sorted(set(map(heard_by, results.found.values()))) if ear)
        parts += [f"{measure.label}, times 100, on {n_tested} photographs of dev.{ears}", scores_table(results)]
        parts += [part for part in (gains_table(results),) if part]
        parts += ["\n".join(apart_lines(results)), needed_table(results, pictures_of_training())]
        parts.append(missing_lines(results))
    return parts


def heard_by(result: dict[str, Any]) -> str:
    """Which recogniser heard a result; empty where there was nothing to hear."""
    return f"Heard by {about_recognizer(result)}" if result.get("recognizer") else ""


def pictures_of_training(folder: Path = ROOT / "data/flickr8k") -> int | None:
    """How many pictures 100 % are; None where the data is not here."""
    path = folder / "dataset.json"
    return json.loads(path.read_text(encoding="utf-8"))["splits"]["train"]["rows"] if path.is_file() else None


PAGE = """# Fewer pictures with speech

The same captioner over units of speech, trained with equal updates on a share of the photographs that have spoken
captions. The rest of the speech counts as speech alone, the rest of the photographs as pictures alone, and each method
learns from them in its own way: [how, and what the controls are](../less-parallel.md). {settings}

`=`: with 100 % there are no pictures alone, so pseudo-labels are pairs only. Intervals hold 95 % over pictures, and
over seeds where there are several; differences are of the same pictures and seeds. Made by

    {command}

whose result files are in [`{name}/`]({name}).

{parts}
"""


def read_settings(folder: Path) -> dict[str, Any]:
    """What all cells were made with; empty where nothing was made."""
    path = folder / "settings.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def settings_line(found: Mapping[str, Any]) -> str:
    """The settings in words."""
    if not found:
        return ""
    limit = f", at most {found['speech_limit']} utterances of speech alone" if found.get("speech_limit") else ""
    more = f" {found['overrides']}" if found.get("overrides") else ""
    return f"Here `{found['config']}{more}` with {found['steps']} updates, beam {found['beam']}{limit}."


def command_of(found: Mapping[str, Any], grid: Grid, folder: Path) -> str:
    """What the script was asked to do."""
    given = {variable: found[name] for name, variable in VARIABLES.items() if name in found}
    given |= {"SHARES": " ".join(grid.shares), "METHODS": " ".join(grid.methods), "SEEDS": " ".join(grid.seeds)}
    given |= {"CONTROLS": " ".join(grid.controls), "CONTROL_SHARES": " ".join(grid.control_shares)}
    if folder.resolve() != RESULTS and folder.resolve().is_relative_to(ROOT):
        given["RESULTS"] = folder.resolve().relative_to(ROOT).as_posix()
    variables = [f"{name}={shlex.quote(str(value))}" for name, value in given.items() if value != ""]
    return " \\\n        ".join([*variables, "bash runs/less_parallel.sh"])


def write_page(folder: Path, grid: Grid) -> Path:
    """Write the page and its curves."""
    path = folder.with_name(f"{folder.name}.md")
    settings = read_settings(folder)
    page = PAGE.format(
        settings=settings_line(settings),
        command=command_of(settings, grid, folder),
        name=folder.name,
        parts="\n\n".join(sections(folder, grid)),
    )
    path.write_text(page, encoding="utf-8")
    return path


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=RESULTS)
    parser.add_argument("--methods", default="pairs language-model pseudo-labels back-translation bottleneck")
    parser.add_argument("--shares", default="1 3 10 30 100")
    parser.add_argument("--seeds", default="0 1 2")
    parser.add_argument("--controls", default="paired shuffled unrelated")
    parser.add_argument("--control-shares", default=None)
    options = parser.parse_args()
    shares = options.shares.split()
    control_shares = shares if options.control_shares is None else options.control_shares.split()
    grid = Grid(options.methods.split(), shares, options.seeds.split(), options.controls.split(), control_shares)
    if not options.folder.is_dir():
        print(f"{options.folder}: no results yet")
        return
    print(write_page(options.folder, grid))


if __name__ == "__main__":
    main()
