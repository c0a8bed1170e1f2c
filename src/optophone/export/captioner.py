"""A trained captioner as a bundle: one graph that looks at a picture once, one that writes a symbol at a time."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from optophone.core.bundle import Bundle, BundleWriter, open_bundle
from optophone.core.configuration import to_mapping
from optophone.core.picture import PictureSpec
from optophone.core.regions import RegionSpec
from optophone.core.search import SearchConfig
from optophone.core.unit_origin import SECTION, UnitOrigin
from optophone.core.vocabulary import Vocabulary
from optophone.export.differences import largest_difference, worse
from optophone.export.import_facts import ImportFacts
from optophone.export.mean_picture import write_mean_picture
from optophone.export.onnx_graph import export_graph, open_axes
from optophone.export.quantize import quantize_convolutions, quantize_graph
from optophone.export.training_facts import ExportError, Precision, TrainingFacts
from optophone.runtime.mean_picture import MEAN_PICTURE
from optophone.runtime.onnx_captioner import OnnxCaptioner

LARGEST_DIFFERENCE = 1e-4  # of fp32 graphs, relative to the largest value where that is above 1
LARGEST_MEMORY_ERROR = 0.15  # of int8 graphs: relative error of what the picture leaves in memory
LARGEST_SCORE_ERROR = 0.15  # of int8 graphs: mean change of a symbol's log-probability, nats
_BATCH = 10


@dataclass(frozen=True)
class TrainedCaptioner:
    """A captioner at the end of its training.

    Args:
        model: a `Captioner`; where it takes regions, the decoder alone.
        decoder: its name, which becomes the bundle's class.
        vocabulary: with start and end.
        picture: what the encoder takes, or None for region features.
        search: how captions are searched for by default.
        facts: where it comes from.
        regions: what region features it takes, or None for pictures.
        units: whose units it writes, or None.
    """

    model: nn.Module
    decoder: str
    vocabulary: Vocabulary
    picture: PictureSpec | None
    search: SearchConfig
    facts: TrainingFacts | ImportFacts
    regions: RegionSpec | None = None
    units: UnitOrigin | None = None

    def inputs(self, n_regions: int = 3) -> dict[str, Tensor]:
        """The inputs of `begin` for two pictures, by name; of the second, a region is padding."""
        if self.picture is not None:
            return {"picture": torch.zeros(2, 3, self.picture.height, self.picture.width)}
        assert self.regions is not None
        mask = torch.ones(2, n_regions, dtype=torch.bool)
        mask[1, -1] = False
        return {"regions": torch.ones(2, n_regions, self.regions.dim), "regions_mask": mask}

    def exported_search(self) -> SearchConfig:
        """The search with the symbols forbidden that no caption may hold, and repeats where its units have none.

        Runs of units that were collapsed in training cannot follow one another; a search whose `forbid_repeats` is
        false allows them all the same.
        """
        vocabulary = self.vocabulary
        special = {vocabulary.pad, vocabulary.start, vocabulary.unknown, *self.search.forbidden}
        never = sorted(symbol for symbol in special if symbol is not None and symbol != vocabulary.end)
        forbid_repeats = self.search.forbid_repeats
        if forbid_repeats is None and self.units is not None and self.units.run_length == "collapsed":
            forbid_repeats = True
        return replace(self.search, forbidden=tuple(never), forbid_repeats=forbid_repeats)


class EncoderGraph(nn.Module):
    """Picture, or regions and their mask, → memory and first state of the decoder, flat."""

    def __init__(self, captioner: nn.Module) -> None:
        super().__init__()
        self.captioner = captioner

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W), or (B, R, D) and (B, R), → every tensor of `begin`."""
        memory, state = self.captioner.begin(*inputs)  # type: ignore[operator]
        return *memory, *state


class StepGraph(nn.Module):
    """`Captioner.step` over flat tuples."""

    def __init__(self, captioner: nn.Module, n_memory: int) -> None:
        super().__init__()
        self.captioner = captioner
        self.n_memory = n_memory

    def forward(self, ids: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        """(N,) symbols, memory and state → log_probs (N, V), attention (N, R), the next state."""
        memory, state = rest[: self.n_memory], rest[self.n_memory :]
        log_probs, attention, state = self.captioner.step(ids, memory, state)  # type: ignore[operator]
        return log_probs, attention, *state


def export_captioner(
    trained: TrainedCaptioner,
    folder: Path,
    precision: Precision,
    calibration: Sequence[np.ndarray],
    examples: Sequence[np.ndarray],
) -> dict[str, Any]:
    """Write the bundle `folder` and check it through the runtime.

    Args:
        trained: what to export.
        folder: a scratch folder; the bundle is `folder / precision`.
        precision: "int8" has eight-bit convolutions and products and is compared with "fp32", which is made first.
        calibration: training pictures (H, W, 3) uint8 on which the ranges of eight-bit values are measured, and whose
            mean guides; not used for captioners that take regions.
        examples: other pictures, or regions (R, D) float32 of several pictures, on which the graphs are compared.

    Returns:
        what was measured, for the bundle's configuration.

    Raises:
        ExportError: a graph differs from the model.
    """
    exact = folder / "fp32"
    with _writer(trained, exact) as writer:
        _export_graphs(trained, writer)
        if trained.picture is not None and len(calibration):
            write_mean_picture(trained.model, trained.picture, calibration, writer)
    reference = OnnxCaptioner(open_bundle(exact))
    difference = difference_from_torch(trained.model, reference, examples[:4])
    if not difference <= LARGEST_DIFFERENCE:
        raise ExportError(f"{trained.facts.name}: the ONNX graphs differ from the model by {difference:.2g}.")
    measured: dict[str, Any] = {"precision": precision, "difference_from_torch": difference}
    if precision == "fp32":
        return measured
    with _writer(trained, folder / precision) as writer:
        _quantize(trained, open_bundle(exact), writer, calibration)
    comparison = compare(reference, OnnxCaptioner(open_bundle(folder / precision)), examples)
    if not (comparison["memory_error"] <= LARGEST_MEMORY_ERROR and comparison["score_error"] <= LARGEST_SCORE_ERROR):
        raise ExportError(
            f"{trained.facts.name}: eight bits change what the pictures leave in memory by "
            f"{comparison['memory_error']:.1%} and scores by {comparison['score_error']:.2g}; use --precision fp32."
        )
    return {**measured, **comparison}


def _writer(trained: TrainedCaptioner, folder: Path) -> BundleWriter:
    configuration = {
        "search": to_mapping(trained.exported_search()),
        trained.facts.section: trained.facts.to_mapping(),
    }
    if trained.regions is not None:
        configuration["regions"] = to_mapping(trained.regions)
    if trained.units is not None:
        configuration[SECTION] = to_mapping(trained.units)
    return BundleWriter(
        folder,
        kind="captioner",
        cls=trained.decoder,
        name=trained.facts.name,
        configuration=configuration,
        vocabulary=trained.vocabulary,
        picture=trained.picture,
        data_manifest_hash=trained.facts.data_hash,
    )


@torch.no_grad()
def _export_graphs(trained: TrainedCaptioner, writer: BundleWriter) -> None:
    """Write encoder.onnx and step.onnx in float32."""
    model: Any = trained.model.eval()
    shown = trained.inputs()
    assert trained.vocabulary.start is not None
    ids = torch.full((2,), trained.vocabulary.start)
    memory, state = model.begin(*shown.values())
    second = model.step(ids, memory, state)[2]  # a state that grows has something in it only now
    third = model.step(ids, memory, second)[2]
    memories = [f"memory.{i}" for i in range(len(memory))]
    states = [f"state.{i}" for i in range(len(state))]
    nexts = [f"next.{name}" for name in states]
    names = (*shown, "ids", "log_probs", "attention", *memories, *states, *nexts)
    rows = {name: {0: "rows"} for name in names}
    if trained.regions is not None:
        for name in ("regions", "regions_mask", "attention"):
            rows[name][1] = "regions"
        more = model.begin(*trained.inputs(n_regions=5).values())
        for name, axes in open_axes(memories + states, (*memory, *state), (*more[0], *more[1]), "regions").items():
            rows[name] |= axes
    export_graph(EncoderGraph(model), writer.path("encoder.onnx"), shown, memories + states, rows)
    growing = open_axes(states, second, third, "length")
    for name, following in zip(states, nexts, strict=True):
        rows[following] |= rows[name] | {axis: f"next.{size}" for axis, size in growing[name].items()}
        rows[name] |= growing[name]
    inputs = dict(zip(["ids", *memories, *states], [ids, *memory, *second], strict=True))
    outputs = ["log_probs", "attention", *nexts]
    export_graph(StepGraph(model, len(memory)), writer.path("step.onnx"), inputs, outputs, rows)


def _quantize(
    trained: TrainedCaptioner, exact: Bundle, writer: BundleWriter, calibration: Sequence[np.ndarray]
) -> None:
    """Write both graphs in eight bits, and the mean picture as it is."""
    encoder, step = writer.path("encoder.onnx"), writer.path("step.onnx")
    if trained.picture is None:
        quantize_graph(exact.file("encoder.onnx"), encoder)
    else:
        captioner = OnnxCaptioner(exact)
        feeds = [captioner.prepare(calibration[i : i + _BATCH]) for i in range(0, len(calibration), _BATCH)]
        quantize_convolutions(exact.file("encoder.onnx"), encoder, feeds)
        quantize_graph(encoder, encoder)
    quantize_graph(exact.file("step.onnx"), step)
    if MEAN_PICTURE in exact.manifest.files:
        shutil.copyfile(exact.file(MEAN_PICTURE), writer.path(MEAN_PICTURE))


@torch.no_grad()
def difference_from_torch(
    model: Any, captioner: OnnxCaptioner, pictures: Sequence[np.ndarray], n_steps: int = 6
) -> float:
    """Largest difference between graphs and model, relative to the largest value where that is above 1.

    Args:
        pictures: each (H, W, 3) uint8, or the regions (R, D) of one.
        n_steps: how far the decoder is followed, along its own likeliest symbols.
    """
    model.eval()
    feeds = captioner.prepare(pictures)
    memory, state = model.begin(*map(torch.from_numpy, feeds.values()))
    onnx_memory, onnx_state = captioner.begin(feeds)
    worst = largest_difference((*onnx_memory, *onnx_state), (*memory, *state))
    assert captioner.start is not None
    ids = torch.full((len(pictures),), captioner.start)
    for _ in range(n_steps):
        log_probs, attention, state = model.step(ids, memory, state)
        found = _step(captioner, ids.numpy(), onnx_memory, onnx_state)
        assert captioner.attention_index is not None
        looked = found[captioner.attention_index]
        onnx_state = tuple(found[i] for i in captioner.next_state_index)
        worst = worse(worst, largest_difference((found[captioner.log_probs_index], looked), (log_probs, attention)))
        worst = worse(worst, largest_difference(onnx_state, state))
        ids = log_probs.argmax(1)
    return worst


def compare(reference: OnnxCaptioner, other: OnnxCaptioner, examples: Sequence[np.ndarray]) -> dict[str, Any]:
    """How far the captions of `other` are from those of `reference` on pictures (H, W, 3) uint8, or regions (R, D).

    Returns:
        memory_error: relative (root mean square) error of the memory.
        score_error: mean absolute change of the log-probability of the symbols of the reference's captions.
        same_captions: share of pictures with the same caption.
    """
    feeds = reference.prepare(examples)
    expected, found = reference.begin(feeds)[0], other.begin(feeds)[0]
    error = max(
        float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in zip(found, expected, strict=True) if b.any()
    )
    captions = [reference.caption(picture)[0] for picture in examples]
    same = [other.caption(picture)[0].ids == said.ids for picture, said in zip(examples, captions, strict=True)]
    changes = []
    for picture, said in zip(examples, captions, strict=True):
        scores = symbol_scores(other, picture, said.ids)
        changes.extend(np.abs(scores - symbol_scores(reference, picture, said.ids)))
    return {
        "memory_error": error,
        "score_error": float(np.mean(changes)),
        "same_captions": float(np.mean(same)),
        "n_compared": len(examples),
    }


def symbol_scores(captioner: OnnxCaptioner, picture: np.ndarray, ids: Sequence[int]) -> np.ndarray:
    """Log-probabilities (S + 1,) of the symbols of a known caption, end included, of one picture or its regions."""
    memory, state = captioner.begin(captioner.prepare([picture]))
    assert captioner.end is not None
    last, scores = captioner.start, []
    for symbol in (*ids, captioner.end):
        found = _step(captioner, np.array([last], np.int64), memory, state)
        scores.append(found[captioner.log_probs_index][0, symbol])
        state, last = tuple(found[i] for i in captioner.next_state_index), symbol
    return np.array(scores)


def _step(
    captioner: OnnxCaptioner, ids: np.ndarray, memory: Sequence[np.ndarray], state: Sequence[np.ndarray]
) -> list[np.ndarray]:
    names = ["ids", *captioner.memory_names, *captioner.state_names]
    return captioner.step_graph.run(dict(zip(names, (ids, *memory, *state), strict=True)))
