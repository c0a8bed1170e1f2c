"""`optophone train` as users type it, for every kind of part: three steps, with a stop after the second."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from optophone.cli.main import run
from optophone.core.vocabulary import Vocabulary
from tiny_datasets import (
    acoustic_experiment,
    captioner_experiment,
    encoder_experiment,
    units_experiment,
    vocoder_experiment,
    vocos_experiment,
    write_captioned_pictures,
    write_configuration,
    write_labelled_pictures,
    write_speech,
    write_spoken_captions,
)


def train(path: Path, mapping: dict[str, Any], folder: Path, *options: str) -> EventAccumulator:
    """Two steps, then, given the same command again, the third; what TensorBoard has of them."""
    configuration = str(write_configuration(path, mapping))
    assert run(["train", configuration, "--out", str(folder), "--trainer.max_steps", "2", *options]) == 0
    assert torch.load(folder / "last.ckpt", weights_only=False)["global_step"] == 2
    assert run(["train", configuration, "--out", str(folder), *options]) == 0
    assert torch.load(folder / "last.ckpt", weights_only=False)["global_step"] == 3
    curves = EventAccumulator(str(folder / "curves"))
    curves.Reload()
    return curves


def scalars(curves: EventAccumulator, name: str) -> dict[int, float]:
    """Step → value, all of them finite."""
    found = {event.step: event.value for event in curves.Scalars(name)}
    assert all(math.isfinite(value) for value in found.values()), (name, found)
    return found


def texts(curves: EventAccumulator, name: str) -> list[str]:
    events = curves.Tensors(f"{name}/text_summary")
    return [event.tensor_proto.string_val[0].decode() for event in events]


def assert_whole(folder: Path, weights: str, *others: str) -> dict[str, torch.Tensor]:
    """The files of a finished run and no others; the weights, all finite."""
    assert {p.name for p in folder.iterdir()} == {"configuration.yaml", "curves", "last.ckpt", weights, *others}
    state = load_file(folder / weights)
    assert all(bool(value.isfinite().all()) for value in state.values())
    return state


def test_an_encoder(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    write_labelled_pictures(tmp_path / "data")
    curves = train(tmp_path / "tiny.yaml", encoder_experiment(tmp_path / "data"), tmp_path / "run")
    assert_whole(tmp_path / "run", "encoder.safetensors")
    assert scalars(curves, "train/loss").keys() == {0, 1, 2}
    assert 0 <= scalars(curves, "dev/accuracy").popitem()[1] <= 1
    out, _ = capfd.readouterr()
    assert "resuming at step 2\n" in out
    assert "step 3: accuracy " in out
    assert out.endswith(f"trained: {tmp_path / 'run'}\n")


def test_captioners_by_cross_entropy_then_by_reward(tmp_path: Path) -> None:
    write_captioned_pictures(tmp_path / "data")
    mapping = captioner_experiment(tmp_path / "data")
    first = tmp_path / "first"
    curves = train(tmp_path / "first.yaml", mapping, first, "--attention_penalty=0.1")
    trained = assert_whole(first, "captioner.safetensors", "vocabulary.json")
    words = Vocabulary.load(first / "vocabulary.json")
    assert {"red", "green", "blue"} < set(words.symbols)
    for name in ("train/loss", "train/cross_entropy", "train/attention_penalty"):
        assert scalars(curves, name).keys() == {0, 1, 2}
    assert scalars(curves, "dev/cider_d").keys() == {2}
    captions = texts(curves, "dev/captions")[-1].split("\n\n")
    assert len(captions) == 4
    assert all(set(caption.split()) <= set(words.symbols) for caption in captions)
    assert {f"dev/attention_{i}" for i in range(4)} <= set(curves.Tags()["images"])
    picture = curves.Images("dev/attention_0")[0]
    assert (picture.height, picture.width % 16) == (16, 0)

    second = tmp_path / "second"
    weights = ("--captioner_weights", str(first / "captioner.safetensors"), "--frozen_views", "2")
    curves = train(tmp_path / "second.yaml", mapping, second, *weights, "--self_critical.n_samples", "3")
    rewarded = assert_whole(second, "captioner.safetensors", "vocabulary.json")
    assert scalars(curves, "train/reward").keys() == {0, 1, 2}
    assert all(value >= 0 for value in scalars(curves, "train/reward").values())
    assert len(scalars(curves, "train/loss")) == 3
    assert texts(curves, "dev/captions")
    (regions,) = (tmp_path / "regions").iterdir()
    assert load_file(regions)["regions"].shape == (2, 12, 16, 6)
    moved = {name for name, value in rewarded.items() if not torch.equal(value, trained[name])}
    assert moved
    assert all(name.startswith("decoder.") for name in moved), "the encoder was frozen"


def test_an_acoustic_model(tmp_path: Path) -> None:
    write_speech(tmp_path / "data")
    mapping = acoustic_experiment(tmp_path / "data")
    curves = train(tmp_path / "tiny.yaml", mapping, tmp_path / "run", "--model.stop_threshold", "1.1")
    assert_whole(tmp_path / "run", "acoustic.safetensors", "vocabulary.json")
    assert len(Vocabulary.load(tmp_path / "run/vocabulary.json")) == 148
    for name in ("loss", "mel_before", "mel_after", "stop", "guide"):
        assert scalars(curves, f"train/{name}").keys() == {0, 1, 2}
    for name in ("mel_after", "stopped", "duration_within_25_percent", "attention_focus"):
        assert scalars(curves, f"dev/{name}").keys() == {2}
    assert texts(curves, "dev/text") == ["aa."]
    assert {"dev/mel", "dev/mel_true", "dev/alignment"} <= set(curves.Tags()["images"])
    (voice,) = curves.Audio("dev/voice")
    assert voice.sample_rate == 8000
    assert voice.length_frames > 8000 * 0.2
    assert voice.encoded_audio_string.startswith(b"RIFF")


def test_a_vocoder(tmp_path: Path) -> None:
    write_speech(tmp_path / "data")
    mapping = vocoder_experiment(tmp_path / "data")
    mapping["optimizer"]["schedule"] = "constant"  # which does not depend on the length of the run
    curves = train(tmp_path / "tiny.yaml", mapping, tmp_path / "run")
    weights = assert_whole(tmp_path / "run", "vocoder.safetensors")
    assert "couplings.0.start.weight" in weights
    assert not any("original" in name for name in weights), "plain weights, without weight norm"
    for name in ("loss", "noise", "scales", "mixing"):
        assert scalars(curves, f"train/{name}").keys() == {0, 1, 2}
    for name in ("loss", "mel_distance"):
        assert scalars(curves, f"dev/{name}").keys() == {2}
    assert {"dev/mel", "dev/mel_true"} <= set(curves.Tags()["images"])
    for name in ("dev/voice", "dev/voice_true"):
        (voice,) = curves.Audio(name)
        assert voice.sample_rate == 8000
        assert voice.length_frames > 1400
    assert run(["train", str(tmp_path / "tiny.yaml"), "--out", str(tmp_path / "without_stop")]) == 0
    for name, value in load_file(tmp_path / "without_stop/vocoder.safetensors").items():
        torch.testing.assert_close(value, weights[name], rtol=0, atol=0, msg=name)


def test_a_vocos(tmp_path: Path) -> None:
    """Stopped and resumed after each step, the game beginning in between, as without a stop."""
    write_speech(tmp_path / "data")
    mapping = vocos_experiment(tmp_path / "data")
    mapping["optimizer"]["schedule"] = "constant"
    curves = train(tmp_path / "tiny.yaml", mapping, tmp_path / "run")
    weights = assert_whole(tmp_path / "run", "vocoder.safetensors")
    assert "layers.0.widen.weight" in weights
    assert not any("discriminators" in name for name in weights)
    assert scalars(curves, "train/mel").keys() == {0, 1, 2}
    assert scalars(curves, "train/judges").keys() == {1, 2}
    assert scalars(curves, "dev/mel_distance").keys() == {2}
    assert run(["train", str(tmp_path / "tiny.yaml"), "--out", str(tmp_path / "without_stop")]) == 0
    for name, value in load_file(tmp_path / "without_stop/vocoder.safetensors").items():
        torch.testing.assert_close(value, weights[name], rtol=0, atol=0, msg=name)


def test_bfloat16_trains_every_kind(tmp_path: Path) -> None:
    """The precision that the published configurations use."""
    kinds = [
        (write_labelled_pictures, encoder_experiment, []),
        (write_captioned_pictures, captioner_experiment, []),
        (write_captioned_pictures, captioner_experiment, ["--decoder", "{name: show-attend-tell}"]),
        (write_speech, acoustic_experiment, []),
        (write_speech, vocoder_experiment, []),
        (write_speech, vocos_experiment, ["--adversarial.from_step", "0"]),
    ]
    for number, (write, experiment, options) in enumerate(kinds):
        write(tmp_path / f"data{number}")
        path = write_configuration(tmp_path / f"{number}.yaml", experiment(tmp_path / f"data{number}"))
        folder = tmp_path / f"run{number}"
        common = ["--trainer.precision", "bf16-mixed", "--trainer.validate_every", "1", "--trainer.max_steps", "1"]
        assert run(["train", str(path), "--out", str(folder), *common, *options]) == 0
        (weights,) = folder.glob("*.safetensors")
        assert all(bool(value.isfinite().all()) for value in load_file(weights).values())


BAD = {
    "unknown option": (["--trainer.max_step", "3"], "'max_step'"),
    "unknown section": (["--trainr.max_steps", "3"], "'trainr'"),
    "unknown decoder": (["--decoder.name", "lstm"], "show-attend-tell, transformer"),
    "unknown decoder option": (["--decoder.options.layers", "3"], "'layers'"),
    "wrong type": (["--trainer.max_steps", "many"], "expected int, found 'many'"),
    "no value": (["--trainer.max_steps"], "--trainer.max_steps: a value is missing"),
    "no option": (["3"], "expected --section.option VALUE"),
    "unknown kind": (["--kind", "vocoders"], "encoder, captioner, acoustic"),
    "no data": (["--data.folder", "nowhere"], "nowhere"),
    "batch over the data": (["--data.batch_size", "13"], "give 1 to 12"),
    "no steps": (["--trainer.max_steps", "0"], "max_steps is 0"),
    "no weights": (["--encoder_weights", "gone.safetensors"], "gone.safetensors: no such weights"),
    "other weights": (["--encoder_weights", "other.safetensors"], "other.safetensors: not a safetensors file"),
    "reward from nothing": (["--self_critical.n_samples", "3"], "captioner_weights"),
    "too few samples": (["--self_critical.n_samples", "1"], "n_samples is 1"),
    "freezing what is not there": (["--optimizer.scales", "{encodr.: 0}"], "'encodr.'"),
    "pictures beside the grid": (["--data.sizes", "[[0, 18]]"], "18 x 18"),
    "odd precision": (["--trainer.precision", "8-bit"], "32-true, bf16-mixed"),
    "no such accelerator": (["--trainer.accelerator", "abacus"], "abacus"),
}


@pytest.fixture(scope="module")
def captions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("captions")
    write_captioned_pictures(folder / "data")
    (folder / "other.safetensors").write_text("no weights at all")
    return write_configuration(folder / "tiny.yaml", captioner_experiment(folder / "data"))


@pytest.mark.parametrize("name", BAD)
def test_bad_configurations_are_one_line(
    name: str, captions: Path, tmp_path: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(captions.parent)
    options, message = BAD[name]
    assert run(["train", str(captions), "--out", str(tmp_path / "run"), *options]) == 2
    assert_one_line(capfd.readouterr().err, message)
    assert not list((tmp_path / "run").glob("*.safetensors"))


def assert_one_line(err: str, message: str) -> None:
    assert err.startswith("optophone: ")
    assert message in err
    assert err.count("\n") == 1


def test_units_in_two_stages(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    write_spoken_captions(tmp_path / "speech", write_captioned_pictures(tmp_path / "pictures"))
    mapping = units_experiment(tmp_path / "pictures", tmp_path / "speech")
    curves = train(tmp_path / "first.yaml", mapping, tmp_path / "first")
    first = assert_whole(tmp_path / "first", "units.safetensors")
    for name in ("train/loss", "train/quantization", "train/perplexity_2"):
        assert scalars(curves, name).keys() == {0, 1, 2}
    assert 0 <= scalars(curves, "dev/recall_10").popitem()[1] <= 1

    mapping["weights"] = str(tmp_path / "first/units.safetensors")
    mapping["model"] |= {"quantizers": [2, 3], "n_codes": [8, 9]}
    curves = train(tmp_path / "second.yaml", mapping, tmp_path / "second", "--frozen_views", "2")
    second = assert_whole(tmp_path / "second", "units.safetensors")
    added = second.keys() - first.keys()
    assert added == {f"audio.quantizers.3.{name}" for name in ("codes", "sums", "mass")}
    for name, value in first.items():
        if name.startswith("picture.encoder."):
            assert torch.equal(second[name], value), name
    assert scalars(curves, "dev/used_codes_3").popitem()[1] >= 1
    assert "step 3: speech_recall_1 " in capfd.readouterr().out
    assert len(list((tmp_path / "regions").iterdir())) == 1


@pytest.mark.parametrize(
    ("write", "experiment", "message"),
    [
        (write_speech, captioner_experiment, "no caption"),
        (write_captioned_pictures, acoustic_experiment, "no utterance"),
        (write_captioned_pictures, encoder_experiment, "no packed labels"),
    ],
)
def test_another_kind_of_data_is_refused(
    write: Any, experiment: Any, message: str, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    write(tmp_path / "data")
    path = write_configuration(tmp_path / "tiny.yaml", experiment(tmp_path / "data"))
    assert run(["train", str(path), "--out", str(tmp_path / "run")]) == 2
    assert_one_line(capfd.readouterr().err, message)


def test_a_missing_file_in_a_process_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "optophone.cli.main", "train", "missing.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr == "optophone: missing.yaml: cannot read the configuration (No such file or directory).\n"
    assert done.stdout == ""
