"""A trained unit-to-mel model as a bundle: a graph over units, and one over frames."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from optophone.core.bundle import Bundle, BundleWriter, open_bundle
from optophone.core.configuration import to_mapping
from optophone.core.mel import MelSpec
from optophone.core.unit_origin import SECTION, UnitOrigin
from optophone.core.vocabulary import Vocabulary
from optophone.export.differences import largest_difference, worse
from optophone.export.onnx_graph import export_graph
from optophone.export.parallel import (
    LARGEST_DIFFERENCE,
    LARGEST_DURATION_CHANGE,
    LARGEST_MEL_DIFFERENCE,
    compare,
)
from optophone.export.quantize import quantize_embeddings, quantize_products, store_in_half
from optophone.export.training_facts import ExportError, Precision, TrainingFacts
from optophone.models.acoustic.parallel import frames_of
from optophone.models.acoustic.unit_to_mel import UnitToMel
from optophone.runtime.onnx_parallel import FRAMES_GRAPH, SYMBOLS_GRAPH, OnnxParallel

_KEPT = ("/duration/", "/place/", "/mel/")  # small, and what they write is heard undiminished


@dataclass(frozen=True)
class TrainedUnitToMel:
    """A unit-to-mel model at the end of its training.

    Args:
        model: the network.
        vocabulary: of its units.
        mel: layout of its frames.
        facts: where it comes from.
        units: whose units they are.
    """

    model: UnitToMel
    vocabulary: Vocabulary
    mel: MelSpec
    facts: TrainingFacts
    units: UnitOrigin


class SymbolsGraph(nn.Module):
    """Units → encoded units, ln(1 + frames)."""

    def __init__(self, model: UnitToMel) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """(1, S) → (1, S, D), (1, S)."""
        return self.model.encode(ids)


class FramesGraph(nn.Module):
    """The unit of every frame and the frame's place in it → mel."""

    def __init__(self, model: UnitToMel) -> None:
        super().__init__()
        self.model = model

    def forward(self, encoded: Tensor, places: Tensor) -> Tensor:
        """(1, T, D), (1, T, 3) → (1, M, T)."""
        return self.model.draw(encoded, places)


def export_unit_to_mel(
    trained: TrainedUnitToMel, folder: Path, precision: Precision, examples: Sequence[np.ndarray]
) -> dict[str, Any]:
    """Write the bundle `folder / precision` and check it through the runtime.

    Args:
        trained: what to export.
        folder: a scratch folder.
        precision: "int8" has eight-bit matrix products and is compared with "fp32", which is made first.
        examples: ids (S,) of utterances on which the graphs are compared.

    Returns:
        what was measured, for the bundle's configuration.

    Raises:
        ExportError: a graph differs from the model.
    """
    exact = folder / "fp32"
    with _writer(trained, exact) as writer:
        _export_graphs(trained.model, writer)
    reference, name = OnnxParallel(open_bundle(exact)), trained.facts.name
    difference = reduce(worse, (difference_from_torch(trained.model, reference, ids) for ids in examples[:4]))
    if not difference <= LARGEST_DIFFERENCE:
        raise ExportError(f"{name}: the ONNX graphs differ from the model by {difference:.2g}.")
    measured: dict[str, Any] = {"precision": precision, "difference_from_torch": difference}
    if precision == "fp32":
        return measured
    with _writer(trained, folder / precision) as writer:
        _quantize(open_bundle(exact), writer)
    measured |= compare(reference, OnnxParallel(open_bundle(folder / precision)), examples)
    longer, off = measured["duration_change"], measured["mel_difference"]
    if not (longer <= LARGEST_DURATION_CHANGE and off <= LARGEST_MEL_DIFFERENCE):
        raise ExportError(
            f"{name}: with eight bits durations change by {longer:.1%} and the mel by {off:.2g} (ln); "
            "use --precision fp32."
        )
    return measured


@torch.no_grad()
def difference_from_torch(model: UnitToMel, acoustic: OnnxParallel, ids: np.ndarray) -> float:
    """Largest difference between graphs and model, over units (S,) and over frames of the same durations.

    Relative to the largest value of an array where that is above 1.
    """
    encoded, log_durations = model.eval().encode(torch.from_numpy(ids)[None])
    worst = largest_difference(acoustic.encode(ids), [encoded[0], log_durations[0]])
    _, durations = acoustic.lay_out(ids)
    frames = frames_of([durations])
    mel = model.draw(encoded[:, frames.symbols[0]], frames.features)[0]
    return worse(worst, largest_difference([acoustic.mel(ids).mel], [mel]))


def _writer(trained: TrainedUnitToMel, folder: Path) -> BundleWriter:
    return BundleWriter(
        folder,
        kind="acoustic",
        cls="unit-to-mel",
        name=trained.facts.name,
        configuration={SECTION: to_mapping(trained.units), trained.facts.section: trained.facts.to_mapping()},
        vocabulary=trained.vocabulary,
        mel=trained.mel,
        data_manifest_hash=trained.facts.data_hash,
    )


def _export_graphs(model: UnitToMel, writer: BundleWriter) -> None:
    """Write both graphs in float32."""
    symbols = {name: {1: "symbols"} for name in ("ids", "encoded", "log_durations")}
    ids = {"ids": torch.zeros(1, 12, dtype=torch.int64)}
    export_graph(SymbolsGraph(model), writer.path(SYMBOLS_GRAPH), ids, ["encoded", "log_durations"], symbols)
    places = frames_of([np.full(12, 3)]).features
    frames = {"encoded": torch.zeros(1, places.shape[1], model.config.dim), "places": places}
    axes = {"encoded": {1: "frames"}, "places": {1: "frames"}, "mel": {2: "frames"}}
    export_graph(FramesGraph(model), writer.path(FRAMES_GRAPH), frames, ["mel"], axes)


def _quantize(exact: Bundle, writer: BundleWriter) -> None:
    """Write both graphs with eight-bit matrix products and embeddings; the rest is stored in sixteen bits."""
    for name in (SYMBOLS_GRAPH, FRAMES_GRAPH):
        quantize_products(exact.file(name), writer.path(name), _KEPT)
        model = onnx.load(writer.path(name))
        quantize_embeddings(model)
        store_in_half(model)
        onnx.save(model, writer.path(name))
