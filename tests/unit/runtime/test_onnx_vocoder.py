"""Vocoders as graphs: what was exported does what the model does, whole and in portions."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from optophone.core.bundle import BundleWriter, open_bundle
from optophone.core.errors import BundleError, ConfigurationError
from optophone.core.mel import MelSpec
from optophone.export.import_facts import ImportFacts
from optophone.export.training_facts import ExportError
from optophone.export.vocoder import OverflowWarning, TrainedVocoder, export_vocoder
from optophone.models.vocoders.denoiser import build_denoiser
from optophone.models.vocoders.fast_waveglow import FastWaveGlow, FastWaveGlowConfig
from optophone.models.vocoders.waveglow import WaveGlow
from optophone.runtime.load import load_vocoder
from optophone.runtime.onnx_vocoder import OnnxVocoder
from tiny_vocoders import TINY_WAVEGLOW, tiny_waveglow, write_inverse_stft_vocoder

SPEC = MelSpec(n_fft=64, win_length=64, n_mels=3, hop_length=16)
SMALL = replace(TINY_WAVEGLOW, n_flows=2, early_every=1, n_layers=2)
SIZES = {
    "small": SMALL,
    "no early outputs": replace(SMALL, early_every=2),
    "one layer": replace(SMALL, n_layers=1),
    "wide kernel": replace(SMALL, kernel_size=5),
    "kernel of one": replace(SMALL, kernel_size=1),
    "steps across frames": replace(SMALL, n_group=12),
    "steps longer than frames": replace(SMALL, n_group=20),
    "ragged upsampling": replace(SMALL, upsample_kernel_size=55),
    "alternate halves": replace(SMALL, alternate_halves=True),
}
FACTS = ImportFacts("tiny", "waveglow", "tiny.pt", "0")


@pytest.fixture(scope="module")
def mel() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((3, 90)).astype(np.float32)


def exported(folder: Path, model: WaveGlow, denoise: float = 0.0, precision: str = "fp32") -> Path:
    trained = TrainedVocoder(model, SPEC, FACTS, 0.7, denoise)
    mels = [np.random.default_rng(1).standard_normal((3, 60)).astype(np.float32)]
    export_vocoder(trained, folder, precision, mels)  # type: ignore[arg-type]
    return folder / precision


@pytest.mark.parametrize("size", SIZES)
def test_equals_the_model_whole_and_in_portions(size: str, mel: np.ndarray, tmp_path: Path) -> None:
    model = tiny_waveglow(SIZES[size])
    vocoder = OnnxVocoder(open_bundle(exported(tmp_path, model)))
    noise = model.draw_noise(torch.zeros(1, 1, 90 * 16 // model.config.n_group), torch.Generator().manual_seed(1))
    expected = model.infer(torch.from_numpy(mel)[None], 0.7, noise)[0].numpy()
    assert np.abs(expected).max() > 0.5
    for portion in (1, 7, 200):
        found = vocoder.infer(mel, [draw[0].numpy() for draw in noise], portion=portion)
        np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)
    whole = vocoder.wave(mel)
    same = FastWaveGlow(model, SPEC, FastWaveGlowConfig(0.7)).wave(mel)
    np.testing.assert_allclose(whole, same, atol=1e-5)  # seeds mean the same noise in both
    for sizes in ([1] * 90, [0, 50, 0, 40], [90]):
        chunks = np.split(mel, np.cumsum(sizes)[:-1], axis=1)
        portions = list(vocoder.stream(chunks))
        assert len(portions) > 1
        np.testing.assert_allclose(np.concatenate(portions), whole, atol=1e-5)
    assert vocoder.wave(mel[:, :0]).shape == (0,)
    assert vocoder.wave(mel[:, :1]).shape == (16 // model.config.n_group * model.config.n_group,)
    assert list(vocoder.stream([])) == []


def test_the_hum_is_taken_away(mel: np.ndarray, tmp_path: Path) -> None:
    model = tiny_waveglow(SMALL)
    plain = OnnxVocoder(open_bundle(exported(tmp_path / "plain", model)))
    denoised = load_vocoder(open_bundle(exported(tmp_path / "denoised", model, denoise=0.3)))
    assert isinstance(denoised, OnnxVocoder)
    assert plain.denoiser is None
    assert denoised.denoiser is not None
    expected = build_denoiser(model, SPEC)
    np.testing.assert_allclose(denoised.denoiser.bias, expected.bias, atol=1e-4)
    wave = denoised.wave(mel)
    assert wave.shape == (90 * 16,)
    np.testing.assert_allclose(wave, np.clip(expected(plain.wave(mel), 0.3), -1, 1), atol=1e-4)
    joined = np.concatenate(list(denoised.stream(np.split(mel, 9, axis=1))))
    np.testing.assert_allclose(joined, wave, atol=1e-4)
    assert denoised.wave(mel[:, :2]).shape == (32,)  # too short for a spectrum, so as it is


def test_eight_bits_are_smaller_and_nearly_the_same(mel: np.ndarray, tmp_path: Path) -> None:
    model = tiny_waveglow(replace(SMALL, n_channels=64))
    trained = TrainedVocoder(model, SPEC, FACTS, 0.7)
    measured = export_vocoder(trained, tmp_path, "int8", [mel])
    assert 0 < measured["spectral_error"] < 0.5
    assert measured["signal_to_error_db"] > 10
    path = tmp_path / "int8/vocoder.onnx"
    assert path.stat().st_size < 0.6 * (tmp_path / "graph/vocoder.onnx").stat().st_size
    kinds = [node.op_type for node in onnx.load(path).graph.node]
    assert kinds.count("MatMulInteger") == 2 * (2 + 2 + 1)  # a flow's: dilated, conditions, residual but of the last
    vocoder = OnnxVocoder(open_bundle(tmp_path / "int8"))
    whole = vocoder.wave(mel)
    joined = np.concatenate(list(vocoder.stream(np.split(mel, 9, axis=1))))
    assert np.square(joined - whole).sum() < 0.02 * np.square(whole).sum()


def test_graphs_that_are_not_the_model_are_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    infer = WaveGlow.infer
    monkeypatch.setattr(WaveGlow, "infer", lambda *arguments: infer(*arguments) * 1.01)
    with pytest.raises(ExportError, match="differs from the model by"):
        exported(tmp_path, tiny_waveglow(SMALL))
    assert not (tmp_path / "fp32").exists()


def test_weights_beyond_all_numbers_are_said_to_be(mel: np.ndarray, tmp_path: Path) -> None:
    model = tiny_waveglow(SMALL)
    with torch.no_grad():
        for network in model.couplings:
            network.end.bias.fill_(-200.0)
    with pytest.warns(OverflowWarning, match="beyond all numbers"):
        folder = exported(tmp_path, model, denoise=0.1)
    wave = OnnxVocoder(open_bundle(folder)).wave(mel)
    assert wave.shape == (90 * 16,)
    assert np.isfinite(wave).all()


def test_options_out_of_range_are_refused() -> None:
    model = tiny_waveglow(SMALL)
    for sigma, denoise, says in ((-1.0, 0.0, "sigma: -1"), (0.6, 11.0, "denoise: 11"), (float("nan"), 0.0, "sigma")):
        with pytest.raises(ConfigurationError, match=says):
            TrainedVocoder(model, SPEC, FACTS, sigma, denoise)
    with pytest.raises(ConfigurationError, match="80 bands every 256 samples, the network wants 3 every 16"):
        TrainedVocoder(model, MelSpec(), FACTS)


def rewritten(source: Path, target: Path, mel: MelSpec | None = SPEC, **changes: object) -> OnnxVocoder:
    old = open_bundle(source)
    configuration = {**old.manifest.configuration, **changes}
    writer = BundleWriter(target, kind="vocoder", cls="x", name="x", configuration=configuration, mel=mel)
    with writer:
        for name in old.manifest.files:
            writer.path(name).write_bytes(old.file(name).read_bytes())
    return OnnxVocoder(open_bundle(target))


def test_what_is_no_vocoder_is_refused(tmp_path: Path) -> None:
    source = exported(tmp_path, tiny_waveglow(SMALL), denoise=0.1)
    assert rewritten(source, tmp_path / "same").denoiser is not None
    with pytest.raises(BundleError, match="no mel specification"):
        rewritten(source, tmp_path / "a", mel=None)
    with pytest.raises(BundleError, match="takes 3 mel bands, the manifest says 4"):
        rewritten(source, tmp_path / "b", mel=replace(SPEC, n_mels=4))
    with pytest.raises(BundleError, match="the configuration has 1"):
        rewritten(source, tmp_path / "c", state_rows=[0])
    with pytest.raises(BundleError, match="the bias is"):
        rewritten(source, tmp_path / "d", mel=replace(SPEC, n_fft=128))
    with pytest.raises(ConfigurationError, match="step_samples is 0"):
        rewritten(source, tmp_path / "e", step_samples=0)
    with pytest.raises(ConfigurationError, match="denoise is -1"):
        rewritten(source, tmp_path / "f", denoise=-1.0)
    (tmp_path / "plain").mkdir()
    plain = write_inverse_stft_vocoder(tmp_path / "plain/bundle", SPEC)
    with pytest.raises(BundleError, match=r"has no denoiser\.npz"):
        rewritten(plain, tmp_path / "g", denoise=0.1)


def test_a_graph_without_states_has_no_seams(mel: np.ndarray, tmp_path: Path) -> None:
    vocoder = OnnxVocoder(open_bundle(write_inverse_stft_vocoder(tmp_path / "bundle", SPEC)))
    expected = np.clip(vocoder.graph.run({"mel": mel[None]})[0][0], -1, 1)
    assert expected.std() > 0.01
    for sizes in ([1] * 90, [0, 50, 0, 40], [90]):
        portions = list(vocoder.stream(np.split(mel, np.cumsum(sizes)[:-1], axis=1)))
        assert len(portions) > 3
        np.testing.assert_allclose(np.concatenate(portions), expected, atol=1e-5)
    np.testing.assert_allclose(vocoder.wave(mel), expected, atol=1e-5)
