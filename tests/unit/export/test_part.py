"""Finished bundles: results go to the part they were found with, and parts become a system that speaks."""

import json
from pathlib import Path

import numpy as np
import pytest

import optophone
from optophone.core.bundle import open_bundle
from optophone.core.errors import BundleError, ConfigurationError, DataError
from optophone.core.mel import MelSpec
from optophone.export.part import Additions, check_results, export_system, finish_part
from optophone.export.results import Result, content_hash, read_result
from optophone.runtime.load import load_voice
from tiny_bundles import BRIGHT, MEL, picture, write_captioner, write_vocoder, write_voice
from tiny_parallel import write_parallel


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("parts")
    return {"captioner": write_captioner(folder / "captioner"), "acoustic": write_voice(folder / "voice")}


def result_file(path: Path, kind: str, bundle: Path, calibrated: bool = False) -> Path:
    scores = {f"bleu_{n}": 60.123456 / n for n in range(1, 5)} | {"cider_d": 44.0, "n_distinct_captions": 300}
    scores |= {"word_error_ratio": None, "durations_within_25_percent": 0.97, "stop_failures": 0}
    calibration = {
        "slope": 2.0,
        "intercept": 1.5,
        "correct_means": "it is so.",
        "expected_calibration_error": 0.034,
        "discrimination": 0.7,
        "share_correct": 0.4,
        "n_pictures": 1000,
    }
    content = content_hash(open_bundle(bundle).manifest)
    text = {"kind": kind, "bundle": {"content": content}, "scores": scores}
    path.write_text(json.dumps({**text, "calibration": calibration if calibrated else None}))
    return path


def test_results_and_confidence_are_put_in(parts: dict[str, Path], tmp_path: Path) -> None:
    source = open_bundle(parts["captioner"])
    plain = read_result(result_file(tmp_path / "plain.json", "captions", parts["captioner"], calibrated=True))
    control = read_result(result_file(tmp_path / "control.json", "shuffled captions", parts["captioner"]))
    additions = Additions([plain, control], plain, "CC-BY-4.0", "mine")
    finish_part(source, tmp_path / "out", additions)
    found = open_bundle(tmp_path / "out")
    manifest = found.manifest
    assert manifest.metrics["bleu_4"] == 15.031
    assert manifest.metrics["shuffled_bleu_4"] == 15.031
    assert manifest.metrics["confidence_error"] == 0.034
    assert (manifest.name, manifest.licence) == ("mine", "CC-BY-4.0")
    assert manifest.configuration["confidence"] == {"slope": 2.0, "intercept": 1.5}
    assert manifest.configuration["search"] == source.manifest.configuration["search"]
    for name in ("encoder.onnx", "step.onnx", "vocabulary.json"):
        assert manifest.files[name].sha256 == source.manifest.files[name].sha256
    card = found.file("CARD.md").read_text()
    assert card.startswith("# mine\n")
    for fact in ("BLEU-4 (0 to 100): 15.03", "probability that it is so.", "off by 3.4%", "CC-BY-4.0", "Do not rely"):
        assert fact in card
    # What was added changes nothing that is said, so the results still belong to it, and it can be finished again.
    assert content_hash(manifest) == content_hash(source.manifest)
    finish_part(found, tmp_path / "again", Additions([control]))
    assert open_bundle(tmp_path / "again").manifest.metrics == manifest.metrics


def speech_result(path: Path, kind: str, bundle: Path, measured: bool = True) -> Path:
    distances = ("mel_cepstral_distortion", "log_spectral_distance", "pitch_error_cents", "voicing_error", "pesq")
    scores = {name: 1.23456 + i for i, name in enumerate(distances)} | {"duration_ratio": 0.9, "stoi": None}
    recognizer = {"made": {"word": 0.25}, "recorded": {"word": 0.125}}
    attention = None
    if kind == "speech":
        recognizer["hard"] = {"word": 0.5}
        attention = {"n_utterances": 40, "stop_failures": 1, "skips": 2, "repeats": 0}
    content = content_hash(open_bundle(bundle).manifest)
    found = {"kind": kind, "bundle": {"content": content}, "scores": scores}
    found |= {"recognizer": recognizer if measured else None, "attention": attention if measured else None}
    path.write_text(json.dumps(found))
    return path


def test_results_on_recordings_are_put_in(parts: dict[str, Path], tmp_path: Path) -> None:
    acoustic, vocoder = open_bundle(parts["acoustic"]), open_bundle(write_vocoder(tmp_path / "vocoder"))
    results = [
        read_result(speech_result(tmp_path / "speech.json", "speech", acoustic.folder)),
        read_result(speech_result(tmp_path / "copies.json", "copy synthesis", vocoder.folder)),
    ]
    export_system(tmp_path / "voice", "ours", [acoustic, vocoder], Additions(results))
    metrics = open_bundle(tmp_path / "voice").manifest.metrics
    assert metrics["mel_cepstral_distortion"] == metrics["copy_mel_cepstral_distortion"] == 1.235
    assert (metrics["heard_word_error_rate"], metrics["heard_hard_word_error_rate"]) == (0.25, 0.5)
    assert (metrics["hard_pieces"], metrics["hard_skips"], metrics["copy_pesq"]) == (40, 2, 5.235)
    assert "copy_stoi" not in metrics  # it was not measured
    card = (tmp_path / "voice/acoustic/CARD.md").read_text()
    for line in (
        "- mel-cepstral distortion from recordings, dB: 1.235",
        "- duration, relative to the recordings: 0.9",
        "- word error rate of a recogniser: 0.25",
        "- word error rate of the same recogniser on the recordings: 0.125",
        "- of these cut off: 1",
    ):
        assert f"{line}\n" in card
    assert (
        "- quality of copies of recordings (PESQ, wide band, up to 4.6): 5.235\n"
        in (tmp_path / "voice/vocoder/CARD.md").read_text()
    )
    bare = read_result(speech_result(tmp_path / "bare.json", "speech", acoustic.folder, measured=False))
    assert set(bare.metrics()) == {
        "mel_cepstral_distortion", "pitch_error_cents", "voicing_error", "duration_ratio"
    }  # fmt: skip


def test_a_voice_beside_people_has_figures_of_its_own(parts: dict[str, Path], tmp_path: Path) -> None:
    path = result_file(tmp_path / "voice.json", "voice", parts["acoustic"])
    espeak = read_result(path).metrics()
    beside_people = json.loads(path.read_text()) | {"baseline": "recordings"}
    path.write_text(json.dumps(beside_people))
    assert read_result(path).metrics() == {f"recordings_{name}": value for name, value in espeak.items()}
    finish_part(open_bundle(parts["acoustic"]), tmp_path / "out", Additions([read_result(path)]))
    assert "within 25 % of the recordings' duration: 0.97\n" in (tmp_path / "out/CARD.md").read_text()


def paced_result(path: Path, bundle: Path, length: float | None) -> Result:
    content = json.loads(result_file(path, "voice", bundle).read_text())
    path.write_text(json.dumps(content | {"baseline": "recordings", "durations": {"median": length}}))
    return read_result(path)


def test_a_voice_gets_the_pace_of_people(tmp_path: Path) -> None:
    """Twice: what is still missing is added. What was measured before does not hold any more."""
    plain = write_parallel(tmp_path / "plain")
    short = paced_result(tmp_path / "short.json", plain, 0.8)
    check_results([open_bundle(plain)], Additions(pace=short))
    finish_part(open_bundle(plain), tmp_path / "measured", Additions([short]))
    finish_part(open_bundle(tmp_path / "measured"), tmp_path / "paced", Additions([short], pace=short))
    paced = open_bundle(tmp_path / "paced")
    assert paced.manifest.configuration["pace"] == 1.25
    assert open_bundle(tmp_path / "measured").manifest.metrics
    assert not paced.manifest.metrics
    assert "- pace: 1.25 times" in paced.file("CARD.md").read_text()
    still_short = paced_result(tmp_path / "still.json", paced.folder, 0.9)
    with pytest.raises(ConfigurationError, match="found with another bundle"):
        check_results([paced], Additions(pace=short))
    finish_part(paced, tmp_path / "again", Additions(pace=still_short))
    assert open_bundle(tmp_path / "again").manifest.configuration["pace"] == 1.389


@pytest.mark.parametrize("length", [None, 0.0, -1.0, float("nan"), 0.4, 3.0])
def test_what_tells_no_pace_is_refused(length: float | None, tmp_path: Path) -> None:
    plain = write_parallel(tmp_path / "plain")
    with pytest.raises(ConfigurationError, match=r"voice\.json: tells no pace"):
        check_results([open_bundle(plain)], Additions(pace=paced_result(tmp_path / "voice.json", plain, length)))


def test_only_a_parallel_voice_takes_a_pace(parts: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no parallel acoustic model"):
        check_results(
            [open_bundle(parts["acoustic"])],
            Additions(pace=paced_result(tmp_path / "voice.json", parts["acoustic"], 0.9)),
        )


def test_results_of_something_else_are_refused(parts: dict[str, Path], tmp_path: Path) -> None:
    captioner = open_bundle(parts["captioner"])
    foreign = read_result(result_file(tmp_path / "voice.json", "voice", parts["acoustic"]))
    with pytest.raises(ConfigurationError, match=r"voice\.json: found with another bundle"):
        check_results([captioner], Additions([foreign]))
    uncalibrated = read_result(result_file(tmp_path / "dev.json", "captions", parts["captioner"]))
    with pytest.raises(ConfigurationError, match="--calibrate"):
        check_results([captioner], Additions(confidence=uncalibrated))
    other_search = write_captioner(tmp_path / "other", search={"beam_size": 1})
    assert content_hash(open_bundle(other_search).manifest) != content_hash(captioner.manifest)


@pytest.mark.parametrize(
    "content",
    [
        None,
        "no json",
        "[]",
        '{"kind": "captions"}',
        '{"kind": "x", "bundle": {"content": ""}}',
        '{"kind": "speech", "bundle": {"content": ""}, "scores": {}, "recognizer": "x", "attention": null}',
        '{"kind": "speech", "bundle": {"content": ""}, "scores": {}, "recognizer": null, "attention": null}',
        '{"kind": ["voice"], "bundle": {"content": ""}, "scores": {}}',
        '{"kind": "voice", "baseline": "recordings", "bundle": {"content": ""}, "scores": {}, "durations": [1]}',
        '{"kind": "voice", "baseline": "recordings", "bundle": {"content": ""}, "scores": {"word_error_ratio": 1, '
        '"durations_within_25_percent": 1, "stop_failures": 0}, "durations": {"median": "long"}}',
    ],
)
def test_what_is_no_result_is_named(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=r"result\.json: (cannot read|not a result)"):
        read_result(path)


def test_a_system_speaks_and_shows_the_figures_of_its_parts(parts: dict[str, Path], tmp_path: Path) -> None:
    opened = [open_bundle(parts[kind]) for kind in ("captioner", "acoustic")]
    results = [
        read_result(result_file(tmp_path / "a.json", "captions", parts["captioner"])),
        read_result(result_file(tmp_path / "b.json", "voice", parts["acoustic"])),
    ]
    export_system(tmp_path / "system", "ours", opened, Additions(results, licence="Apache-2.0"))
    system = open_bundle(tmp_path / "system")
    assert system.manifest.metrics["bleu_4"] == 15.031
    assert system.manifest.metrics["durations_within_25_percent"] == 0.97
    assert "word_error_ratio" not in system.manifest.metrics  # it was not measured
    vocoder = open_bundle(system.part("vocoder"))
    assert (vocoder.manifest.cls, vocoder.manifest.mel) == ("griffin-lim", MEL)
    for folder in (system.folder, *(system.part(kind) for kind in system.manifest.parts)):
        assert (folder / "CARD.md").is_file()
    spoken = optophone.load(tmp_path / "system")(picture())
    assert spoken.text == BRIGHT
    assert np.abs(spoken.wave).max() > 0


def test_a_voice_and_a_vocoder_become_a_voice(parts: dict[str, Path], tmp_path: Path) -> None:
    captioner, acoustic = (open_bundle(parts[kind]) for kind in ("captioner", "acoustic"))
    vocoder = open_bundle(write_vocoder(tmp_path / "vocoder"))
    export_system(tmp_path / "voice", "ours", [acoustic, vocoder], Additions())
    system = open_bundle(tmp_path / "voice")
    assert (system.manifest.cls, set(system.manifest.parts)) == ("voice", {"acoustic", "vocoder"})
    assert "Reads English text aloud" in (tmp_path / "voice/CARD.md").read_text()
    assert load_voice(tmp_path / "voice").say("hello").complete
    with pytest.raises(BundleError, match="has no captioner"):
        optophone.load(tmp_path / "voice")
    export_system(tmp_path / "whole", "ours", [captioner, acoustic, vocoder], Additions())
    assert optophone.load(tmp_path / "whole")(picture()).text == BRIGHT
    with pytest.raises(ConfigurationError, match="given: acoustic"):
        export_system(tmp_path / "half", "x", [acoustic], Additions())


def test_parts_that_do_not_fit_make_no_system(parts: dict[str, Path], tmp_path: Path) -> None:
    captioner, acoustic = (open_bundle(parts[kind]) for kind in ("captioner", "acoustic"))
    with pytest.raises(ConfigurationError, match="one captioner and one acoustic"):
        export_system(tmp_path / "system", "x", [captioner, captioner], Additions())
    export_system(tmp_path / "system", "x", [captioner, acoustic], Additions())
    vocoder = open_bundle(tmp_path / "system/vocoder")
    foreign = write_voice(tmp_path / "foreign", mel=MelSpec(sample_rate=8000, n_fft=256, win_length=256, hop_length=80,
                                                            n_mels=16, f_max=4000.0))  # fmt: skip
    with pytest.raises(BundleError, match="equal mel specifications"):
        export_system(tmp_path / "other", "x", [captioner, open_bundle(foreign), vocoder], Additions())
    assert not (tmp_path / "other").exists()
