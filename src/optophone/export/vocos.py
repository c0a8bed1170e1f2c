"""A Vocos as a bundle: one graph without states, whose inverse Fourier transform is a matrix product."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from optophone.core.bundle import Bundle, BundleWriter, open_bundle
from optophone.core.errors import ConfigurationError
from optophone.core.mel import MelSpec
from optophone.export.differences import largest_difference
from optophone.export.onnx_graph import export_graph
from optophone.export.quantize import quantize_graph
from optophone.export.training_facts import ExportError, Precision, TrainingFacts
from optophone.export.vocoder import LARGEST_DIFFERENCE, LARGEST_SPECTRAL_ERROR, compare
from optophone.models.vocoders.vocos import Vocos
from optophone.runtime.onnx_vocoder import VOCODER_GRAPH, OnnxVocoder

_INVERSE = "/inverse/"  # what it writes goes into samples undiminished: it stays in floating point
_STREAM_FRAMES = 16
_BLOCK_FRAMES = 256


@dataclass(frozen=True)
class TrainedVocos:
    """A Vocos at the end of its training.

    Args:
        model: the network.
        mel: layout of the frames it reads.
        facts: where it comes from.
    """

    model: Vocos
    mel: MelSpec
    facts: TrainingFacts

    def __post_init__(self) -> None:
        sizes, mel = self.model.config, self.mel
        if (mel.n_mels, mel.hop_length) != (sizes.n_mels, sizes.hop_length):
            raise ConfigurationError(
                f"{self.facts.name}: its mel has {mel.n_mels} bands every {mel.hop_length} samples, the network wants "
                f"{sizes.n_mels} every {sizes.hop_length}."
            )


class VocosGraph(nn.Module):
    """What is exported: the network, and the transform as a product with a constant matrix."""

    def __init__(self, model: Vocos) -> None:
        super().__init__()
        self.model = model
        self.inverse = InverseProduct(model)

    def forward(self, mel: Tensor) -> Tensor:
        """`mel` (1, M, T) → wave (1, T * hop_length)."""
        return self.inverse(torch.cat(self.model.spectra(mel), dim=2))


class InverseProduct(nn.Module):
    """Real and imaginary parts side by side (B, T, n_fft + 2) → wave (B, T * hop_length)."""

    matrix: Tensor

    def __init__(self, model: Vocos) -> None:
        super().__init__()
        self.transform = model.inverse
        self.register_buffer("matrix", model.inverse.matrix())

    def forward(self, spectra: Tensor) -> Tensor:
        """The samples of the spectra."""
        return self.transform.overlap_add(spectra @ self.matrix)


def export_vocos(
    trained: TrainedVocos, folder: Path, precision: Precision, examples: Sequence[np.ndarray]
) -> dict[str, Any]:
    """Write the bundle `folder / precision` and check it through the runtime.

    Args:
        trained: what to export.
        folder: a scratch folder.
        precision: "int8" has eight-bit matrix products, but for the transform, and is compared with "fp32".
        examples: mels (M, T) on which the graphs are compared.

    Returns:
        what was measured, for the bundle's configuration.

    Raises:
        ExportError: the graph differs from the model, or eight bits change the sound.
    """
    exact = _write(trained, folder / "fp32", None)
    reference = OnnxVocoder(exact)
    difference = _difference_from_torch(trained.model, reference, examples[0])
    if not difference <= LARGEST_DIFFERENCE:
        raise ExportError(f"{trained.facts.name}: the ONNX graph differs from the model by {difference:.2g}.")
    measured: dict[str, Any] = {"precision": precision, "difference_from_torch": difference}
    if precision == "int8":
        measured |= compare(
            reference, OnnxVocoder(_write(trained, folder / "int8", exact.file(VOCODER_GRAPH))), examples
        )
        if not measured["spectral_error"] <= LARGEST_SPECTRAL_ERROR:
            shutil.rmtree(folder / "int8")
            raise ExportError(
                f"{trained.facts.name}: with eight bits the mel of the sound is off by "
                f"{measured['spectral_error']:.2g} (ln); use --precision fp32."
            )
    return measured


@torch.no_grad()
def _difference_from_torch(model: Vocos, vocoder: OnnxVocoder, mel: np.ndarray) -> float:
    """Largest difference over a mel (M, T) in portions, relative to the largest sample where that is above 1."""
    expected = model.eval()(torch.from_numpy(mel)[None])[0]
    found = vocoder.infer(mel, [], portion=8)
    return largest_difference([found], [expected])


def _write(trained: TrainedVocos, folder: Path, exact: Path | None) -> Bundle:
    """A bundle with the graph in float32, or that of the file `exact` in eight bits."""
    writer = BundleWriter(
        folder,
        kind="vocoder",
        cls="vocos",
        name=trained.facts.name,
        configuration={
            "delay_frames": trained.model.config.context_frames,
            "stream_frames": _STREAM_FRAMES,
            "block_frames": _BLOCK_FRAMES,
            trained.facts.section: trained.facts.to_mapping(),
        },
        mel=trained.mel,
        data_manifest_hash=trained.facts.data_hash,
    )
    with writer:
        path = writer.path(VOCODER_GRAPH)
        if exact is None:
            mel = torch.zeros(1, trained.mel.n_mels, 2 * trained.model.config.context_frames)
            axes = {"mel": {2: "frames"}, "wave": {1: "samples"}}
            export_graph(VocosGraph(trained.model), path, {"mel": mel}, ["wave"], axes)
        else:
            quantize_graph(exact, path, [_INVERSE])
    return open_bundle(folder)
