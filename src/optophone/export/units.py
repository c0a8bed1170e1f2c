"""Encoders of units as bundles: a ResDAVEnet as one graph from frames to units, k-means as its centres.

WaveNet-VQ is in `wavenet_units.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from optophone.core.bundle import BundleWriter, open_bundle
from optophone.core.configuration import to_mapping
from optophone.core.errors import ConfigurationError
from optophone.core.k_means_units import KMeansUnits
from optophone.core.protocols import UnitEncoder
from optophone.core.unit_filter_bank import UnitFilterBankConfig
from optophone.core.vocabulary import build_units
from optophone.export.import_facts import ImportFacts
from optophone.export.onnx_graph import export_graph
from optophone.export.training_facts import ExportError, Precision, TrainingFacts
from optophone.models.units.quantizer import Quantizer
from optophone.models.units.resdavenet import ResDAVEnet, ResDAVEnetConfig
from optophone.models.units.resdavenet_units import ResDAVEnetUnits
from optophone.runtime.load import K_MEANS, K_MEANS_FILE
from optophone.runtime.onnx_units import LEVELS, UNITS_GRAPH, OnnxUnitEncoder

# A unit may differ where two codes are equally near but for rounding; more than this is another network.
LEAST_SAME_UNITS = 0.999
_TRACED_FRAMES = 64


@dataclass(frozen=True)
class TrainedUnits:
    """A network of units at the end of its training.

    Args:
        model: the half that hears.
        bank: the front end whose frames it reads.
        facts: where it comes from.
    """

    model: ResDAVEnet
    bank: UnitFilterBankConfig
    facts: TrainingFacts | ImportFacts

    def __post_init__(self) -> None:
        """Refuse a network without units, and a front end that is not its own."""
        if not self.model.config.quantizers:
            raise ConfigurationError(f"{self.facts.name}: the network has no quantizer, so it makes no units.")
        if self.bank.n_mels != self.model.config.n_mels:
            raise ConfigurationError(
                f"{self.facts.name}: the network reads {self.model.config.n_mels} bands, its front end has "
                f"{self.bank.n_mels}."
            )


class UnitsGraph(nn.Module):
    """Frames of one utterance → codes at every position that has a quantizer."""

    def __init__(self, model: ResDAVEnet) -> None:
        super().__init__()
        self.model = model

    def forward(self, levels: Tensor) -> tuple[Tensor, ...]:
        """(1, M, T) → (1, ceil(T / 2^(P-1))) int64 for each position P; as `ResDAVEnet.units`, without padding."""
        model, found = self.model, []
        x = model.bn1(model.conv1(levels)).relu()
        for position in range(1, model.config.quantizers[-1] + 1):
            if position > 1:
                x = model.stages[position - 2](x)
            if position in model.config.quantizers:
                quantizer = model.quantizers[str(position)]
                assert isinstance(quantizer, Quantizer)
                units = quantizer.nearest(x[0].T)
                found.append(units[None])
                x = quantizer.codes[units].T[None]
        return tuple(found)


def context_frames(config: ResDAVEnetConfig, position: int) -> int:
    """Frames on either side of its first that a unit at `position` depends on; the receptive field is one more than
    twice as many."""
    reach, half, stride = 0, config.kernel_size // 2, 1
    for n_blocks in config.blocks[: position - 1]:
        for number in range(n_blocks):
            reach += half * stride  # its first convolution, which takes the steps of the stage
            stride *= 2 if number == 0 else 1
            reach += half * stride
    return reach


def export_units(trained: TrainedUnits, folder: Path, examples: Sequence[np.ndarray]) -> dict[str, Any]:
    """Write the bundle `folder / "fp32"` and check it through the runtime.

    There is no other precision, see `check_unit_precision`.

    Args:
        trained: what to export.
        folder: a scratch folder.
        examples: waves (N,) at the front end's sample rate, on which the units are compared.

    Returns:
        what was measured, for the bundle's configuration.

    Raises:
        ExportError: the graph's units differ from the model's.
    """
    config = trained.model.config
    configuration = {
        "quantizers": list(config.quantizers),
        "n_codes": list(config.n_codes),
        "context_frames": [context_frames(config, position) for position in config.quantizers],
        "bank": to_mapping(trained.bank),
        trained.facts.section: trained.facts.to_mapping(),
    }
    with BundleWriter(
        folder / "fp32",
        kind="units",
        cls="resdavenet-vq",
        name=trained.facts.name,
        configuration=configuration,
        vocabulary=build_units(config.n_codes[-1]),
        data_manifest_hash=trained.facts.data_hash,
    ) as writer:
        _export_graph(trained.model.eval(), writer.path(UNITS_GRAPH))
    return agreement(trained.facts.name, *compare(trained, folder / "fp32", examples))


def check_unit_precision(precision: Precision | None, name: str) -> None:
    """Refuse eight bits.

    With eight-bit convolutions 3 % of the units of a network with quantizers at 2 and 3 change at the first and 8 % at
    the second, which sees the changed codes of the first; a captioner that learned the ones would not know the others.

    Raises:
        ConfigurationError: eight bits were asked for.
    """
    if precision == "int8":
        raise ConfigurationError(f"{name}: with eight bits units would be others; leave --precision out.")


def export_k_means_units(units: KMeansUnits, facts: TrainingFacts, folder: Path) -> dict[str, Any]:
    """Write the bundle `folder / "fp32"`: centres and front end. There is nothing to compare: it is the same class.

    Raises:
        ExportError: a centre is not finite.
    """
    if not np.isfinite(units.centres).all():
        raise ExportError(f"{facts.name}: a centre is no number; learn the units again.")
    with BundleWriter(
        folder / "fp32",
        kind="units",
        cls=K_MEANS,
        name=facts.name,
        configuration={
            "n_units": len(units.centres),
            **to_mapping(units.config),
            facts.section: facts.to_mapping(),
        },
        vocabulary=units.vocabulary,
        data_manifest_hash=facts.data_hash,
    ) as writer:
        units.save(writer.path(K_MEANS_FILE))
    return {}


def compare(trained: TrainedUnits, bundle: Path, examples: Sequence[np.ndarray]) -> tuple[int, int]:
    """Units of `examples` at all positions: how many there are, and how many graph and model agree on."""
    opened, n_compared, n_same = open_bundle(bundle), 0, 0
    for position in trained.model.config.quantizers:
        model, graph = ResDAVEnetUnits(trained.model, position, trained.bank), OnnxUnitEncoder(opened, position)
        counts = count_same(model, graph, examples, trained.facts.name)
        n_compared, n_same = n_compared + counts[0], n_same + counts[1]
    return n_compared, n_same


def count_same(model: UnitEncoder, graph: UnitEncoder, examples: Sequence[np.ndarray], name: str) -> tuple[int, int]:
    """Units of `examples`: how many there are, and how many graph and model agree on.

    Raises:
        ExportError: one gives more units than the other.
    """
    n_compared, n_same = 0, 0
    for wave in examples:
        expected, found = model.units(wave), graph.units(wave)
        if len(expected) != len(found):
            raise ExportError(f"{name}: {len(found)} units instead of {len(expected)}.")
        n_compared += len(expected)
        n_same += int((expected == found).sum())
    return n_compared, n_same


def agreement(name: str, n_compared: int, n_same: int) -> dict[str, Any]:
    """What a bundle says of the comparison.

    Raises:
        ExportError: more than one in a thousand differs, or there was nothing to compare.
    """
    if not n_compared or n_same < LEAST_SAME_UNITS * n_compared:
        raise ExportError(f"{name}: {n_compared - n_same} of {n_compared} units of the graph differ.")
    return {"precision": "fp32", "same_units": n_same / n_compared, "n_compared_units": n_compared}


def _export_graph(model: ResDAVEnet, path: Path) -> None:
    names = [f"units.{position}" for position in model.config.quantizers]
    axes = {LEVELS: {2: "frames"}, **{name: {1: f"{name}.frames"} for name in names}}
    example = torch.zeros(1, model.config.n_mels, _TRACED_FRAMES)
    export_graph(UnitsGraph(model), path, {LEVELS: example}, names, axes)
