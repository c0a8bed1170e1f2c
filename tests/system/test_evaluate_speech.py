"""`optophone evaluate speech` over tones: figures with their reasons, and never a 0 for what was not measured."""

import json
import sys
from pathlib import Path

import pytest

from optophone.cli import speech_evaluation
from optophone.cli.main import run
from optophone.cli.speech_evaluation import error_rates
from optophone.core.bundle import open_bundle
from optophone.evaluation.hard_sentences import read_sentences
from optophone.evaluation.recognizer import spoken_words
from tiny_bundles import write_system, write_vocoder, write_voice
from tiny_datasets import write_speech


@pytest.fixture
def data(tmp_path: Path) -> str:
    (tmp_path / "data").mkdir()
    write_speech(tmp_path / "data")
    return str(tmp_path / "data")


def test_a_voice_is_compared_and_diagnosed(data: str, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    sentences = tmp_path / "hard.txt"
    sentences.write_text("# group\n\nno no no.\n1984!\n")
    system = str(write_system(tmp_path / "system"))
    options = ["--no-recognizer", "--sentences", str(sentences), "-q", "-o", str(tmp_path / "x.json")]
    assert run(["evaluate", "speech", system, data, "--limit", "3", *options]) == 0
    out = capfd.readouterr().out
    assert "only of copies" in out
    assert "recogniser: not measured, left out" in out
    result = json.loads((tmp_path / "x.json").read_text())
    assert result["kind"] == "speech"
    assert result["data"]["rows"] == len(result["utterances"]) == 3
    assert result["scores"]["mel_cepstral_distortion"] > 1
    assert result["scores"]["stoi"] is result["recognizer"] is None
    assert result["attention"]["n_utterances"] == 2
    assert result["attention"]["stop_failures"] == result["attention"]["faulty"] == 0


def test_its_figures_go_into_the_cards(data: str, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    system, results = write_system(tmp_path / "system"), [tmp_path / "voice.json", tmp_path / "copies.json"]
    options = ["--limit", "2", "--no-recognizer", "-q"]
    assert run(["evaluate", "speech", str(system), data, *options, "-o", str(results[0])]) == 0
    assert run(["evaluate", "speech", str(system), data, "--copy-synthesis", *options, "-o", str(results[1])]) == 0
    parts = [str(open_bundle(system).part(kind)) for kind in ("captioner", "acoustic", "vocoder")]
    metrics = [option for path in results for option in ("--metrics", str(path))]
    assert run(["export", *parts, "-o", str(tmp_path / "out"), *metrics]) == 0
    for path, kind, name in zip(results, ("acoustic", "vocoder"), ("", "copy_"), strict=True):
        part = open_bundle(open_bundle(tmp_path / "out").part(kind))
        score = json.loads(path.read_text())["scores"]["mel_cepstral_distortion"]
        assert part.manifest.metrics[f"{name}mel_cepstral_distortion"] == round(score, 3)
        assert "mel-cepstral distortion from recordings, dB" in part.file("CARD.md").read_text()
    capfd.readouterr()
    assert run(["export", parts[0], "-o", str(tmp_path / "other"), "--metrics", str(results[0])]) == 2
    assert "found with another bundle" in capfd.readouterr().err


def test_hard_sentences_are_heard_too(
    data: str, tmp_path: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pocketsphinx")
    # The recordings are called "aa", "bbb", and so on, which no recogniser knows.
    monkeypatch.setattr(
        speech_evaluation, "spoken_words", lambda text: ["dog"] if len(set(text)) == 1 else spoken_words(text)
    )
    sentences = tmp_path / "hard.txt"
    sentences.write_text("a dog runs\nzzyzx abcdz\n1984!\n")
    system = str(write_system(tmp_path / "system"))
    options = ["--sentences", str(sentences), "-q", "-o", str(tmp_path / "x.json"), "--jobs", "1"]
    assert run(["evaluate", "speech", system, data, "--limit", "2", *options]) == 0
    heard = json.loads((tmp_path / "x.json").read_text())["recognizer"]
    assert (heard["hard"]["sentences"], heard["hard"]["left_out"]) == (2, 1)
    assert heard["hard"]["word"] > 0.5  # it makes tones
    assert (heard["sentences"], heard["made"].keys()) == (2, {"word", "character"})
    assert "hard sentences" in capfd.readouterr().out


def test_a_voice_that_never_ends_is_counted(data: str, tmp_path: Path) -> None:
    endless = str(write_voice(tmp_path / "endless", stops=False))
    options = ["--no-recognizer", "-q", "-o", str(tmp_path / "x.json")]
    assert run(["evaluate", "speech", endless, data, "--limit", "1", *options]) == 0
    attention = json.loads((tmp_path / "x.json").read_text())["attention"]
    assert attention["stop_failures"] == attention["spoken_again"] == attention["n_utterances"]
    assert attention["n_utterances"] >= len(read_sentences())


def test_a_vocoder_alone_is_copied_from(
    data: str, tmp_path: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pystoi", None)
    monkeypatch.setitem(sys.modules, "pesq", None)
    vocoder = str(write_vocoder(tmp_path / "vocoder"))
    options = ["--no-recognizer", "-q", "-o", str(tmp_path / "x.json")]
    assert run(["evaluate", "speech", vocoder, data, *options]) == 0
    out = capfd.readouterr().out
    assert "pystoi is not installed: pip install 'optophone[eval]'" in out
    result = json.loads((tmp_path / "x.json").read_text())
    assert result["kind"] == "copy synthesis"
    assert result["attention"] is None
    assert result["scores"]["pesq"] is None
    assert result["scores"]["duration_ratio"] == pytest.approx(1, abs=0.1)


def test_errors_over_words_and_characters() -> None:
    found = error_rates([["a", "dog"], ["runs"]], [["a", "dot"], ["runs"]])
    assert found == {"word": pytest.approx(1 / 3), "character": pytest.approx(1 / 9)}


def test_mistakes_are_one_line(tmp_path: Path, data: str, capfd: pytest.CaptureFixture) -> None:
    vocoder = str(write_vocoder(tmp_path / "vocoder"))
    assert run(["evaluate", "speech", vocoder, data, "--split", "none"]) == 2
    assert capfd.readouterr().err.count("\n") == 1
