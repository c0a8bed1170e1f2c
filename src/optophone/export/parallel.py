"""A trained parallel acoustic model as a bundle: a graph over symbols, and one over frames."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from optophone.core.bundle import BundleWriter, open_bundle
from optophone.core.configuration import to_mapping
from optophone.core.mel import MelSpec
from optophone.core.speakers import speaker_number
from optophone.core.unit_origin import SECTION, UnitOrigin
from optophone.core.vocabulary import Vocabulary
from optophone.export.differences import largest_difference, worse
from optophone.export.onnx_graph import export_graph
from optophone.export.quantize import quantize_graph
from optophone.export.training_facts import ExportError, Precision, TrainingFacts
from optophone.models.acoustic.parallel import ParallelAcoustic, frames_of
from optophone.runtime.onnx_parallel import FRAMES_GRAPH, SYMBOLS_GRAPH, OnnxParallel

LARGEST_DIFFERENCE = 1e-4  # of fp32 graphs, relative to the largest value where that is above 1
LARGEST_MEL_DIFFERENCE = 0.1  # of int8 graphs: of the middle frame, mean over its bands in ln units
LARGEST_DURATION_CHANGE = 0.1  # of int8 graphs: mean change of an utterance's frames
_KEPT = (
    "/duration/",
    "/pitch/",
    "/mel/",
    "/shown_pitch/",
    "/place/",
)  # small, and what they write is heard undiminished


@dataclass(frozen=True)
class TrainedParallel:
    """A parallel acoustic model at the end of its training.

    Args:
        model: one voice, or several.
        vocabulary: of its symbols.
        mel: layout of its frames.
        facts: where it comes from.
        speakers: names of its voices by number; none where it does not tell voices apart.
        units: whose units it reads, or None.
        reads_phones: whether its texts had phones in braces among the letters; its bundle refuses them otherwise.
    """

    model: ParallelAcoustic
    vocabulary: Vocabulary
    mel: MelSpec
    facts: TrainingFacts
    speakers: tuple[str, ...] = ()
    units: UnitOrigin | None = None
    reads_phones: bool = True

    def __post_init__(self) -> None:
        """A name for every voice."""
        assert len(self.speakers) == self.model.config.n_speakers

    def of_speaker(self, speaker: str | int) -> "TrainedParallel":
        """One of its voices alone, given by name or number.

        Raises:
            ConfigurationError: there is no such speaker; the message names those that there are.
        """
        number = speaker_number(self.speakers, speaker, self.facts.name)
        kept = ParallelAcoustic(replace(self.model.config, n_speakers=1), self.mel)
        state = self.model.state_dict()
        state["speakers.weight"] = state["speakers.weight"][number : number + 1]
        kept.load_state_dict(state)
        return replace(self, model=kept, speakers=(self.speakers[number],))


class SymbolsGraph(nn.Module):
    """Symbols, and of several speakers the number of one → encoded symbols, ln(1 + frames)."""

    def __init__(self, model: ParallelAcoustic) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, speaker: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(1, S), perhaps (1,) → (1, S, D), (1, S)."""
        if speaker is None and self.model.speakers is not None:
            speaker = torch.zeros(1, dtype=torch.int64)
        return self.model.encode(ids, None, speaker)


class FramesGraph(nn.Module):
    """The symbol of every frame and the frame's place in it → mel."""

    def __init__(self, model: ParallelAcoustic) -> None:
        super().__init__()
        self.model = model

    def forward(self, encoded: Tensor, places: Tensor) -> Tensor:
        """(1, T, D), (1, T, 3) → (1, M, T)."""
        return self.model.speak(encoded + self.model.place(places))


def export_parallel(
    trained: TrainedParallel, folder: Path, precision: Precision, examples: Sequence[np.ndarray]
) -> dict[str, Any]:
    """Write the bundle `folder / precision` and check it through the runtime.

    Args:
        trained: what to export.
        folder: a scratch folder.
        precision: "int8" has eight-bit matrix products and is compared with "fp32", which is made first.
        examples: symbols (S,) of utterances on which the graphs are compared.

    Returns:
        what was measured, for the bundle's configuration.

    Raises:
        ExportError: a graph differs from the model, or eight bits change the sound.
    """
    exact = folder / "fp32"
    with _writer(trained, exact) as writer:
        _export_graphs(trained, writer)
    reference = OnnxParallel(open_bundle(exact))
    last = len(reference.speakers) - 1
    voices = [reference.with_speaker(number) for number in sorted({0, last})]
    pairs = [(voice, ids) for voice in voices for ids in examples[:2]]
    difference = reduce(worse, (difference_from_torch(trained.model, *pair) for pair in pairs))
    if not difference <= LARGEST_DIFFERENCE:
        raise ExportError(f"{trained.facts.name}: the ONNX graphs differ from the model by {difference:.2g}.")
    measured: dict[str, Any] = {"precision": precision, "difference_from_torch": difference}
    if precision == "fp32":
        return measured
    with _writer(trained, folder / precision) as writer:
        for name in (SYMBOLS_GRAPH, FRAMES_GRAPH):
            quantize_graph(exact / name, writer.path(name), _KEPT)
    comparison = compare(reference, OnnxParallel(open_bundle(folder / precision)), examples)
    if not (
        comparison["duration_change"] <= LARGEST_DURATION_CHANGE
        and comparison["mel_difference"] <= LARGEST_MEL_DIFFERENCE
    ):
        raise ExportError(
            f"{trained.facts.name}: with eight bits durations change by {comparison['duration_change']:.1%} and the "
            f"mel by {comparison['mel_difference']:.2g} (ln); use --precision fp32."
        )
    return {**measured, **comparison}


@torch.no_grad()
def difference_from_torch(model: ParallelAcoustic, acoustic: OnnxParallel, ids: np.ndarray) -> float:
    """Largest difference between graphs and model, over symbols (S,) and over frames of the same durations.

    Relative to the largest value of an array where that is above 1. A frame whose voicing is on the edge may fall to
    either side in either, and would hide all else: of the mel, the frames are compared that do not.
    """
    model.eval()
    speaker = None if model.speakers is None else torch.tensor([acoustic.speaker])
    encoded, log_durations = model.encode(torch.from_numpy(ids)[None], None, speaker)
    worst = largest_difference(acoustic.encode(ids), [encoded[0], log_durations[0]])
    _, durations = acoustic.lay_out(ids)
    laid_out = model.lay_out(encoded, frames_of([durations]))
    own, mel = acoustic.mel(ids).mel, model.speak(laid_out)[0]
    found = model.find_prosody(laid_out, None)
    if found is not None:
        reach = model.config.n_frame_layers * (model.config.frame_kernel_size // 2)
        near = (found.voiced_logits.abs() < 1e-3).float()[None]
        edge = nn.functional.max_pool1d(near, 2 * reach + 1, 1, reach)[0, 0] > 0
        own, mel = own[:, ~edge.numpy()], mel[:, ~edge]
    return worse(worst, largest_difference([own], [mel])) if own.size else worst


def compare(reference: OnnxParallel, other: OnnxParallel, examples: Sequence[np.ndarray]) -> dict[str, Any]:
    """How far the utterances of `other` are from those of `reference`.

    Returns:
        duration_change: mean of |T' / T - 1|, each with its own durations.
        mel_difference: mean absolute difference of a frame, ln units, those of all utterances being laid out alike; the
            median over frames, since a few at the edge of voicing may lose or find their voice.
    """
    changes, differences = [], []
    for ids in examples:
        durations = reference.lay_out(ids)[1]
        encoded, own = other.lay_out(ids)
        changes.append(abs(own.sum() / durations.sum() - 1))
        differences.append(np.abs(reference.mel(ids).mel - other.draw(encoded, durations)).mean(axis=0))
    return {
        "duration_change": float(np.mean(changes)),
        "mel_difference": float(np.median(np.concatenate(differences))),
        "n_compared": len(examples),
    }


def _writer(trained: TrainedParallel, folder: Path) -> BundleWriter:
    return BundleWriter(
        folder,
        kind="acoustic",
        cls="parallel",
        name=trained.facts.name,
        configuration={
            **({"speakers": list(trained.speakers)} if trained.speakers else {}),
            **({SECTION: to_mapping(trained.units)} if trained.units is not None else {}),
            **({} if trained.reads_phones else {"reads_phones": False}),
            "frame_context": trained.model.config.frame_context,
            trained.facts.section: trained.facts.to_mapping(),
        },
        vocabulary=trained.vocabulary,
        mel=trained.mel,
        data_manifest_hash=trained.facts.data_hash,
    )


@torch.no_grad()
def _export_graphs(trained: TrainedParallel, writer: BundleWriter) -> None:
    """Write both graphs in float32."""
    model = trained.model.eval()
    inputs = {"ids": torch.zeros(1, 12, dtype=torch.int64)}
    if len(trained.speakers) > 1:
        inputs["speaker"] = torch.zeros(1, dtype=torch.int64)
    symbols = {name: {1: "symbols"} for name in ("ids", "encoded", "log_durations")}
    export_graph(SymbolsGraph(model), writer.path(SYMBOLS_GRAPH), inputs, ["encoded", "log_durations"], symbols)
    places = frames_of([np.full(12, 3)]).features
    frames = {"encoded": torch.zeros(1, places.shape[1], model.config.dim), "places": places}
    axes = {"encoded": {1: "frames"}, "places": {1: "frames"}, "mel": {2: "frames"}}
    export_graph(FramesGraph(model), writer.path(FRAMES_GRAPH), frames, ["mel"], axes)
