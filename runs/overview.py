"""Write docs/results/README.md: every way from picture to speech beside what others published, and what ours say of the
example pictures. No result of ours is typed in it.

    python runs/overview.py                     from the files that are there, and the embedded default
    python runs/overview.py --built             and all bundles that runs/textless.sh and runs/direct.sh have made here
    python runs/overview.py --way direct/joint=FOLDER --trained direct/joint=RUN        and this bundle
    python runs/overview.py --way … --trained direct/transformer=direct/joint:captioner-transformer
                                                a training whose folder is gone, as the file of another way has it
    python runs/overview.py --again             speak about the examples anew

A way is called after its result file: `textless/CAPTIONER-UNITS` and `direct/MEMBER` lie in docs/results/WAY.json
(`optophone evaluate spoken-captions`), `cascade` is a row in any of them. `--way` adds its examples and the number of
its weights, `--trained` (several times) the hours of a training of its parts; both lie in ways/WAY.json from then on.
How fast it is, `python benchmarks/main_job.py -m BUNDLE --no-torch -o docs/results/ways/WAY-speed.json` measures; a
dash stands there for the slash of WAY.
"""

import argparse
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from overview_ways import Way, show
from textless import PUBLISHED, about_recognizer, error_cell, number, table, with_interval

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs/results"
PICTURES = tuple(ROOT / f"examples/{name}.jpg" for name in ("beach", "lawn", "snow"))
CASCADE = "cascade"
HEARD = ("bleu_4", "meteor", "rouge_l", "cider_d", "spice")
WRITTEN = ("bleu_1", "bleu_2", "bleu_3", *HEARD)
WITH_INTERVAL = ("bleu_4", "cider_d")
LABELS = {"meteor": "METEOR", "rouge_l": "ROUGE-L", "cider_d": "CIDEr-D", "spice": "SPICE"}
LABELS |= {f"bleu_{n}": f"B-{n}" for n in range(1, 5)}
COST = ("weights", "training", "real-time factor")
WAYS_HEADINGS = ("way", *(LABELS[name] for name in HEARD), "CIDEr-D, shuffled", "word errors", *COST, "made by")
NOT_YET = "not measured yet"
ELSEWHERE = "by another recogniser, [below](#heard-by-another-recogniser)"
JUDGED = "voice-judged-run"  # the training that sharpens a voice over units; the joint model begins before it
# Captions in writing, COCO (Karpathy's test pictures) but for the last two. †: from memory, not checked in the paper.
PUBLISHED_IN_WRITING = [
    ("COCO: LSTM, Table 1 of the source paper", "", "", "", "29.6", "25.2", "52.6", "94.0", ""),
    ("COCO: X-LAN, cross-entropy, the same table", "78", "62.3", "48.9", "38.2", "28.8", "58", "122", "21.9"),
    ("COCO: X-LAN, self-critical (Pan et al. 2020)", "80.8", "65.6", "51.4", "39.5", "29.5", "59.2", "132.0", "23.4"),
    ("Flickr8k test: soft attention (Xu et al. 2015) †", "67", "44.8", "29.9", "19.5", "", "", "", ""),
    ("Flickr8k test: hard attention (the same) †", "67", "45.7", "31.4", "21.3", "", "", "", ""),
]
PAGES = {
    "default.md": "the embedded default: captions, doubt, voice, speed",
    "captioning.md": "captioners trained alike",
    "speech.md": "voices and vocoders",
    "textless.md": "the textless way with all its controls, and the units",
    "less-parallel.md": "learning from fewer pictures with spoken captions",
    "less-parallel-tenth.md": "10 % of the pairs, with the shuffled control",
}
PAGE = """# Results

Written by `python runs/overview.py` from the result files in this folder; how to add to it is said at the head of that
script. Scores are times 100; what they are: [metrics](../metrics.md). In brackets: the interval that holds 95 %.

{pages}

{sections}
"""
Result = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """A line of the table of ways.

    Args:
        name: of the way.
        label: as it is written.
        command: what makes it.
    """

    name: str
    label: str
    command: str


def read(path: Path) -> Result | None:
    """A result file, or None where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


# ------------------------------------------------------------------------------------------------------- every way


def known_ways(results: Path) -> list[Row]:
    """The cascade, then all that the scripts make when nothing is left out, then what else there are results of."""
    rows = [Row(CASCADE, "text cascade", "bash runs/default.sh")]
    textless, direct = defaults(ROOT / "runs/textless.sh"), defaults(ROOT / "runs/direct.sh")
    for units in textless["UNITS"].split():
        for captioner in textless["CAPTIONERS"].split():
            command = f"UNITS={units} CAPTIONERS={captioner} bash runs/textless.sh"
            rows.append(Row(f"textless/{captioner}-{units}", f"textless: {captioner} over {units}", command))
    for member in direct["MEMBERS"].split():
        rows.append(Row(f"direct/{member}", f"direct: {member}", f"MEMBERS={member} bash runs/direct.sh"))
    known = {row.name for row in rows}
    for name, result in heard_results(results).items():
        if name not in known:
            rows.append(Row(name, name.replace("/", ": "), result["command"]))
    return rows


def built_ways(folder: Path) -> list[Way]:
    """The bundles that the scripts have left below `folder`, with the trainings that they came from."""
    textless, direct = defaults(ROOT / "runs/textless.sh"), defaults(ROOT / "runs/direct.sh")
    eyes = [folder / "work/encoder-tiny-imagenet", folder / "work/captioner-transformer"]
    found = []
    for units in textless["UNITS"].split():
        here = folder / textless["WORK"] / units
        before = [*eyes, *sorted(folder.glob(f"work/units-{units}*")), here / "voice-run"]
        for captioner in textless["CAPTIONERS"].split():
            runs = [*before, here / f"{captioner}-run", here / JUDGED]
            found.append((f"textless/{captioner}-{units}", here / f"system-{captioner}", runs))
    halves = next(runs for name, _, runs in found if name == f"textless/transformer-{direct['UNITS']}")
    for member in direct["MEMBERS"].split():
        here = folder / direct["WORK"]
        start = [run for run in halves if run.name != JUDGED] if member == "joint" else eyes
        runs = [*start, here / f"{member}-run"]
        found.append((f"direct/{member}", here / member, runs))
    return [
        Way(name, str(bundle), tuple(run for run in runs if (run / "curves").is_dir()))
        for name, bundle, runs in found
        if (bundle / "bundle.json").is_file()
    ]


def defaults(script: Path) -> dict[str, str]:
    """What the variables of a run script are where nobody sets them."""
    return dict(re.findall(r"^(\w+)=\$\{\1:-(.*?)\}", script.read_text(encoding="utf-8"), re.MULTILINE))


def heard_results(results: Path) -> dict[str, Result]:
    """Name of the way to what `optophone evaluate spoken-captions` found."""
    found = {}
    for kind in ("textless", "direct"):
        for path in sorted((results / kind).glob("*.json")):
            result = read(path)
            if isinstance(result, dict) and result.get("kind") == "spoken captions":
                found[f"{kind}/{path.stem}"] = result
    return found


def ear_of(result: Result) -> tuple[Any, ...]:
    """Which recogniser heard a result, and how it listened: what is heard by others is another table."""
    ear = result.get("recognizer", {})
    return ear.get("name"), ear.get("content"), ear.get("order")


def by_ear(heard: Mapping[str, Result]) -> list[dict[str, Result]]:
    """What was heard, in parts by who heard it; the part of most ways first."""
    found: dict[tuple[Any, ...], dict[str, Result]] = defaultdict(dict)
    for name, result in heard.items():
        found[ear_of(result)][name] = result
    return sorted(found.values(), key=len, reverse=True)


def ways_table(results: Path) -> str:
    """All ways by all metrics, with what they cost, the controls, and what others published."""
    all_heard = heard_results(results)
    heard = next(iter(by_ear(all_heard)), {})
    rows = cascade_rows(heard, results)
    for way in known_ways(results):
        if way.name != CASCADE:
            missing = ELSEWHERE if way.name in all_heard else NOT_YET
            rows.append(way_cells(way, heard.get(way.name), way.name, results, missing))
    rows += control_rows(heard)
    empty = [""] * (len(WAYS_HEADINGS) - 1 - len(HEARD))
    rows += [[f"*published:* {name}", *cells, *empty] for name, *cells in PUBLISHED]
    return table(WAYS_HEADINGS, rows)


def other_ears(results: Path) -> str:
    """What other recognisers heard than the one that heard most ways, each beside its own controls."""
    parts = []
    for heard in by_ear(heard_results(results))[1:]:
        rows = cascade_rows(heard, results)
        rows += [way_cells(way, heard[way.name], way.name, results) for way in known_ways(results) if way.name in heard]
        about = f"The recogniser: {about_recognizer(next(iter(heard.values())))}"
        parts += [about, table(WAYS_HEADINGS, [*rows, *control_rows(heard)])]
    if not parts:
        return ""
    text = (
        "Scores by one recogniser are not compared with scores by another. One that knows only the words of captions "
        "hears captions in noise, too: *shuffled* tells how much of a score is that."
    )
    return "\n\n".join(["### Heard by another recogniser", text, *parts])


def cascade_rows(heard: Mapping[str, Result], results: Path) -> list[list[str]]:
    """The system that writes words, as it was heard beside one of the ways, and what it wrote."""
    source = next((name for name, result in heard.items() if "cascade" in result["rows"]), None)
    result = None if source is None else heard[source]
    way = next(way for way in known_ways(results) if way.name == CASCADE)
    return [way_cells(way, result, source, results), *written_rows(result, source, results)]


def written_rows(result: Result | None, source: str | None, results: Path) -> Iterator[list[str]]:
    """What the cascade wrote: where it was heard, else by the evaluation of captions."""
    row, file = read(results / "default-captions.json"), "default-captions"
    if result is not None and source is not None and "cascade_written" in result["rows"]:
        row, file = result["rows"]["cascade_written"], source
    if row is not None:
        cells = [f"[its text, before it is spoken]({file}.json)", *score_cells(row, HEARD), *["–"] * (2 + len(COST))]
        yield [*cells, "the same"]


def way_cells(way: Row, result: Result | None, source: str | None, results: Path, missing: str = NOT_YET) -> list[str]:
    """The line of one way; `missing` is said where there is no result."""
    made = f"`{way.command}`"
    if result is None or source is None:
        return [way.label, missing, *["–"] * len(HEARD), "–", *cost_cells(way, None, results), made]
    row = "cascade" if way.name == CASCADE else "system"
    shuffled = None if way.name == CASCADE else result["rows"].get("shuffled")
    other = "–" if shuffled is None else number(shuffled["scores"].get("cider_d"))
    bundle = result["cascade" if way.name == CASCADE else "bundle"]
    parts = bundle.get("parts")
    which = f" (`{bundle['name']}`)" if way.name == CASCADE and "name" in bundle else ""
    cells = [f"[{way.label}]({source}.json){which}", *score_cells(result["rows"][row], HEARD), other]
    return [*cells, error_cell(result["rows"][row]), *cost_cells(way, parts, results), made]


def cost_cells(way: Row, parts: Mapping[str, Any] | None, results: Path) -> list[str]:
    """Weights, hours, real-time factor; dashes where they were taken of another bundle than the scores in `parts`."""
    stem = Way(way.name, "").stem
    record, speed = read(results / f"ways/{stem}.json"), read(speed_path(way, results))
    weights = hours = factor = "–"
    heard = parts and {kind: content for kind, content in parts.items() if isinstance(content, str)}
    if record is not None and heard in (None, record["bundle"]["parts"]):
        total = sum(record["parameters"].values())
        weights = f"[{total / 1e6:.1f} M](ways/{stem}.json)"
        if record["training"]:
            hours = f"{sum(one['hours'] for one in record['training'].values()):.1f} h"
    if speed is not None:
        link = speed_path(way, results).relative_to(results).as_posix()
        instructions = speed.get("machine", {}).get("instructions")
        factor = f"[{speed['runtime']['real_time_factor']:.3f}]({link})" + (f" {instructions}" if instructions else "")
    return [weights, hours, factor]


def speed_path(way: Row, results: Path) -> Path:
    """Where benchmarks/main_job.py writes."""
    if way.name == CASCADE:
        return results / "default-speed.json"
    return results / f"ways/{Way(way.name, '').stem}-speed.json"


def score_cells(row: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Scores of a row of a result, or of a result of captions; two of them with their interval."""
    intervals = row.get("intervals") or {}
    return [
        with_interval(row["scores"].get(name), intervals.get(name) if name in WITH_INTERVAL else None) for name in names
    ]


def control_rows(heard: Mapping[str, Result]) -> Iterator[list[str]]:
    """What bounds all ways: people's own speech through the recogniser, and one caption for all pictures."""
    labels = {"speech": "people's captions, spoken \\*", "constant": "one caption for all, in writing"}
    for control, label in labels.items():
        source = next((name for name, result in heard.items() if control in result["rows"]), None)
        if source is not None:
            row = heard[source]["rows"][control]
            cells = [f"*control:* {label}", *score_cells(row, HEARD), "–", error_cell(row), *["–"] * len(COST)]
            yield [*cells, f"[beside this way]({source}.json)"]


def ways_section(results: Path) -> str:
    """The table of ways with what one needs to read it."""
    heard = heard_results(results)
    notes = [
        "A way speaks about every photograph of Flickr8k **dev**, a recogniser writes down what it hears, and that is",
        "scored as a caption; how: [spoken captions, heard](../textless.md). *Shuffled*: the same speech against the",
        "captions of other pictures. *Word errors*: words heard otherwise than they were said, where that is known.",
        "*Weights*: numbers in the graphs of its parts. *Training*: hours on CPU cores that were shared, of the whole",
        "trainings that are named in the file behind the weights, with those of its eyes and of what it started from.",
        "*Real-time factor*: seconds of work for a second of speech, on an AMD EPYC with AVX-512 VNNI, or with the",
        "instructions that are named beside it. A name links to its result file, which holds the",
        "exact command. The cascade is heard in a synthetic voice, as the others have, because the recogniser knows",
        "those best; the default speaks in a human one, and the real-time factor is the default's.",
    ]
    counted = sorted({result["data"]["rows"] for result in heard.values()})
    if counted:
        notes.append(f"Photographs heard: {' or '.join(map(str, counted))}.")
    below = [
        "Published: people's voices, the test photographs, larger networks with more pretraining, other recognisers;",
        "they stand beside ours and are not compared with them. † from memory, not checked against the paper.",
    ]
    if any("speech" in result["rows"] for result in heard.values()):
        below.append("\\* each against the captions of the other four people.")
    parts = ["## Every way from picture to speech", "\n".join(notes), ways_table(results), "\n".join(below)]
    return "\n\n".join(filter(None, [*parts, other_ears(results)]))


# ------------------------------------------------------------------------------------------------ captions in writing


def written_section(results: Path) -> str:
    """Our Table 1: captioners in writing, the embedded default and the family, beside those of the source paper."""
    rows = []
    default = read(results / "default-captions.json")
    if default is not None:
        label = "ours: [the embedded default, self-critical](default-captions.json)"
        rows.append([label, *score_cells(default, WRITTEN), "`bash runs/default.sh`"])
    family: dict[str, list[Path]] = defaultdict(list)
    for path in sorted((results / "captioning").glob("*-[0-9].json")):
        family[path.stem[:-2]].append(path)
    members = [member_cells(member, paths) for member, paths in family.items()]
    rows += [cells for _, cells in sorted(members, key=lambda one: -one[0])]
    if not rows:
        return ""
    rows += [[f"*published:* {name}", *cells, ""] for name, *cells in PUBLISHED_IN_WRITING]
    text = (
        "Our version of Table 1 of the source paper: captions before anything is spoken. Ours are of Flickr8k **dev**, "
        "192 × 192 pixels, and nothing was pretrained on more than 50,000 pictures of 64 × 64; several seeds are "
        "averaged. The published ones are not compared with them."
    )
    headings = ("captioner", *(LABELS[name] for name in WRITTEN), "made by")
    return "\n\n".join(["## Captions in writing", text, table(headings, rows)])


def member_cells(member: str, paths: Sequence[Path]) -> tuple[float, list[str]]:
    """Mean CIDEr-D of a captioner of the family, and its line."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    if len(found) == 1:
        cells = score_cells(found[0], WRITTEN)
    else:
        columns = [[one["scores"].get(name) for one in found] for name in WRITTEN]
        cells = [number(None if None in column else fmean(column)) for column in columns]
    files = ", ".join(f"[{path.stem[-1]}](captioning/{path.name})" for path in paths)
    cider = fmean(one["scores"]["cider_d"] for one in found)
    return cider, [f"ours: {member}, seed {files}", *cells, "`bash runs/captioning.sh`"]


# ------------------------------------------------------------------------------------------------------------ examples


def examples_section(results: Path) -> str:
    """Our Figure 4: what is said of the example pictures, and how."""
    records = [read(results / f"ways/{Way(way.name, '').stem}.json") for way in known_ways(results)]
    shown = [record for record in records if record is not None and record["examples"]]
    if not shown:
        return ""
    text = (
        "Our version of Figure 4 of the source paper: the caption, the spectrogram of the speech with the time of each "
        "word or unit, and where the model looked for it. The pictures are "
        "[drawn by a program](../../examples/README.md), so they have the licence of the project and nobody's model "
        "was trained on them. Units that follow one another are "
        "put together, twelve to a picture. A way without units decides while it speaks and has nothing to show."
    )
    parts = ["## Heard and seen", text]
    for number_, one in enumerate(shown[0]["examples"]):
        name = Path(one["picture"]).stem
        link = f"../../examples/{one['picture']}"
        parts.append(f"### {name}\n\n![{name}, the picture that is described]({link})")
        parts += [example_text(record["way"], record["examples"][number_]) for record in shown]
    return "\n\n".join(parts)


def example_text(way: str, one: Mapping[str, Any]) -> str:
    """One way about one picture."""
    said = f"“{one['said']}”" if one["writes"] in ("words", "characters") else "units"
    said = said if one["writes"] else "nothing in writing"
    heard = f"[{one['duration_s']:.1f} s of sound]({one['audio']})"
    sure = "" if one["confidence"] is None else f", confidence {one['confidence']:.2f}"
    faults = "".join(f", {problem}" for problem in one["problems"])
    faults += "" if one["complete"] else ", cut off before its end"
    head = f"**{way}**: {said}, {heard}{sure}{faults}."
    alt = f"Spectrogram of {way} about {Path(one['picture']).stem}, and where it looked"
    figure = f"![{alt}]({one['figure']})"
    if one["writes"] == "units":
        return f"{head}\n\n{figure}\n\n<details><summary>its units</summary>\n\n{one['text']}\n\n</details>"
    return f"{head}\n\n{figure}"


# ------------------------------------------------------------------------------------------------------------ the page


def write_page(results: Path) -> Path:
    """Write README.md of the folder of results."""
    sections = [ways_section(results), written_section(results), examples_section(results)]
    there = [
        f"- [{name.removesuffix('.md')}]({name}): {what}" for name, what in PAGES.items() if (results / name).is_file()
    ]
    text = PAGE.format(pages="\n".join(there), sections="\n\n".join(filter(None, sections)))
    path = results / "README.md"
    path.write_text(re.sub(r"\n{3,}", "\n\n", text), encoding="utf-8")
    return path


def with_training(way: Way, run: str, results: Path) -> Way:
    """The way with one more training: a run's folder, or OTHER:NAME for the training NAME in ways/OTHER.json."""
    other, _, name = run.rpartition(":")
    record = read(results / f"ways/{Way(other, '').stem}.json") if other else None
    if record is None or name not in record["training"]:
        return replace(way, runs=(*way.runs, Path(run)))
    return replace(way, recorded={**way.recorded, name: record["training"][name]})


def main() -> None:
    """Show the ways that are named, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    parser.add_argument("--pictures", type=Path, nargs="+", default=PICTURES)
    parser.add_argument("--built", type=Path, nargs="?", const=ROOT, metavar="FOLDER", help="where work/ is")
    parser.add_argument("--way", action="append", default=[], metavar="WAY=BUNDLE")
    parser.add_argument("--trained", action="append", default=[], metavar="WAY=RUN")
    parser.add_argument("--again", action="store_true")
    options = parser.parse_args()
    ways = {CASCADE: Way(CASCADE, "default")}
    ways |= {way.name: way for way in (built_ways(options.built) if options.built else [])}
    for name, bundle in (one.split("=", 1) for one in options.way):
        ways[name] = Way(name, bundle)
    for name, run in (one.split("=", 1) for one in options.trained):
        if name not in ways:
            parser.error(f"--trained {name}: say by --way which bundle that is")
        ways[name] = with_training(ways[name], run, options.results)
    for way in ways.values():
        print(show(way, options.pictures, options.results, options.again))
    print(write_page(options.results))


if __name__ == "__main__":
    main()
