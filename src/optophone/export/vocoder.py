"""A WaveGlow as a bundle: one graph that goes through an utterance in portions, and what it hums for the denoiser."""

import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from optophone.core.bundle import Bundle, BundleWriter, open_bundle
from optophone.core.denoiser import BIAS_FRAMES
from optophone.core.errors import ConfigurationError
from optophone.core.mel import MelSpec, log_mel, stft
from optophone.export.differences import largest_difference
from optophone.export.import_facts import ImportFacts
from optophone.export.onnx_graph import export_graph
from optophone.export.quantize import quantize_graph
from optophone.export.training_facts import ExportError, Precision, TrainingFacts
from optophone.export.waveglow_graph import WaveGlowGraph
from optophone.models.vocoders.waveglow import WaveGlow
from optophone.runtime.onnx_vocoder import DENOISER_FILE, VOCODER_GRAPH, OnnxVocoder

LARGEST_DIFFERENCE = 1e-4  # of the float32 graph, relative to the largest sample where that is above 1
LARGEST_SPECTRAL_ERROR = 0.5  # of the eight-bit graph, mean over the mel in ln units: a copy, not another voice
_BLOCK_FRAMES = 32  # of a whole wave: what a layer reads and writes stays in the cache
_CHECKED_PORTION = 8  # frames: small, so that a short mel has seams
# Small, so as fast in float32, and what they write goes into samples undiminished.
_KEPT = ("/upsample/", "/start/", "/skip/", "/inverse/")


class OverflowWarning(UserWarning):
    """The weights make values beyond all numbers, so nothing could be compared."""


@dataclass(frozen=True)
class TrainedVocoder:
    """A WaveGlow at the end of its training.

    Args:
        model: with plain weights.
        mel: layout of the frames it reads.
        facts: where it comes from.
        sigma: standard deviation of the noise it speaks from.
        denoise: strength of the denoiser, 0 for none.
    """

    model: WaveGlow
    mel: MelSpec
    facts: TrainingFacts | ImportFacts
    sigma: float = 0.666
    denoise: float = 0.01

    def __post_init__(self) -> None:
        sizes, mel = self.model.config, self.mel
        if (mel.n_mels, mel.hop_length) != (sizes.n_mels, sizes.hop_length):
            raise ConfigurationError(
                f"{self.facts.name}: its mel has {mel.n_mels} bands every {mel.hop_length} samples, the network wants "
                f"{sizes.n_mels} every {sizes.hop_length}."
            )
        for name in ("sigma", "denoise"):
            if not 0 <= getattr(self, name) <= 10:
                raise ConfigurationError(f"{name}: {getattr(self, name):g} is out of range; choose 0 to 10.")


def export_vocoder(
    trained: TrainedVocoder, folder: Path, precision: Precision, examples: Sequence[np.ndarray]
) -> dict[str, Any]:
    """Write the bundle `folder / precision` and check it through the runtime.

    Args:
        trained: what to export.
        folder: a scratch folder.
        precision: "int8" has eight-bit matrix products and is compared with "fp32", which is made first.
        examples: mels (M, T) on which the graphs are compared.

    Returns:
        what was measured, for the bundle's configuration.

    Raises:
        ExportError: the graph differs from the model, or eight bits change the sound.
    """
    graph = WaveGlowGraph(trained.model)
    exact = write_unchecked(trained, graph, folder / "graph")
    reference = OnnxVocoder(exact)
    measured: dict[str, Any] = {"precision": precision}
    measured["difference_from_torch"] = _checked_difference(trained, reference, examples[0])
    if precision == "int8":
        eight_bits = write_unchecked(trained, graph, folder / "graph-int8", exact.file(VOCODER_GRAPH))
        other = OnnxVocoder(eight_bits)
        measured |= compare(reference, other, examples)
        if not measured["spectral_error"] <= LARGEST_SPECTRAL_ERROR:
            raise ExportError(
                f"{trained.facts.name}: with eight bits the mel of the sound is off by "
                f"{measured['spectral_error']:.2g} (ln); use --precision fp32."
            )
        exact, reference = eight_bits, other
    with _writer(trained, graph, folder / precision, trained.denoise) as writer:
        shutil.copyfile(exact.file(VOCODER_GRAPH), writer.path(VOCODER_GRAPH))
        if trained.denoise:
            np.savez(writer.path(DENOISER_FILE), bias=hum_of(reference))
    return measured


def runtime_configuration(graph: WaveGlowGraph, hop_length: int) -> dict[str, Any]:
    """The keys of `OnnxVocoderConfig` that follow from the graph."""
    return {
        "step_samples": graph.n_group,
        "delay_frames": -(-(graph.delay + 1) * graph.n_group // hop_length),
        "state_rows": [rows for rows, _ in graph.state_shapes],
        "block_frames": _BLOCK_FRAMES,
    }


def hum_of(vocoder: OnnxVocoder) -> np.ndarray:
    """What a vocoder hums by itself: magnitudes (n_fft // 2 + 1,) of the beginning of a mel of zeros without noise.

    Of the graph as it is, so that the hum of its eight bits is part of it.
    """
    silence = np.zeros((vocoder.mel_spec.n_mels, BIAS_FRAMES), np.float32)
    wave = vocoder.infer(silence, zero_noise(vocoder, BIAS_FRAMES))
    bias = np.abs(stft(np.nan_to_num(wave, posinf=0, neginf=0), vocoder.mel_spec)[:, 0])
    return np.minimum(bias, np.finfo(np.float32).max)


def zero_noise(vocoder: OnnxVocoder, n_frames: int) -> list[np.ndarray]:
    """Silence in the place of the noise for `n_frames`."""
    n_steps = n_frames * vocoder.mel_spec.hop_length // vocoder.config.step_samples
    return [np.zeros((size, n_steps), np.float32) for size in vocoder.noise_sizes]


def _checked_difference(trained: TrainedVocoder, vocoder: OnnxVocoder, mel: np.ndarray) -> float | None:
    difference, own_rounding = difference_from_torch(trained.model, vocoder, mel)
    if np.isnan(difference):
        warnings.warn(
            f"{trained.facts.name}: these weights make values beyond all numbers, so nothing was compared; they are "
            "untrained or damaged",
            OverflowWarning,
            stacklevel=4,
        )
        return None
    # Weights may amplify every rounding; then the model in float32 is as far from the truth itself.
    if not difference <= max(LARGEST_DIFFERENCE, 10 * own_rounding):
        raise ExportError(f"{trained.facts.name}: the ONNX graph differs from the model by {difference:.2g}.")
    return difference


@torch.no_grad()
def difference_from_torch(model: WaveGlow, vocoder: OnnxVocoder, mel: np.ndarray) -> tuple[float, float]:
    """Largest difference between graph and model over a mel (M, T), relative to the largest sample where that is above
    1, and how far the model itself is from its double precision, where the difference is too large.

    Only as much of the mel is taken as makes a few portions. NaN where the model's own samples are no numbers.
    """
    mel = mel[:, : vocoder.config.delay_frames + 3 * _CHECKED_PORTION]
    frames = torch.from_numpy(mel)[None]
    n_steps = mel.shape[1] * model.config.hop_length // model.config.n_group
    noise = model.draw_noise(torch.zeros(1, 1, n_steps), torch.Generator().manual_seed(0))
    expected = model.infer(frames, 1.0, noise)
    if not expected.isfinite().all():
        return float("nan"), 0.0
    found = vocoder.infer(mel, [draw[0].numpy() for draw in noise], sigma=1.0, portion=_CHECKED_PORTION)
    difference = largest_difference([found], [expected[0]])
    if difference <= LARGEST_DIFFERENCE:
        return difference, 0.0
    exact = _in_double(model, frames, noise)
    return difference, largest_difference([exact.numpy()], [expected[0]])


def _in_double(model: WaveGlow, frames: torch.Tensor, noise: Sequence[torch.Tensor]) -> torch.Tensor:
    try:
        return model.double().infer(frames.double(), 1.0, [draw.double() for draw in noise])[0]
    finally:
        model.float()


def compare(reference: OnnxVocoder, other: OnnxVocoder, examples: Sequence[np.ndarray]) -> dict[str, Any]:
    """How far the waves of `other` are from those of `reference`, from the same noise.

    Returns:
        spectral_error: mean absolute difference of the waves' mels, ln units.
        signal_to_error_db: power of the waves over the power of their differences.
    """
    errors, power, wrong = [], 0.0, 0.0
    for mel in examples:
        expected, found = reference.wave(mel), other.wave(mel)
        difference = log_mel(expected, reference.mel_spec) - log_mel(found, reference.mel_spec)
        errors.append(float(np.abs(difference).mean()))
        power += float(np.square(expected, dtype=np.float64).sum())
        wrong += float(np.square(expected - found, dtype=np.float64).sum())
    ratio = 10 * np.log10(max(power, 1e-20) / max(wrong, 1e-20))
    return {
        "spectral_error": float(np.mean(errors)),
        "signal_to_error_db": float(ratio),
        "n_compared": len(examples),
    }


def _writer(trained: TrainedVocoder, graph: WaveGlowGraph, folder: Path, denoise: float) -> BundleWriter:
    return BundleWriter(
        folder,
        kind="vocoder",
        cls="waveglow",
        name=trained.facts.name,
        configuration={
            "sigma": trained.sigma,
            "denoise": denoise,
            **runtime_configuration(graph, trained.mel.hop_length),
            trained.facts.section: trained.facts.to_mapping(),
        },
        mel=trained.mel,
        data_manifest_hash=trained.facts.data_hash,
    )


def write_unchecked(trained: TrainedVocoder, graph: WaveGlowGraph, folder: Path, exact: Path | None = None) -> Bundle:
    """A bundle without denoiser: with the graph in float32, or that of the file `exact` in eight bits."""
    with _writer(trained, graph, folder, 0.0) as writer:
        path = writer.path(VOCODER_GRAPH)
        if exact is None:
            _export_graph(trained, graph, path)
        else:
            quantize_graph(exact, path, _KEPT)
    return open_bundle(folder)


def _export_graph(trained: TrainedVocoder, graph: WaveGlowGraph, path: Path) -> None:
    config = trained.model.config
    n_frames = runtime_configuration(graph, config.hop_length)["delay_frames"] + 2
    n_steps = n_frames * config.hop_length // config.n_group
    noise = {f"noise.{i}": torch.zeros(n_steps, size) for i, size in enumerate(graph.noise_sizes)}
    states = {f"state.{i}": torch.zeros(shape) for i, shape in enumerate(graph.state_shapes)}
    inputs = {"mel": torch.zeros(1, config.n_mels, n_frames), "last": torch.tensor(0), **noise, **states}
    outputs = ["wave", *(f"next.{name}" for name in states)]
    axes = {"mel": {2: "frames"}, "wave": {1: "samples"}}
    axes |= {name: {0: "steps"} for name in noise}
    for name in states:
        axes[name], axes[f"next.{name}"] = {0: f"{name}.rows"}, {0: f"next.{name}.rows"}
    export_graph(graph, path, inputs, outputs, axes)
