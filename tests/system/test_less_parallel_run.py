"""The script of the ablation: which commands it gives; and the page made of its files."""

import importlib
import json
import math
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from optophone.core.configuration import from_mapping
from optophone.evaluation.captions import score_captions
from optophone.evaluation.comparison import figures_record
from optophone.evaluation.unit_error import tokenize_units
from optophone.training.captioning import CaptioningExperiment
from optophone.training.configuration_file import read_configuration
from run_scripts import commands_of

ROOT = Path(__file__).resolve().parents[2]
needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="the script needs bash")


def places(folder: Path) -> dict[str, Any]:
    return {"WORK": folder / "work", "RESULTS": folder / "results", "REGIONS": folder / "regions"}


def options_of(command: list[str]) -> dict[str, str]:
    """Options of a training, by name."""
    return {name.removeprefix("--"): command[i + 1] for i, name in enumerate(command) if name.startswith("--")}


@needs_bash
def test_every_training_of_the_whole_is_configured(tmp_path: Path) -> None:
    given = commands_of("runs/less_parallel.sh", tmp_path, {**places(tmp_path), "STAGES": "units", "SEEDS": "0"})
    trainings = [command for command in given if command[0] == "train"]
    # 5 methods at 5 shares, but pseudo-labels at 100 %; all of them shuffled; 3 with unrelated speech.
    assert len(trainings) == 24 + 24 + 15
    updates = set()
    for command in trainings:
        overrides = [(name, value) for name, value in options_of(command).items() if name != "out"]
        experiment = from_mapping(CaptioningExperiment, read_configuration(ROOT / command[1], overrides))
        updates.add(experiment.trainer.max_steps)
        method, control, share, _ = Path(options_of(command)["out"]).name.rsplit("-", 3)
        assert experiment.data.pairs_share == pytest.approx(int(share) / 100)
        assert experiment.data.pairs_shuffled == (control == "shuffled")
        section = None if method == "pairs" else method.replace("-", "_")
        found = [] if experiment.unpaired is None else [n for n, v in asdict(experiment.unpaired).items() if v]
        assert found == ([] if section is None else [*(["speech"] if control == "unrelated" else []), section])
        assert (experiment.decoder.bottleneck is not None) == (method == "bottleneck")
    assert updates == {4000}
    assert sum(command[:1] == ["units"] for command in given) >= 1, "the units of unrelated speech"
    assert len([command for command in given if command[:2] == ["evaluate", "captions"]]) == 63


@needs_bash
def test_a_slice_and_what_is_there_already(tmp_path: Path) -> None:
    small = {**places(tmp_path), "STEPS": 200, "SHARES": "10 100", "METHODS": "pairs pseudo-labels", "SEEDS": "0"}
    small |= {"CONTROLS": "paired", "N_TESTED": 50, "OVERRIDES": "--data.batch_size 10"}
    given = commands_of("runs/less_parallel.sh", tmp_path, {**small, "STAGES": "units speech"})
    assert [command[0] for command in given].count("train") == 6, (
        "nothing was carried out, so the second stage trains too"
    )
    options = options_of(given[0])
    assert (options["trainer.max_steps"], options["optimizer.warmup_steps"]) == ("200", "25")
    assert options["data.batch_size"] == "10"
    assert any(command[:2] == ["evaluate", "spoken-captions"] for command in given)
    for name in ("pairs-paired-10-0", "pairs-paired-100-0"):
        (tmp_path / f"results/units-{name}.json").write_text("{}")
    (tmp_path / "work/bundles/pseudo-labels-paired-10-0").mkdir()
    (tmp_path / "commands.txt").write_text("")
    given = commands_of("runs/less_parallel.sh", tmp_path, {**small, "STAGES": "units"})
    assert [command[:2] for command in given] == [["evaluate", "captions"]], "one bundle is there and not measured"
    with pytest.raises(subprocess.CalledProcessError):
        commands_of("runs/less_parallel.sh", tmp_path, {**small, "STEPS": 300, "STAGES": "units"})


EAR = {"name": "some ear", "order": 2, "knows": {"captions": 9, "words": 7, "left_out": 0, "split": "train"}}


@needs_bash
def test_guidance_is_another_search_of_the_same_training(tmp_path: Path) -> None:
    (tmp_path / "work/bundles/pairs-paired-10-0").mkdir(parents=True)
    options = {**places(tmp_path), "SHARES": "10", "METHODS": "pairs guidance", "SEEDS": "0", "CONTROLS": "paired"}
    given = commands_of("runs/less_parallel.sh", tmp_path, options | {"STAGES": "units speech"})
    evaluations = [command for command in given if command[0] == "evaluate"]
    assert not any(command[0] == "train" for command in given)
    assert [Path(options_of(command)["guidance"]).name for command in evaluations] == ["0", "1", "0", "1"]
    assert len({command[2] for command in evaluations if command[1] == "captions"}) == 1
    results = [Path(command[command.index("-o") + 1]).name for command in evaluations]
    assert results[1] == "units-guidance-paired-10-0.json"
    assert results[3] == "speech-guidance-paired-10-0.json"


CAPTIONS = {f"picture{i}": f"{i % 5} {i % 7 + 5} {i % 3 + 12} {i % 2 + 15} {i % 4 + 17} 3" for i in range(40)}


def result(n_right: int) -> dict[str, Any]:
    """What `optophone evaluate captions` writes of a system that is right about so many of 40 pictures."""
    said = {name: text if i < n_right else "3 4 9" for i, (name, text) in enumerate(CAPTIONS.items())}
    scored = score_captions(said, {name: [text] for name, text in CAPTIONS.items()}, tokenizer=tokenize_units)
    return {
        "kind": "captions",
        "data": {"rows": len(said)},
        "scores": asdict(scored.scores),
        "intervals": scored.intervals(),
        "references": "same",
        "tokenizer": "units",
        "document_frequency": "corpus",
        "captions": said,
        "figures": figures_record(scored.figures),
    }


def write_results(folder: Path) -> None:
    folder.mkdir()
    right = {("pairs", "paired"): {10: 4, 30: 12, 100: 24}, ("language-model", "paired"): {10: 18, 30: 28}}
    right |= {("pairs", "shuffled"): {10: 2}, ("language-model", "shuffled"): {10: 2}}
    for (method, control), by_share in right.items():
        for share, n in by_share.items():
            for files in ("units", "speech") if control == "paired" and method == "pairs" else ("units",):
                ear = {"recognizer": EAR, "rows": {}} if files == "speech" else {}
                (folder / f"{files}-{method}-{control}-{share}-0.json").write_text(json.dumps(result(n) | ear))
    settings = {"steps": 200, "config": "some.yaml", "overrides": "", "tested": 40, "beam": 3, "speech_limit": 7}
    settings |= {"recognizer": "some ear", "order": 2}
    (folder / "settings.json").write_text(json.dumps(settings))


def make_page(folder: Path) -> str:
    options = ["--methods", "pairs language-model pseudo-labels", "--shares", "10 30 100", "--seeds", "0"]
    options += ["--controls", "paired shuffled", "--control-shares", "10"]
    subprocess.run([sys.executable, str(ROOT / "runs/less_parallel.py"), str(folder), *options], check=True)
    return folder.with_name(f"{folder.name}.md").read_text(encoding="utf-8")


def line_of(page: str, *beginning: str) -> str:
    """The first line that begins with cells like these."""
    return next(line for line in page.splitlines() if line.startswith("| " + " | ".join(beginning)))


def test_the_page_is_made_of_result_files(tmp_path: Path) -> None:
    folder = tmp_path / "less-parallel"
    write_results(folder)
    page = make_page(folder)
    assert "`some.yaml` with 200 updates, beam 3, at most 7 utterances" in page
    assert page.count("Heard by some ear; it knows the 7 words of 9 captions of train, 2 in a row.") == 1
    command = page[page.index("    STEPS=200") :].split("\n\n", 1)[0].replace("\\\n", "")
    *given, program, name = shlex.split(command)
    variables = dict(word.split("=", 1) for word in given)
    assert (program, name) == ("bash", "runs/less_parallel.sh")
    assert variables["METHODS"] == "pairs language-model pseudo-labels"
    assert (variables["RECOGNIZER"], variables["ORDER"], variables["CONTROL_SHARES"]) == ("some ear", "2", "10")
    scores = {n: result(n)["scores"]["bleu_4"] for n in (4, 18, 24)}
    assert line_of(page, "pairs only").split(" | ")[1].startswith(f"{scores[4]:.1f} (")
    assert line_of(page, "pseudo-labels").endswith("=" + " |"), "at 100 % they are pairs only"
    assert line_of(page, "language model").endswith("missing |")
    assert f"{scores[18] - scores[4]:+.1f} (" in page, "the gain, on the same pictures"
    assert "- 10 %: language model" in page
    assert "*language model, shuffled pictures*, " not in page
    needed = page[page.index("needed for") :]
    assert "language model | 2" in needed, "between 10 and 30 %"
    assert "pairs only | 100 %" in needed
    assert "language model at 100 % (seed 0)" in page
    assert "*pseudo-labels, shuffled pictures* at 10 % (seed 0)" in page
    assert "![BLEU-4 of units by the share of pairs; values in the table](less-parallel/units.svg)" in page
    root = ElementTree.parse(folder / "units.svg").getroot()
    description = root.findtext("{http://www.w3.org/2000/svg}desc")
    assert description is not None
    assert "language model: 10 % to" in description


def test_nothing_is_measured_yet(tmp_path: Path) -> None:
    (tmp_path / "less-parallel").mkdir()
    page = make_page(tmp_path / "less-parallel")
    assert page.count("Nothing was measured yet.") == 2


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """runs/less_parallel.py."""
    monkeypatch.syspath_prepend(ROOT / "runs")
    return importlib.import_module("less_parallel")


def test_needed_pairs_lie_between_points_of_the_curve(script: ModuleType) -> None:
    curve = [(1.0, 2.0), (10.0, 4.0), (100.0, 8.0)]
    assert script.needed_share(curve, 6.0) == pytest.approx(10 * math.sqrt(10))
    assert script.needed_share(curve, 8.0) == pytest.approx(100)
    assert script.needed_share(curve, 1.0) == 1.0
    assert script.needed_share(curve, 9.0) is None
    assert script.needed_share([], 9.0) is None
    bent = [(1.0, 1.0), (10.0, 5.0), (30.0, 3.0), (100.0, 6.0)]
    assert script.needed_share(bent, 5.0) == pytest.approx(10), "where it is first reached"


def test_seeds_widen_intervals(script: ModuleType) -> None:
    one = script.over_seeds([(5.0, (4.0, 7.0))])
    assert tuple(one) == (5.0, 4.0, 7.0)
    same = script.over_seeds([(5.0, (4.0, 7.0))] * 3)
    assert tuple(same) == pytest.approx((5.0, 4.0, 7.0)), "pictures are the same for all seeds"
    apart = script.over_seeds([(4.0, (3.0, 6.0)), (6.0, (5.0, 8.0))])
    assert apart.mean == 5.0
    assert apart.low == pytest.approx(5 - math.hypot(1, 1.96))
    assert apart.high == pytest.approx(5 + math.hypot(2, 1.96))
    assert script.over_seeds([]) is None
