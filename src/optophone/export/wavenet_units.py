"""A trained WaveNet-VQ as a bundle that writes units: its encoder and its codes; the WaveNet stays behind."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from optophone.core.bundle import BundleWriter, open_bundle
from optophone.core.configuration import to_mapping
from optophone.core.unit_filter_bank import UnitFilterBankConfig
from optophone.core.vocabulary import build_units
from optophone.export.onnx_graph import export_graph
from optophone.export.training_facts import TrainingFacts
from optophone.export.units import agreement, count_same
from optophone.models.units.wavenet_vq import WaveNetVQ
from optophone.models.units.wavenet_vq_units import WaveNetVQUnits
from optophone.runtime.onnx_units import LEVELS, UNITS_GRAPH, WAVENET_VQ, OnnxUnitEncoder

_TRACED_UNITS = 16


@dataclass(frozen=True)
class TrainedWaveNetUnits:
    """A WaveNet-VQ at the end of its training.

    Args:
        model: the network.
        bank: the front end whose frames it reads.
        facts: where it comes from.

    Raises:
        ConfigurationError: the front end is not its own.
    """

    model: WaveNetVQ
    bank: UnitFilterBankConfig
    facts: TrainingFacts

    def __post_init__(self) -> None:
        """Refuse a front end that is not its own."""
        _ = self.units

    @property
    def units(self) -> WaveNetVQUnits:
        """The network as an encoder of units, in evaluation mode."""
        return WaveNetVQUnits(self.model, self.bank)


class WaveNetUnitsGraph(nn.Module):
    """Frames of one utterance → codes."""

    def __init__(self, model: WaveNetVQ) -> None:
        super().__init__()
        self.encoder, self.quantizer = model.encoder, model.quantizer

    def forward(self, levels: Tensor) -> Tensor:
        """(1, M, T) → (1, T // frames_per_unit) int64; as `WaveNetVQ.units`, for at least one unit of frames."""
        frames, _ = self.encoder(levels)
        return self.quantizer.nearest(frames[0].T)[None]


def export_wavenet_units(trained: TrainedWaveNetUnits, folder: Path, examples: Sequence[np.ndarray]) -> dict[str, Any]:
    """Write the bundle `folder / "fp32"` and check it through the runtime.

    Args:
        trained: what to export.
        folder: a scratch folder.
        examples: waves (N,) at the front end's sample rate, on which the units are compared.

    Returns:
        what was measured, for the bundle's configuration.

    Raises:
        ExportError: the graph's units differ from the model's.
    """
    config, facts = trained.model.config, trained.facts
    configuration = {
        "n_units": config.n_codes,
        "frames_per_unit": config.encoder.frames_per_unit,
        "context_frames": max(config.encoder.frames_around),
        "bank": to_mapping(trained.bank),
        facts.section: facts.to_mapping(),
    }
    with BundleWriter(
        folder / "fp32",
        kind="units",
        cls=WAVENET_VQ,
        name=facts.name,
        configuration=configuration,
        vocabulary=build_units(config.n_codes),
        data_manifest_hash=facts.data_hash,
    ) as writer:
        axes = {LEVELS: {2: "frames"}, "units": {1: "units.frames"}}
        example = torch.zeros(1, trained.bank.n_mels, _TRACED_UNITS * config.encoder.frames_per_unit)
        export_graph(WaveNetUnitsGraph(trained.model), writer.path(UNITS_GRAPH), {LEVELS: example}, ["units"], axes)
    graph = OnnxUnitEncoder(open_bundle(folder / "fp32"))
    return agreement(facts.name, *count_same(trained.units, graph, examples, facts.name))
