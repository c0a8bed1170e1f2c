"""Write docs/results/textless.md from the result files in docs/results/textless. No result of ours is typed in it.

    python runs/textless.py [FOLDER]
    python runs/textless.py FOLDER --retrieval RUN...    write FOLDER/retrieval.json from the curves of trainings

Files of the folder are called CAPTIONER-UNITS.json (`optophone evaluate spoken-captions`) and units-UNITS.json
(`optophone evaluate units`); known-words/CAPTIONER-UNITS.json is the first for a recogniser that knows words. The page
is FOLDER.md; only what stands between its marks is replaced.
"""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs/results/textless"
MARKS = ("<!-- tables of runs/textless.py -->", "<!-- end of tables -->")
METRICS = {
    "bleu_1": "B-1",
    "bleu_2": "B-2",
    "bleu_3": "B-3",
    "bleu_4": "B-4",
    "meteor": "METEOR",
    "rouge_l": "ROUGE-L",
    "cider_d": "CIDEr-D",
    "spice": "SPICE",
}
WITH_INTERVAL = ("bleu_4", "cider_d")
# Rows that are the same beside every system, and those that each has of its own.
SHARED = {
    "speech": "true speech \\*",
    "speech_written": "true speech, its text \\*",
    "cascade": "text cascade",
    "cascade_written": "text cascade, its text",
    "constant": "one caption for all, its text",
}
OWN = {"units": "true units of", "shuffled": "shuffled pictures,"}
COMPARED = ("cascade", "shuffled", "constant", "units", "speech")
# From other pictures, other speech and another recogniser each. †: from memory, not checked against the paper.
PUBLISHED = [
    ("Show and Speak (Wang et al. 2021), no units", "3.5", "11.3 †", "23.2 †", "8.0 †", ""),
    ("Hsu et al. 2020, Show-Attend-and-Tell over VQ3", "12.5", "14.5 †", "39.1 †", "24.5 †", "9.5 †"),
    ("Kim et al. 2023, large pretrained models", "20.6", "22.0 †", "48.4 †", "53.6 †", "15.8 †"),
]
UNIT_CAPTIONS = {
    "bleu_4": "B-4 of units",
    "shuffled_bleu_4": "shuffled",
    "unit_error_rate": "wrong units",
    "mean_length": "units",
    "length_ratio": "of speech's",
    "n_distinct": "different",
    "loop_rate": "loop",
    "no_end_rate": "no end",
}
UNIT_QUALITY = {
    "used_codes": "codes used",
    "perplexity": "perplexity",
    "units_per_s": "units/s",
    "bits_per_s_lossless": "bits/s",
    "abx_within_frames": "ABX, frames",
    "abx_within_vectors": "ABX, vectors",
    "abx_within_collapsed": "ABX, collapsed",
    "abx_within_mel": "ABX, log-mel",
    "pnmi": "PNMI",
    "words_with_f1_above_half": "words, F1 > .5",
    "speaker_accuracy": "speaker told",
}
RETRIEVAL = tuple(f"{side}_recall_{rank}" for side in ("speech", "picture") for rank in (1, 5, 10))
_BOUNDARY = re.compile(r".*_(f1|r_value)$")
PAGE = """# The textless way: photo → units → speech

Every system writes units of speech for a photograph of Flickr8k **dev** and says them with a voice over the same
units; no text is read anywhere on the way. A recogniser then writes down what it hears, and that is scored as a caption
against what five people wrote. How, and what each control is: [the evaluation](../textless.md). Scores are times 100.
Made by

    bash runs/textless.sh

whose result files are in [`textless/`](textless).

The systems did not learn for the same time: `transformer-resdavenet-vq` 2,500 steps, the other captioners 800; the
voice over ResDAVEnet-VQ 2,500 steps and 2,000 more against judges, the others 1,000. What is between them is therefore
not only the units'.

{begin}
{end}
"""

Result = dict[str, Any]


def read_results(folder: Path, kind: str) -> dict[str, Result]:
    """Name of the file to the results of this kind."""
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
    return {name: result for name, result in found.items() if isinstance(result, dict) and result.get("kind") == kind}


def number(value: float | None, digits: int = 1) -> str:
    """A figure, or a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def with_interval(value: float | None, interval: Sequence[float] | None, digits: int = 1) -> str:
    """A figure with the interval that holds 95 %."""
    if value is None or interval is None:
        return number(value, digits)
    return f"{value:.{digits}f} ({interval[0]:.{digits}f} .. {interval[1]:.{digits}f})"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(headings) + " |", "|---" * len(headings) + "|"]
    return "\n".join(lines + ["| " + " | ".join(cells) + " |" for cells in rows])


def label_of(name: str) -> str:
    """`show-attend-tell-k-means` as it stands."""
    return f"`{name}`"


def score_cells(row: Mapping[str, Any]) -> list[str]:
    """The metrics of a row of a result."""
    intervals = row["intervals"]
    return [
        with_interval(row["scores"].get(name), intervals.get(name) if name in WITH_INTERVAL else None)
        for name in METRICS
    ]


def error_cell(row: Mapping[str, Any]) -> str:
    """Its word error rate."""
    errors = row["word_error_rate"]
    return "–" if errors is None else with_interval(errors["rate"], errors["interval"], 3)


def scores_table(systems: Mapping[str, Result]) -> str:
    """All systems, then what stands beside them: shared controls once, their own for each."""
    rows = [(label_of(name), *score_cells(result["rows"]["system"]), "–") for name, result in systems.items()]
    for control, label in SHARED.items():
        result = next((one for one in systems.values() if control in one["rows"]), None)
        if result is not None:
            row = result["rows"][control]
            rows.append((f"*{label}*", *score_cells(row), error_cell(row)))
    for control, label in OWN.items():
        for name, result in systems.items():
            if control in result["rows"]:
                row = result["rows"][control]
                star = " \\*" if row["held_out"] else ""
                rows.append((f"*{label}* {label_of(name)}{star}", *score_cells(row), error_cell(row)))
    notes = ["\\* one true spoken caption of each picture, against what the other four people wrote."]
    constant = next((one["rows"]["constant"] for one in systems.values() if "constant" in one["rows"]), None)
    if constant is not None:
        notes.append(f"One caption for all: {constant['what']}.")
    return table(("heard from", *METRICS.values(), "word errors"), rows) + "\n\n" + " ".join(notes)


def differences_table(systems: Mapping[str, Result]) -> str:
    """How much better each system is than its controls, on the same pictures."""
    shown = [name for name in COMPARED if any(name in result["rows"] for result in systems.values())]
    headings = [f"− {name}, {METRICS[metric]}" for name in shown for metric in WITH_INTERVAL]
    rows = []
    for name, result in systems.items():
        cells = []
        for control in shown:
            found = result["rows"].get(control, {}).get("system_less_this") or {}
            for metric in WITH_INTERVAL:
                one = found.get(metric)
                cells.append("–" if one is None else with_interval(one["difference"], one["interval"]))
        rows.append((label_of(name), *cells))
    return table(("system", *headings), rows)


LOSSES = {
    "speech_written": "what people say, in writing",
    "speech": "spoken, and heard: the recogniser",
    "units": "in units, said by the voice: both",
    "system": "by the captioner: all that it does not see or say",
    "shuffled": "control: about another picture",
}


def losses_table(systems: Mapping[str, Result]) -> str:
    """What each stage of the best system costs: CIDEr-D from people's writing down to the controls; "" without rows."""
    whole = {name: one for name, one in systems.items() if LOSSES.keys() <= one["rows"].keys()}
    if not whole:
        return ""
    best = max(whole, key=lambda name: whole[name]["rows"]["system"]["scores"]["cider_d"])
    scores = [whole[best]["rows"][row]["scores"]["cider_d"] for row in LOSSES]
    lost = ["–", *(number(before - after) for before, after in pairwise(scores[:-1])), "–"]
    rows = [(label, number(score), less) for label, score, less in zip(LOSSES.values(), scores, lost, strict=True)]
    return f"What limits {label_of(best)}, stage by stage:\n\n" + table(("stage", "CIDEr-D", "lost"), rows)


def recognizer_line(systems: Mapping[str, Result]) -> str:
    """Who listened, and how well it hears true speech."""
    texts = {name: about_recognizer(result) for name, result in systems.items()}
    if len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    lines = [f"- {label_of(name)}: {text}" for name, text in texts.items()]
    return "\n".join(["several, so that not all systems can be compared:", "", *lines])


def about_recognizer(result: Result) -> str:
    """Who heard a result, what it knows, and how well it hears true speech."""
    ear, knows = result["recognizer"], result["recognizer"]["knows"]
    name = ear["name"] + (f" ({ear['content'][:12]})" if ear.get("content") else "")
    words = "it writes any words"
    if not isinstance(knows, str):
        words = f"it knows the {knows['words']} words of {knows['captions']} captions of train"
        words += f", {ear['order']} in a row" if ear["order"] > 1 else ""
    rates = {data: f"{rate:.3f}" for data, rate in ear.get("word_error_rates_on_true_speech", {}).items()}
    if "speech" in result["rows"]:
        rates = {"the true speech here": error_cell(result["rows"]["speech"]), **rates}
    told = "; ".join(f"{data} {rate}" for data, rate in rates.items()) or "not measured"
    return f"{name}; {words}. Its word error rate on true speech: {told}."


def unit_captions_table(systems: Mapping[str, Result]) -> str:
    """The units themselves."""
    found = {name: result["unit_captions"] for name, result in systems.items() if result.get("unit_captions")}
    rows = [(label_of(name), *(_unit_cell(key, one.get(key)) for key in UNIT_CAPTIONS)) for name, one in found.items()]
    return table(("units of", *UNIT_CAPTIONS.values()), rows) if rows else ""


def _unit_cell(key: str, value: float | None) -> str:
    if value is not None and key.endswith("_rate"):
        return f"{100 * value:.1f} %"
    return number(value, {"length_ratio": 2, "n_distinct": 0}.get(key, 1))


def unit_quality_table(units: Mapping[str, Result]) -> str:
    """Kinds of units beside each other, one a column."""
    keys = dict(UNIT_QUALITY)
    for result in units.values():
        keys |= {key: key.replace("_", " ") for key in result["scores"] if _BOUNDARY.match(key) and key not in keys}
    rows = []
    for key, label in keys.items():
        values = [result["scores"].get(key) for result in units.values()]
        if any(value is not None for value in values):
            share = key.startswith("abx") or key in ("pnmi", "speaker_accuracy") or _BOUNDARY.match(key)
            rows.append((label, *(number(value, 3 if share else 0) for value in values)))
    names = [f"`{name.removeprefix('units-')}`" for name in units]
    return table(("units", *names), rows)


def retrieval(run: Path) -> dict[str, Any]:
    """Recall between pictures and speech in the validations of a training of ResDAVEnet-VQ, the last and all."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "curves"), size_guidance={"scalars": 0})
    events.Reload()
    there = set(events.Tags()["scalars"])
    last = {
        name: events.Scalars(f"dev/{name}")[-1].value
        for name in (*RETRIEVAL, "recall_10", "chance_10")
        if f"dev/{name}" in there
    }
    curve = [(event.step + 1, round(event.value, 4)) for event in events.Scalars("dev/recall_10")]
    return {"steps": curve[-1][0], **last, "curve": curve}


def retrieval_table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The stages of the curriculum."""
    headings = [f"{name.replace('_', ' ')}" for name in (*RETRIEVAL, "recall_10", "chance_10")]
    rows = [
        (f"`{run}`", str(one["steps"]), *(number(one.get(name), 3) for name in (*RETRIEVAL, "recall_10", "chance_10")))
        for run, one in found.items()
    ]
    curves = []
    for run, one in found.items():
        curve = one["curve"]
        shown = curve[:: max(1, len(curve) // 6)]
        shown = shown if shown[-1] == curve[-1] else [*shown, curve[-1]]
        curves.append(f"- `{run}`, recall 10: " + ", ".join(f"{value:.3f} at step {step}" for step, value in shown))
    return table(("training", "steps", *headings), rows) + "\n\n" + "\n".join(curves)


def published_table() -> str:
    """What others report on Flickr8k."""
    headings = ("published on Flickr8k", "B-4", "METEOR", "ROUGE-L", "CIDEr", "SPICE")
    note = (
        "Published: other eyes, other speech (people's), the test split and another recogniser, so these stand beside "
        "ours and are not compared with them. † from memory, not checked against the paper."
    )
    return table(headings, PUBLISHED) + "\n\n" + note


def sections(folder: Path) -> list[str]:
    """All that there are files for."""
    systems, units = read_results(folder, "spoken captions"), read_results(folder, "units")
    parts = []
    if systems:
        counted = sorted({result["data"]["rows"] for result in systems.values()})
        pictures = " or ".join(map(str, counted))
        heard = f"## What is heard\n\n{pictures} photographs. The recogniser: {recognizer_line(systems)}"
        parts += [heard, scores_table(systems)]
        parts += ["The system less the control, on the same pictures (95 %):", differences_table(systems)]
        parts += [one for one in (losses_table(systems), published_table()) if one]
        if table_of_units := unit_captions_table(systems):
            parts += ["## What is written in units", table_of_units]
    if known := read_results(folder / "known-words", "spoken captions"):
        heard = f"## Heard by one that knows words\n\nThe recogniser: {recognizer_line(known)}"
        parts += [one for one in (heard, scores_table(known), losses_table(known)) if one]
    if units:
        parts += ["## The units", unit_quality_table(units)]
    path = folder / "retrieval.json"
    if path.is_file():
        parts += ["## Pictures and speech", retrieval_table(json.loads(path.read_text(encoding="utf-8")))]
    return parts


def write_page(folder: Path) -> Path | None:
    """Put the tables between the marks of the page, which is begun where there is none; None without results."""
    parts = sections(folder)
    if not parts:
        return None
    path = folder.with_name(f"{folder.name}.md")
    page = path.read_text(encoding="utf-8") if path.is_file() else PAGE.format(begin=MARKS[0], end=MARKS[1])
    before, rest = page.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    tables = "\n\n".join(parts)
    path.write_text(f"{before}{MARKS[0]}\n{tables}\n{MARKS[1]}{after}", encoding="utf-8")
    return path


def main() -> None:
    """Write the page, or the file of retrieval."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=RESULTS)
    parser.add_argument("--retrieval", nargs="+", type=Path, metavar="RUN")
    options = parser.parse_args()
    if options.retrieval:
        found = {run.name: retrieval(run) for run in options.retrieval}
        options.folder.mkdir(parents=True, exist_ok=True)
        (options.folder / "retrieval.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        return
    print(write_page(options.folder) or f"{options.folder}: no results yet")


if __name__ == "__main__":
    main()
