"""A trained Tacotron 2 as a bundle: a graph for the text, one for a decoder step, one for the postnet.

Of several speakers all are in the bundle, or one alone, see `TrainedAcoustic.of_speaker`.
"""

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
from optophone.core.errors import ConfigurationError
from optophone.core.mel import MelSpec
from optophone.core.speakers import speaker_number
from optophone.core.unit_origin import SECTION, UnitOrigin
from optophone.core.vocabulary import Vocabulary
from optophone.export.differences import largest_difference, worse
from optophone.export.import_facts import ImportFacts
from optophone.export.onnx_graph import export_graph
from optophone.export.quantize import quantize_graph
from optophone.export.training_facts import ExportError, Precision, TrainingFacts
from optophone.models.acoustic.decoder import DecoderMemory, DecoderState
from optophone.models.acoustic.speaker_choice import keep_speaker
from optophone.models.acoustic.tacotron2 import Tacotron2, Tacotron2Config
from optophone.runtime.onnx_acoustic import OnnxAcoustic

LARGEST_DIFFERENCE = 1e-4  # of fp32 graphs, relative to the largest value where that is above 1
LARGEST_DURATION_CHANGE = 0.1  # of int8 graphs: mean change of an utterance's frames
# What reads mel values, whose range eight bits cut into audible steps, and what writes them: small, so as fast in
# float32, and the error of a frame falls from .029 to .003, in ln units.
_KEPT = ("/prenet/", "/projection/", "/stop/", "/energy/")
_GRAPHS = ("encoder.onnx", "step.onnx", "postnet.onnx")


@dataclass(frozen=True)
class TrainedAcoustic:
    """An acoustic model at the end of its training.

    Args:
        model: one voice, or several.
        vocabulary: of its symbols.
        mel: layout of its frames.
        facts: where it comes from.
        speakers: names of its voices by number; none where it does not tell voices apart.
        units: whose units it reads, or None.
        reads_phones: whether its texts had phones in braces among the letters; its bundle refuses them otherwise.
    """

    model: Tacotron2
    vocabulary: Vocabulary
    mel: MelSpec
    facts: TrainingFacts | ImportFacts
    speakers: tuple[str, ...] = ()
    units: UnitOrigin | None = None
    reads_phones: bool = True

    def __post_init__(self) -> None:
        """A name for every voice."""
        assert len(self.speakers) == self.model.config.n_speakers

    def of_speaker(self, speaker: str | int) -> "TrainedAcoustic":
        """One of its voices alone, given by name or number.

        Raises:
            ConfigurationError: there is no such speaker; the message names those that there are.
        """
        number = speaker_number(self.speakers, speaker, self.facts.name)
        model = keep_speaker(self.model, number)
        return replace(self, model=model, speakers=(self.speakers[number],))


class EncoderGraph(nn.Module):
    """Symbols of one utterance, and of several speakers the number of one → the decoder's memory.

    A single speaker is no input but a constant of the graph.
    """

    def __init__(self, model: Tacotron2) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, speaker: Tensor | None = None) -> tuple[Tensor, ...]:
        """(1, S), perhaps (1,) → encoded (1, S, D), processed (1, S, A), bias (1, S)."""
        if speaker is None:
            speaker = _speaker_input(self.model, 0)
        return tuple(self.model.begin(ids, speakers=speaker)[0])


class StepGraph(nn.Module):
    """`Tacotron2.step` over flat tuples."""

    def __init__(self, model: Tacotron2) -> None:
        super().__init__()
        self.model = model

    def forward(self, frame: Tensor, first_mask: Tensor, second_mask: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        """Last frame (1, M), prenet masks (1, P), memory, state → frames, stop logits, alignment, next state."""
        n_memory = len(DecoderMemory._fields)
        memory, state = DecoderMemory(*rest[:n_memory]), DecoderState(*rest[n_memory:])
        step = self.model.step(frame, (first_mask, second_mask), memory, state)
        return step.frames, step.stop_logits, step.alignment, *step.state


class PostnetGraph(nn.Module):
    """The decoder's mel → the refined mel."""

    def __init__(self, model: Tacotron2) -> None:
        super().__init__()
        self.model = model

    def forward(self, mel: Tensor) -> Tensor:
        """(1, M, T) → (1, M, T)."""
        return self.model.postnet(mel)


def export_acoustic(
    trained: TrainedAcoustic, folder: Path, precision: Precision, examples: Sequence[np.ndarray]
) -> dict[str, Any]:
    """Write the bundle `folder / precision` and check it through the runtime.

    Args:
        trained: what to export.
        folder: a scratch folder.
        precision: "int8" has eight-bit matrix products and is compared with "fp32", which is made first.
        examples: symbols (S,) of utterances on which the graphs are compared; of several speakers, the precisions are
            compared by all of them in turn, graphs and model by the first two and the last.

    Returns:
        what was measured, for the bundle's configuration.

    Raises:
        ExportError: a graph differs from the model.
        ConfigurationError: a kind of model that the runtime does not speak.
    """
    check_config(trained.model.config)
    exact = folder / "fp32"
    with _writer(trained, exact) as writer:
        _export_graphs(trained, writer, examples[0])
    reference = OnnxAcoustic(open_bundle(exact))
    n_speakers = len(reference.speakers)
    voices = [reference.with_speaker(number) for number in sorted({0, min(1, n_speakers - 1), n_speakers - 1})]
    differences = (difference_from_torch(trained.model, voice, ids) for voice in voices for ids in examples[:2])
    difference = reduce(worse, differences)
    if not difference <= LARGEST_DIFFERENCE:
        raise ExportError(f"{trained.facts.name}: the ONNX graphs differ from the model by {difference:.2g}.")
    measured: dict[str, Any] = {"precision": precision, "difference_from_torch": difference}
    if precision == "fp32":
        return measured
    with _writer(trained, folder / precision) as writer:
        for name in _GRAPHS:
            quantize_graph(exact / name, writer.path(name), _KEPT)
    comparison = compare(reference, OnnxAcoustic(open_bundle(folder / precision)), examples)
    if not (comparison["duration_change"] <= LARGEST_DURATION_CHANGE and comparison["same_stops"] == 1.0):
        raise ExportError(
            f"{trained.facts.name}: with eight bits durations change by {comparison['duration_change']:.1%} and "
            f"{comparison['same_stops']:.0%} of the utterances end as before; use --precision fp32."
        )
    return {**measured, **comparison}


def check_config(config: Tacotron2Config) -> None:
    """Refuse what the graphs of a bundle cannot hold.

    Raises:
        ConfigurationError: other than two prenet layers of one width with dropout ½.
    """
    if len(config.prenet_dims) != 2 or config.prenet_dims[0] != config.prenet_dims[1] or config.prenet_dropout != 0.5:
        raise ConfigurationError("export: a bundle's prenet has two layers of one width with dropout 0.5.")


def runtime_configuration(config: Tacotron2Config) -> dict[str, Any]:
    """The keys of `OnnxAcousticConfig` that follow from the model."""
    keys: dict[str, Any] = {
        "reduction_factor": config.reduction_factor,
        "prenet_dim": config.prenet_dims[0],
        "postnet_context": config.postnet_convolutions * (config.postnet_kernel_size // 2),
        "prenet_dropout": config.prenet_dropout_at_inference,
        "stop_threshold": config.stop_threshold,
    }
    if config.max_frames_per_symbol:
        keys["max_frames_per_symbol"] = config.max_frames_per_symbol
    return keys


def _speaker_input(model: Tacotron2, number: int) -> Tensor | None:
    """What `Tacotron2.begin` takes as the speakers of one utterance."""
    return None if model.speakers is None else torch.tensor([number])


def _writer(trained: TrainedAcoustic, folder: Path) -> BundleWriter:
    return BundleWriter(
        folder,
        kind="acoustic",
        cls="tacotron2",
        name=trained.facts.name,
        configuration={
            **runtime_configuration(trained.model.config),
            **({"speakers": list(trained.speakers)} if trained.speakers else {}),
            **({SECTION: to_mapping(trained.units)} if trained.units is not None else {}),
            **({} if trained.reads_phones else {"reads_phones": False}),
            trained.facts.section: trained.facts.to_mapping(),
        },
        vocabulary=trained.vocabulary,
        mel=trained.mel,
        data_manifest_hash=trained.facts.data_hash,
    )


@torch.no_grad()
def _export_graphs(trained: TrainedAcoustic, writer: BundleWriter, example: np.ndarray) -> None:
    """Write the three graphs in float32."""
    model, config = trained.model.eval(), trained.model.config
    ids = torch.from_numpy(np.asarray(example, np.int64))[None]
    memory, state = model.begin(ids, speakers=_speaker_input(model, 0))
    memories = [f"memory.{i}" for i in range(len(memory))]
    states = [f"state.{i}" for i in range(len(state))]
    symbols = {name: {1: "symbols"} for name in ("ids", "alignment", *memories)}
    for field, name in zip(DecoderState._fields, states, strict=True):
        if field in ("weights", "cumulative"):
            symbols[name] = symbols[f"next.{name}"] = {1: "symbols"}
    read = {"ids": ids, **({"speaker": torch.tensor([0])} if config.n_speakers > 1 else {})}
    export_graph(EncoderGraph(model), writer.path("encoder.onnx"), read, memories, symbols)
    frame, mask = torch.zeros(1, config.n_mels), torch.full((1, config.prenet_dims[0]), 2.0)
    own = {"frame": frame, "prenet_mask.0": mask, "prenet_mask.1": mask}
    inputs = {**own, **dict(zip(memories, memory, strict=True)), **dict(zip(states, state, strict=True))}
    outputs = ["frames", "stop_logits", "alignment", *(f"next.{name}" for name in states)]
    export_graph(StepGraph(model), writer.path("step.onnx"), inputs, outputs, symbols)
    mel = torch.zeros(1, config.n_mels, 40)
    frames = {"mel": {2: "frames"}, "refined": {2: "frames"}}
    export_graph(PostnetGraph(model), writer.path("postnet.onnx"), {"mel": mel}, ["refined"], frames)


@torch.no_grad()
def difference_from_torch(model: Tacotron2, acoustic: OnnxAcoustic, ids: np.ndarray, n_steps: int = 20) -> float:
    """Largest difference between graphs and model over the first steps of an utterance, each from the same state.

    Relative to the largest value of an array where that is above 1. Of several speakers, the one of `acoustic` speaks.
    """
    model.eval()
    ids = np.asarray(ids, np.int64)
    memory, state = model.begin(torch.from_numpy(ids)[None], speakers=_speaker_input(model, acoustic.speaker))
    encoded = acoustic.encode(ids)
    worst = largest_difference([encoded[name] for name in acoustic.memory_names], memory)
    generator = np.random.default_rng(0)
    frame, frames = torch.zeros(1, model.config.n_mels), []
    for _ in range(n_steps):
        masks = [generator.integers(0, 2, (1, size)).astype(np.float32) * 2 for size in model.config.prenet_dims]
        feeds = {"frame": frame.numpy(), "prenet_mask.0": masks[0], "prenet_mask.1": masks[1]}
        feeds |= {name: encoded[name] for name in acoustic.memory_names}
        feeds |= {name: value.numpy() for name, value in zip(acoustic.state_names, state, strict=True)}
        step = model.step(frame, [torch.from_numpy(mask) for mask in masks], memory, state)
        found = acoustic.step_graph.run(feeds)
        own = [found[acoustic.output_index[name]] for name in ("frames", "stop_logits", "alignment")]
        following = [found[i] for i in acoustic.next_state_index]
        worst = worse(
            worst, largest_difference([*own, *following], [step.frames, step.stop_logits, step.alignment, *step.state])
        )
        frame, state = step.frames[:, :, -1], step.state
        frames.append(step.frames)
    raw = torch.cat(frames, dim=2)
    return worse(worst, largest_difference([acoustic.refine(raw[0].numpy())], [model.postnet(raw)[0]]))


def compare(reference: OnnxAcoustic, other: OnnxAcoustic, examples: Sequence[np.ndarray]) -> dict[str, Any]:
    """How far the utterances of `other` are from those of `reference`, each speaking by itself.

    Of several speakers, the first speaks the first example, and so on in turn.

    Returns:
        duration_change: mean of |T' / T - 1|.
        same_stops: share of utterances that end by themselves in both, or are cut off in both.
        mel_difference: mean absolute difference, ln units, over the frames that both have.
    """
    changes, stops, differences = [], [], []
    for number, ids in enumerate(examples):
        speaker = number % len(reference.speakers)
        expected, found = (model.with_speaker(speaker).mel(ids) for model in (reference, other))
        changes.append(abs(found.mel.shape[1] / expected.mel.shape[1] - 1))
        stops.append(found.stopped == expected.stopped)
        n_frames = min(found.mel.shape[1], expected.mel.shape[1])
        differences.append(float(np.abs(found.mel[:, :n_frames] - expected.mel[:, :n_frames]).mean()))
    return {
        "duration_change": float(np.mean(changes)),
        "same_stops": float(np.mean(stops)),
        "mel_difference": float(np.mean(differences)),
        "n_compared": len(examples),
    }
