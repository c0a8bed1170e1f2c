"""A recogniser from training to judging, on the command line."""

import json
from pathlib import Path

import pytest

from optophone.cli import recognizer_choice
from optophone.cli.main import run
from optophone.core.bundle import open_bundle
from tiny_bundles import write_system
from tiny_datasets import recognizer_experiment, write_configuration, write_speech
from tiny_recognizers import write_recognizer, write_songs


@pytest.fixture
def songs(tmp_path: Path) -> list[str]:
    first = write_songs(tmp_path / "songs", "songs", ["a dog runs", "two cats sit", "it's a zoo"])
    second = write_songs(tmp_path / "tunes", "tunes", ["a bee", "an ant"])
    return [str(first), str(second)]


def test_a_run_becomes_an_ear(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    data = write_speech(tmp_path / "data")
    configuration = str(write_configuration(tmp_path / "x.yaml", recognizer_experiment(data.folder)))
    run_folder, bundle = str(tmp_path / "run"), str(tmp_path / "bundle")
    assert run(["train", configuration, "--out", run_folder]) == 0
    assert run(["export", run_folder, "-o", bundle, "--precision", "int8"]) == 2
    assert run(["export", run_folder, "-o", bundle]) == 0
    manifest = open_bundle(bundle).manifest
    assert (manifest.kind, manifest.cls, manifest.name) == ("recognizer", "ctc", "tiny-recognizer")
    assert manifest.configuration["training"]["data"] == "data"
    assert run(["evaluate", "recognizer", bundle, str(data.folder), "-q", "--jobs", "1"]) == 0
    assert "any words" in capfd.readouterr().out


def test_its_errors_on_true_speech_travel_with_it(
    songs: list[str], tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    ear, result = str(write_recognizer(tmp_path / "ear")), tmp_path / "ear.json"
    assert run(["evaluate", "recognizer", ear, *songs, "-q", "--jobs", "1", "-o", str(result)]) == 0
    table = capfd.readouterr().out
    assert all(name in table for name in ("songs", "tunes", "all", "2 words in a row"))
    found = json.loads(result.read_text())
    assert found["scores"]["word_error_rate"] == found["scores"]["word_error_rate_songs"] == 0
    assert found["utterances"]["tunes"]["dev1"] == {"said": "an ant", "heard": ["an ant"] * 3}
    told = str(tmp_path / "told")
    assert run(["export", ear, "--metrics", str(result), "-o", told]) == 0
    assert open_bundle(told).manifest.metrics["word_error_rate_tunes"] == 0
    assert "word error rate on true speech, any words, tunes: 0" in (Path(told) / "CARD.md").read_text()
    assert recognizer_choice.choose_recognizer(told).line().endswith("songs 0.000, tunes 0.000")
    assert "not measured" in recognizer_choice.choose_recognizer(ear).line()


def test_it_judges_a_voice_and_says_how_well_it_hears(
    tmp_path: Path, songs: list[str], capfd: pytest.CaptureFixture
) -> None:
    ear = str(write_recognizer(tmp_path / "ear", word_error_rate=0.3, word_error_rate_people=0.25))
    system, result = str(write_system(tmp_path / "system")), tmp_path / "speech.json"
    options = ["--recognizer", ear, "--no-hard-sentences", "-q", "--jobs", "1", "-o", str(result)]
    assert run(["evaluate", "speech", system, songs[0], *options]) == 0
    out = capfd.readouterr().out
    assert "true speech: people 0.250" in out
    heard = json.loads(result.read_text())["recognizer"]
    # The voice makes tones too, but not these; of the recordings it takes the low ones, those of the first letters.
    assert heard["recorded"]["word"] < 0.5 < heard["made"]["word"]
    assert heard["words"] == "any words"
    assert heard["recognizer"]["word_error_rates_on_true_speech"] == {"people": 0.25}


def test_it_judges_a_voice_beside_espeak(tmp_path: Path, songs: list[str], capfd: pytest.CaptureFixture) -> None:
    pytest.importorskip("espeakng_loader")
    ear = str(write_recognizer(tmp_path / "ear", word_error_rate_people=0.25))
    system, result = str(write_system(tmp_path / "system")), tmp_path / "voice.json"
    options = ["--recognizer", ear, "--limit", "2", "-q", "--jobs", "1", "-o", str(result)]
    assert run(["evaluate", "voice", system, songs[0], *options]) == 0
    out = capfd.readouterr().out
    assert "true speech: people 0.250" in out
    assert [one["order"] for one in json.loads(result.read_text())["hearings"]] == [0, 1, 2]
    assert "any words" in out


def test_pocketsphinx_is_measured_the_same_way(songs: list[str], tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    pytest.importorskip("pocketsphinx")
    result = tmp_path / "sphinx.json"
    options = ["--limit", "1", "-q", "--jobs", "1", "-o", str(result)]
    assert run(["evaluate", "recognizer", "pocketsphinx", songs[1], *options]) == 0
    assert list(json.loads(result.read_text())["hearings"]) == ["words alone", "2 words in a row"]


@pytest.mark.parametrize("name", ["nowhere", "whisper:", "{system}"])
def test_mistakes_are_one_line(name: str, tmp_path: Path, songs: list[str], capfd: pytest.CaptureFixture) -> None:
    system = str(write_system(tmp_path / "system"))
    assert run(["evaluate", "recognizer", name.format(system=system), songs[0]]) == 2
    assert capfd.readouterr().err.count("\n") == 1
