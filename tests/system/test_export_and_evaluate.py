"""From runs and data sets to bundles and figures, as users type it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from optophone.cli import voice_evaluation
from optophone.cli.main import run
from optophone.core.audio import write_wave
from optophone.core.bundle import open_bundle
from optophone.core.configuration import from_mapping, to_mapping
from optophone.core.espeak import EspeakConfig
from optophone.core.mel import log_mel
from optophone.core.vocabulary import build_words
from optophone.data.espeak import load_espeak
from optophone.data.manifest import write_dataset, write_manifest
from optophone.data.voice_segments import sounding_rows
from optophone.export.results import content_hash
from optophone.models.captioners.build import DecoderConfig, build_captioner
from optophone.models.encoders.residual_grid import ResidualGridConfig
from optophone.models.vocoders.weight_norm import remove_weight_norm
from optophone.runtime.load import load_vocoder
from optophone.training import vocos_training
from optophone.training.vocoding import VocoderExperiment, build_model
from optophone.training.vocos_training import VocosExperiment
from optophone.training.weights import save_weights
from tiny_bundles import BRIGHT, DARK, picture, write_captioner, write_voice
from tiny_datasets import vocoder_experiment, vocos_experiment, write_speech
from tiny_models import DECODERS, tiny_acoustic

BRIGHT_CAPTIONS = [BRIGHT, "a dog runs over the green grass", "the dog runs on grass"]
DARK_CAPTIONS = [DARK, "the cat sleeps in deep snow", "a cat lies in some snow"]
WIDTHS = (8, 16, 24)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty bright and dark pictures in a data set with two splits; every third bright one is called dark."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "pictures").mkdir()
    for split in ("train", "dev"):
        rows = []
        for i in range(30):
            bright = i % 2 == 0
            name = f"{split}-{i:02}.png"
            Image.fromarray(picture(bright)).save(folder / "pictures" / name)
            captions = BRIGHT_CAPTIONS if bright and i % 3 else DARK_CAPTIONS
            rows.append({"id": name, "picture": name, "captions": captions})
        write_manifest(folder / f"{split}.jsonl", rows)
        packed = np.random.default_rng(0).integers(0, 256, (30, 36, 36, 3)).astype(np.uint8)
        np.save(folder / f"{split}.pictures.npy", packed)
    write_dataset(
        folder, "tiny", splits=["train", "dev"], options={}, source="noise", layout="tiny", licence="none",
        roots={"picture": "pictures"},
    )  # fmt: skip
    return folder


def test_captions_are_scored_controlled_calibrated_and_put_into_the_bundle(
    dataset: Path, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    bundle = str(write_captioner(tmp_path / "captioner"))
    for name, options in (("true", ["--calibrate"]), ("control", ["--shuffled"])):
        arguments = ["evaluate", "captions", bundle, str(dataset), "--no-java", *options]
        assert run([*arguments, "-o", str(tmp_path / f"{name}.json")]) == 0
    out = capfd.readouterr().out
    assert "BLEU-4" in out
    assert "confidence off by" in out
    true, control = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("true", "control"))
    assert true["bundle"]["content"] == content_hash(open_bundle(bundle).manifest)
    assert true["scores"]["n_pictures"] == 30
    assert true["scores"]["n_distinct_captions"] == 2
    assert true["captions"]["dev-00.png"] == BRIGHT
    assert true["calibration"]["share_correct"] == pytest.approx(25 / 30)
    assert control["scores"]["bleu_4"] < true["scores"]["bleu_4"] < 100
    assert control["calibration"] is None

    result = str(tmp_path / "true.json")
    arguments = ["--metrics", result, "--metrics", str(tmp_path / "control.json"), "--confidence", result]
    assert run(["export", bundle, "-o", str(tmp_path / "out"), *arguments]) == 0
    manifest = open_bundle(tmp_path / "out").manifest
    assert manifest.metrics["shuffled_bleu_4"] < manifest.metrics["bleu_4"]
    assert run(["caption", str(dataset / "pictures/dev-00.png"), "-m", str(tmp_path / "out"), "--json"]) == 0
    said = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert said["confidence"] == pytest.approx(0.8, abs=0.15)  # as often as it was right


def test_a_limit_draws_the_same_pictures_always(dataset: Path, tmp_path: Path) -> None:
    bundle = str(write_captioner(tmp_path / "captioner"))
    found = []
    for name in ("a.json", "b.json"):
        options = ["--limit", "5", "--beam", "1", "--no-java", "-q", "-o", str(tmp_path / name)]
        assert run(["evaluate", "captions", bundle, str(dataset), *options]) == 0
        found.append(json.loads((tmp_path / name).read_text()))
    assert found[0]["captions"] == found[1]["captions"]
    assert len(found[0]["captions"]) == found[0]["data"]["rows"] == 5
    assert found[0]["search"]["beam_size"] == 1


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_a_run_becomes_a_bundle_that_speaks_words(precision: str, dataset: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    torch.manual_seed(0)
    vocabulary = build_words([*BRIGHT_CAPTIONS, *DARK_CAPTIONS])
    vocabulary.save(folder / "vocabulary.json")
    encoder = ResidualGridConfig(widths=WIDTHS, depths=(1, 1, 1))
    decoder = DecoderConfig("transformer", DECODERS["transformer"])
    save_weights(build_captioner(encoder, decoder, len(vocabulary), 32), folder / "captioner.safetensors")
    configuration = {
        "kind": "captioner",
        "name": "tiny-run",
        "data": {"folder": str(dataset), "size": 32},
        "encoder": to_mapping(encoder),
        "decoder": to_mapping(decoder),
        "search": {"beam_size": 2, "max_length": 7},
        "trainer": {"max_steps": 11},
    }
    (folder / "configuration.yaml").write_text(yaml.safe_dump(configuration))
    assert run(["export", str(folder), "-o", str(tmp_path / "out"), "--precision", precision]) == 0
    found = open_bundle(tmp_path / "out")
    assert found.manifest.name == "tiny-run"
    assert found.manifest.configuration["search"]["forbidden"] == [0, 1, 3]
    assert found.manifest.configuration["export"]["precision"] == precision
    assert found.manifest.picture is not None
    assert found.manifest.picture.height == 32
    card = found.file("CARD.md").read_text()
    assert "11 optimizer steps" in card
    assert f"Precision {precision}" in card
    assert run(["caption", str(dataset / "pictures/dev-00.png"), "-m", str(tmp_path / "out")]) == 0


@pytest.mark.filterwarnings("ignore:the voice did not find")
def test_a_voice_is_exported_and_heard(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    pytest.importorskip("pocketsphinx")
    pytest.importorskip("espeakng_loader")
    trained, folder, data = tiny_acoustic(), tmp_path / "run", tmp_path / "data"
    folder.mkdir()
    data.mkdir()
    texts = ["a dog runs", "two girls play ball"]
    rows = [{"id": f"{i}", "text": text, "duration_s": 1.0} for i, text in enumerate(texts)]
    for split in ("train", "dev"):
        write_manifest(data / f"{split}.jsonl", rows)
    options = {"voice": "en-gb", "speed": 160, "pitch": 40}
    write_dataset(data, "said", splits=["train", "dev"], options=options, source="noise", layout="tiny", licence="none")
    trained.vocabulary.save(folder / "vocabulary.json")
    save_weights(trained.model, folder / "acoustic.safetensors")
    configuration = {
        "kind": "acoustic",
        "name": "tiny-voice",
        "data": {"folder": str(data), "mel": to_mapping(trained.mel)},
        "model": to_mapping(trained.model.config),
    }
    (folder / "configuration.yaml").write_text(yaml.safe_dump(configuration))
    assert run(["export", str(folder), "-o", str(tmp_path / "out")]) == 0
    result = tmp_path / "voice.json"
    arguments = ["evaluate", "voice", str(tmp_path / "out"), str(data), "--limit", "2", "--jobs", "1", "-q"]
    assert run([*arguments, "-o", str(result)]) == 0
    found = json.loads(result.read_text())
    assert found["baseline"] == "espeak-ng"
    assert found["reference"] == options  # as the training data was spoken
    assert found["scores"]["stop_failures"] == 2  # its gate never opens
    assert found["scores"]["word_error_rate"] > 0.5  # it babbles
    assert found["scores"]["reference_word_error_rate"] < 0.5
    out = capfd.readouterr().out
    assert "cut off before their end: 2 of 2" in out
    assert "compared with: espeak-ng (voice en-gb, speed 160, pitch 40)" in out


@pytest.mark.filterwarnings("ignore:the voice did not find")
def test_a_voice_is_compared_with_people(
    tmp_path: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pocketsphinx")
    pytest.importorskip("espeakng_loader")
    texts, rows = ["a dog runs", "two girls play ball", "", "the boy jumps"], []
    espeak = load_espeak(EspeakConfig())
    for i, text in enumerate(texts):
        row = {"id": f"{i}", "audio": f"{i}.wav", "duration_s": 1.0, "speaker": f"person {i % 2}"}
        rows.append(row | ({"text": text} if text else {}))
        wave = espeak.speak(text or "nobody knows this").astype(np.float32) / 32768
        write_wave(tmp_path / f"{i}.wav", wave, espeak.sample_rate)
    write_manifest(tmp_path / "dev.jsonl", rows)
    write_dataset(tmp_path, "people", splits=["dev"], options={}, source="x", layout="tiny", licence="none")
    voice, result = str(write_voice(tmp_path / "voice")), tmp_path / "voice.json"
    monkeypatch.setattr(voice_evaluation, "load_espeak", lambda config: pytest.fail("it is not needed"))
    arguments = ["evaluate", "voice", voice, str(tmp_path), "--jobs", "1", "-q"]
    assert run([*arguments, "-o", str(result)]) == 0
    found, out = json.loads(result.read_text()), capfd.readouterr().out
    assert found["baseline"] == "recordings"
    assert found["reference"] == {"recordings": "people", "speakers": ["person 0", "person 1"]}
    assert sorted(found["texts"]) == sorted(filter(None, texts))
    assert found["scores"]["reference_word_error_rate"] < 0.4 < found["scores"]["word_error_rate"]
    assert found["scores"]["word_error_rate"] == found["hearings"][0]["voice"]
    assert "compared with: the recordings of people, of 2 speakers" in out
    assert "durations within 25 % of the recordings'" in out
    assert "espeak" not in out
    assert run([*arguments, "--baseline", "recordings", "--voice", "en-gb"]) == 2
    assert "leave them out beside recordings" in capfd.readouterr().err


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_vocoder_is_exported_and_sounds(precision: str, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    data, folder = tmp_path / "data", tmp_path / "run"
    dataset = write_speech(data)
    configuration = vocoder_experiment(data)
    experiment = from_mapping(VocoderExperiment, configuration)
    folder.mkdir()
    model = build_model(experiment)
    remove_weight_norm(model)
    save_weights(model, folder / "vocoder.safetensors")
    (folder / "configuration.yaml").write_text(yaml.safe_dump(configuration))
    assert run(["export", str(folder), "-o", str(tmp_path / "out"), "--precision", precision]) == 0
    bundle = open_bundle(tmp_path / "out")
    assert (bundle.manifest.kind, bundle.manifest.cls) == ("vocoder", "waveglow")
    assert bundle.manifest.mel == experiment.data.mel
    assert bundle.manifest.configuration["sigma"] == experiment.speaking_sigma
    assert bundle.manifest.configuration["training"]["steps"] == experiment.trainer.max_steps
    assert bundle.manifest.configuration["export"]["difference_from_torch"] <= 1e-4
    assert ("spectral_error" in bundle.manifest.configuration["export"]) == (precision == "int8")
    assert f"Precision {precision}" in bundle.file("CARD.md").read_text()
    wave, _ = dataset.wave(sounding_rows(dataset, "dev")[0])
    mel = log_mel(wave, experiment.data.mel)
    assert load_vocoder(bundle).wave(mel).std() > 0.01


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_vocos_is_exported_and_sounds(precision: str, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    data, folder = tmp_path / "data", tmp_path / "run"
    dataset = write_speech(data)
    configuration = vocos_experiment(data)
    experiment = from_mapping(VocosExperiment, configuration)
    folder.mkdir()
    save_weights(vocos_training.build_model(experiment).vocoder, folder / "vocoder.safetensors")
    (folder / "configuration.yaml").write_text(yaml.safe_dump(configuration))
    assert run(["export", str(folder), "-o", str(tmp_path / "out"), "--precision", precision]) == 0
    bundle = open_bundle(tmp_path / "out")
    assert (bundle.manifest.kind, bundle.manifest.cls) == ("vocoder", "vocos")
    assert bundle.manifest.configuration["delay_frames"] == 5
    assert bundle.manifest.configuration["export"]["difference_from_torch"] <= 1e-4
    assert ("spectral_error" in bundle.manifest.configuration["export"]) == (precision == "int8")
    wave, _ = dataset.wave(sounding_rows(dataset, "dev")[0])
    assert load_vocoder(bundle).wave(log_mel(wave, experiment.data.mel)).std() > 0.001


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", ".", "-o", "out"], "neither a run"),
        (["evaluate", "captions", "nothing", "."], "no bundle of this name"),
        (["evaluate", "voice", "nothing", "."], "no bundle of this name"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    err = capfd.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1
