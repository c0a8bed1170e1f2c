"""The script that makes the results of the textless way: which commands it gives; and the page made of its files."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from run_scripts import commands_of

ROOT = Path(__file__).resolve().parents[2]
METRICS = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "meteor", "rouge_l", "cider_d", "spice")


@pytest.mark.skipif(shutil.which("bash") is None, reason="the script needs bash")
def test_one_system_and_single_stages_can_be_picked(tmp_path: Path) -> None:
    places = {"WORK": tmp_path / "work", "RESULTS": tmp_path / "results", "ALIGNMENTS": tmp_path / "alignments"}
    picked = {**places, "UNITS": "k-means", "CAPTIONERS": "transformer"}
    given = commands_of("runs/textless.sh", tmp_path, picked)
    first = ["train", "export", "units", "prepare", "evaluate", "train", "export", "train", "export"]
    cascade = ["export", "export"]  # its voice, and the whole
    assert [words[0] for words in given] == [*first, *cascade, "export", "evaluate"]
    assert given[0][1:] == ["configs/units/flickr8k-k-means.yaml"]
    assert given[7][1] == "configs/captioner/flickr8k-units-transformer.yaml"
    last = given[-1]
    assert last[1] == "spoken-captions"
    controls = [last[i + 1] for i, word in enumerate(last) if word == "--control"]
    assert [control.partition("=")[0] for control in controls] == ["speech", "units", "cascade", "shuffled", "constant"]
    assert not (tmp_path / "results.md").exists(), "there are no results yet"

    (tmp_path / "commands.txt").unlink()
    (tmp_path / "work/k-means/voice").mkdir(parents=True)
    given = commands_of("runs/textless.sh", tmp_path, {**picked, "STAGES": "voice captioners"})
    assert [words[0] for words in given] == ["train", "export"], "the voice is there"

    (tmp_path / "commands.txt").write_text("")
    judged = {**places, "UNITS": "resdavenet-vq", "CAPTIONERS": "", "STAGES": "voice"}
    first, second, export = commands_of("runs/textless.sh", tmp_path, judged)
    assert second[:2] == ["train", "configs/acoustic/unit-to-mel-adversarial.yaml"]
    assert str(Path(second[second.index("--weights") + 1]).parent) == first[first.index("--out") + 1]
    assert export[1] == second[second.index("--out") + 1]

    (tmp_path / "commands.txt").write_text("")
    (tmp_path / "results/transformer-k-means.json").write_text("{}")
    for name in ("units-k-means", "units"):
        (tmp_path / f"results/{name}.json").write_text("{}")
    for name in ("work/k-means/units", "work/k-means/column", "work/k-means/transformer", "alignments"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("work/k-means/column", "alignments"):
        (tmp_path / name / "dataset.json").write_text("{}")
    assert commands_of("runs/textless.sh", tmp_path, {**picked, "STAGES": "units voice captioners evaluate"}) == []

    known = {**picked, "STAGES": "known-words", "KNOWN_WORDS": "transformer-k-means", "KNOWN_ORDER": "3"}
    (given,) = commands_of("runs/textless.sh", tmp_path, known)
    assert given[given.index("--order") + 1] == "3"
    assert given[-1] == str(tmp_path / "results/known-words/transformer-k-means.json")


def row(
    what: str, value: float, held_out: bool = False, errors: float | None = None, less: Any = None
) -> dict[str, Any]:
    """A row of a result, with its metrics all alike."""
    return {
        "what": what,
        "scores": {**dict.fromkeys(METRICS, value), "spice": None},
        "intervals": dict.fromkeys(METRICS[:-1], (value - 1, value + 1)),
        "held_out": held_out,
        "word_error_rate": None if errors is None else {"rate": errors, "interval": (0.0, 0.5), "n_words": 9},
        "system_less_this": less,
    }


def write_results(folder: Path) -> None:
    """What a run leaves behind, with made-up figures."""
    folder.mkdir()
    one = {"system": 12.0, "this": 2.0, "difference": 10.0, "interval": (8.0, 12.0), "system_better": 1.0}
    rows = {
        "system": row("heard from the system", 12.3),
        "speech": row("true speech", 45.6, True, 0.234),
        "speech_written": row("what people say", 60.0, True),
        "units": row("its units", 33.3, True, 0.345),
        "shuffled": row("shuffled", 1.2, less={"bleu_4": one, "cider_d": one}),
        "constant": row("the same of every picture, in writing: 'a dog'", 4.5),
    }
    units = {"bleu_4": 22.2, "unit_error_rate": 0.61, "loop_rate": 0.05, "mean_length": 70.0, "length_ratio": 0.9}
    system = {"kind": "spoken captions", "data": {"rows": 1000}, "rows": rows, "unit_captions": units}
    system["recognizer"] = {"name": "ear", "content": "c" * 64, "order": 0, "knows": "any words"}
    (folder / "transformer-k-means.json").write_text(json.dumps(system))
    (folder / "transformer-k-means.heard.jsonl").write_text('{"row": "system"}\n')
    ear = {**system["recognizer"], "order": 2, "knows": {"words": 7000, "captions": 30000}}
    rows = {"system": row("heard", 14.3), "units": row("its units", 35.3, True, 0.111)}
    (folder / "known-words").mkdir()
    known = {**system, "recognizer": ear, "rows": rows}
    (folder / "known-words/transformer-k-means.json").write_text(json.dumps(known))
    quality = {"kind": "units", "scores": {"used_codes": 99, "perplexity": 77.7, "abx_within_frames": 0.123}}
    (folder / "units-k-means.json").write_text(json.dumps(quality))
    curve = [[500, 0.1], [1000, 0.2]]
    (folder / "retrieval.json").write_text(json.dumps({"run": {"steps": 1000, "recall_10": 0.2, "curve": curve}}))


def test_the_page_is_made_of_result_files(tmp_path: Path) -> None:
    folder = tmp_path / "textless"
    write_results(folder)
    page = make_page(folder)
    assert "| `transformer-k-means` | 12.3 | 12.3 | 12.3 | 12.3 (11.3 .. 13.3) |" in page
    assert "the true speech here 0.234 (0.000 .. 0.500)" in page
    assert "| *true units of* `transformer-k-means` \\* | 33.3 |" in page
    assert "0.345 (0.000 .. 0.500)" in page
    assert "10.0 (8.0 .. 12.0)" in page
    assert "What limits `transformer-k-means`, stage by stage" in page
    assert "| spoken, and heard: the recogniser | 45.6 | 14.4 |" in page
    known = page.partition("## Heard by one that knows words")[2]
    assert "it knows the 7000 words of 30000 captions of train, 2 in a row" in known
    assert "0.111 (0.000 .. 0.500)" in known
    assert "in writing: 'a dog'" in page
    assert "| `transformer-k-means` | 22.2 | – | 61.0 % | 70.0 | 0.90 | – | 5.0 % | – |" in page
    assert "| ABX, frames | 0.123 |" in page
    assert "0.200 at step 1000" in page
    assert "published on Flickr8k" in page
    path = folder.with_name("textless.md")
    path.write_text(page.replace("# The textless way", "# Another head") + "\nAnd a remark.\n")
    again = make_page(folder)
    assert again.startswith("# Another head"), "what stands around the tables stays"
    assert again.endswith("And a remark.\n")
    assert again.count("| ABX, frames | 0.123 |") == 1


def make_page(folder: Path) -> str:
    """The page of the results in `folder`."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, str(ROOT / "runs/textless.py"), str(folder)], check=True, env=environment)
    return folder.with_name(f"{folder.name}.md").read_text(encoding="utf-8")
