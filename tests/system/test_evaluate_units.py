"""Units judged on the command line, from the alignments on."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from optophone.cli import alignment_writing
from optophone.cli.main import run
from optophone.core.bundle import open_bundle
from optophone.core.k_means import KMeansConfig
from optophone.core.k_means_units import KMeansUnitsConfig, fit_k_means_units
from optophone.data.alignment_column import read_alignment_column
from optophone.export.units import export_k_means_units
from tiny_alignments import WORDS, align_known, sing_words, write_alignments, write_singers
from tiny_units import FACTS, write_units


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Speech, its alignments, and units that are made for it."""
    folder = tmp_path_factory.mktemp("singers")
    write_alignments(write_singers(folder / "speech"), folder / "alignments")
    waves = [sing_words([*WORDS], speaker) for speaker in (0, 1)]
    units = fit_k_means_units(waves, KMeansConfig(n_codes=12, n_steps=20), KMeansUnitsConfig(frames_per_unit=2))
    export_k_means_units(units, FACTS, folder / "units")
    return folder


def arguments(place: Path, *further: str) -> list[str]:
    bundle = str(place / "units" / "fp32")
    return ["evaluate", "units", bundle, str(place / "speech"), "-q", *further]


def test_everything_is_measured(place: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    result = tmp_path / "units.json"
    options = ["--alignments", str(place / "alignments"), "--triples", "800", "-o", str(result)]
    assert run(arguments(place, *options)) == 0
    out = capfd.readouterr().out
    for told in ("tiny-units (k-means), a unit every 20 ms; 24 utterances", "within speakers", "across speakers"):
        assert told in out
    assert all(told in out for told in ("PNMI", "R-value", "F1 above .5", "2 speakers, 24 utterances", "chance"))
    assert "not measured" not in out
    found = json.loads(result.read_text())
    scores = found["scores"]
    assert (found["kind"], found["not_measured"]) == ("units", {})
    assert found["bundle"]["unit_s"] == 0.02
    assert found["data"]["rows"] == 24
    assert found["alignments"]["hash"] == read_alignment_column(place / "alignments").dataset.hash()
    # Tones are easy, whoever sings them; not for chance.
    assert scores["abx_within_frames"] < 0.15 < 0.35 < scores["abx_within_shuffled"] < 0.65
    assert scores["abx_within_vectors"] < 0.15
    assert scores["pnmi"] > 0.6 > 0.1 > found["phones"]["control"]["pnmi"]
    assert found["boundaries"]["phones"]["score"]["recall"] > 0.9
    assert 0 < scores["used_codes"] <= 12
    low, high = found["abx_across"]["mel"]["interval"]
    assert low <= found["abx_across"]["mel"]["error"] <= high
    assert {one["word"] for one in found["words"]["score"]} <= set(WORDS)
    # The figures travel with the bundle, and its card tells them.
    told = tmp_path / "told"
    assert run(["export", str(place / "units" / "fp32"), "--metrics", str(result), "-o", str(told)]) == 0
    assert open_bundle(told).manifest.metrics["pnmi"] == round(scores["pnmi"], 3)
    card = (told / "CARD.md").read_text(encoding="utf-8")
    assert "ABX error within a speaker" in card
    assert "shuffled units (control)" in card
    # Of the machine nothing but what was typed.
    del found["command"]
    assert not re.search(r"/(tmp|home|work)/", json.dumps(found))


def test_without_alignments_the_rest_is_measured(place: Path, capfd: pytest.CaptureFixture) -> None:
    assert run(arguments(place, "--limit", "20")) == 0
    out = capfd.readouterr().out
    assert "codes used" in out
    assert "speaker told" in out
    assert "abx_within: not measured, give --alignments" in out


def test_the_same_twice_and_a_quantizer(place: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    network = str(write_units(tmp_path / "network"))
    options = ["--alignments", str(place / "alignments"), "--triples", "50", "--limit", "10", "-q"]
    told = []
    for quantizer in ("2", "2", "3"):
        command = ["evaluate", "units", network, str(place / "speech"), "--quantizer", quantizer, *options]
        assert run(command) == 0
        told.append(capfd.readouterr().out)
    assert told[0] == told[1] != told[2]
    assert "quantizer 2), a unit every 20 ms" in told[0]
    assert "units, angles of their codes" not in told[0]


WITHOUT_TORCH = """
import importlib.abc, sys
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "lightning", "onnx", "yaml", "safetensors", "tqdm", "pocketsphinx"):
            raise ModuleNotFoundError(f"{name} is blocked", name=name)
sys.meta_path.insert(0, Block())
from optophone.cli.main import run
sys.exit(run(sys.argv[1:]))
"""


def test_neither_torch_nor_a_recogniser_is_needed(place: Path) -> None:
    options = ["--alignments", str(place / "alignments"), "--triples", "50", "--limit", "10"]
    command = [sys.executable, "-c", WITHOUT_TORCH, *arguments(place, *options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_mistakes_are_one_line(place: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    other = write_alignments(write_singers(tmp_path / "speech", n=6), tmp_path / "other")
    for options in (
        ["--alignments", str(other.dataset.folder)],
        ["--alignments", str(place / "speech")],
        ["--split", "nowhere"],
        ["--quantizer", "2"],
    ):
        assert run(arguments(place, *options)) == 2
        assert capfd.readouterr().err.count("\n") == 1


def test_alignments_are_prepared(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(alignment_writing, "align_all", lambda items, config, jobs: align_known(items))
    prepare = ["prepare", "alignments", str(place / "speech"), str(tmp_path / "out")]
    assert run([*prepare, "--split", "dev", "--limit", "5", "--jobs", "1"]) == 0
    assert "left out: 0" in (out := capfd.readouterr().out)
    assert "is ready (5 dev)" in out
    assert run([*prepare, "--split", "dev", "--limit", "5", "--jobs", "1"]) == 0
    assert "nothing to do (5 dev)" in capfd.readouterr().out
    for options in (["--split", "test"], ["--limit", "6"], ["--speed", "100"]):
        assert run([*prepare, *options]) == 2
        assert capfd.readouterr().err.count("\n") == 1
    whole = read_alignment_column(place / "alignments").spans("dev")
    part = read_alignment_column(tmp_path / "out").spans("dev")
    assert len(part) == 5
    assert all(whole[name] == spans for name, spans in part.items())
