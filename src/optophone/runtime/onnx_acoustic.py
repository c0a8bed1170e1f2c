"""An acoustic model from a bundle, run by ONNX Runtime: symbols to mel, frame by frame, whole or as a stream."""

import copy
import dataclasses
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from optophone.core.alignment import AlignmentReport, examine_alignment
from optophone.core.bundle import Bundle
from optophone.core.configuration import check_ranges, from_mapping
from optophone.core.errors import BundleError
from optophone.core.pronunciations import pronunciations_of
from optophone.core.protocols import SpokenMel
from optophone.core.speakers import speaker_names, speaker_number
from optophone.runtime.prenet_masks import prenet_masks
from optophone.runtime.refined_stream import ChunkConfig, refine_stream
from optophone.runtime.session import Graph, SessionConfig, numbered, step_threads
from optophone.runtime.symbol_graph import check_speakers, checked_symbols, read_symbols

_RANGES: dict[str, tuple[float, float]] = {
    "reduction_factor": (1, 1000),
    "prenet_dim": (1, 65536),
    "postnet_context": (0, 65536),
    "stop_threshold": (1e-6, 1 - 1e-6),
    "max_frames_per_symbol": (0, 100_000),
    "min_max_frames": (1, 1_000_000),
    "max_frames": (1, 1_000_000),
    "max_tail_s": (0, 3600),
    "tries": (1, 100),
    "window": (0, 1_000_000),
    "first_chunk_frames": (1, 1_000_000),
    "chunk_frames": (1, 1_000_000),
    "seed": (0, 2**63),
}
_CLOSED = np.float32(-1e4)  # added to an energy, makes its weight 0


class CutOffWarning(UserWarning):
    """The voice did not find its end and was stopped."""


class MisreadWarning(UserWarning):
    """The voice left something out, said it again, stood still, or lost its place."""


@dataclass(frozen=True)
class OnnxAcousticConfig:
    """What the decoding loop reads of a bundle's configuration.

    Args:
        reduction_factor: frames per decoder step.
        prenet_dim: width of each of the two dropout masks.
        postnet_context: frames to either side that one frame of the postnet's output depends on.
        prenet_dropout: whether dropout stays on while speaking.
        stop_threshold: probability of the stop gate that ends the utterance.
        max_frames_per_symbol: the length cap, per symbol of the input; 0 for none.
        min_max_frames: what very short inputs may have at least.
        max_frames: the cap of any input.
        max_tail_s: seconds at the last symbol after which the text is taken to be over, whatever the gate says.
        tries: how often `OnnxAcoustic.mel` speaks a text whose alignment shows a fault; each further try has another
            dropout seed and a window on the attention, and the best is kept.
        window: symbols (before, after) its last peak that the attention may look at in a further try; only with graphs
            that take a bias of the energies.
        first_chunk_frames: frames of the first chunk of a stream; small, so that sound comes early.
        chunk_frames: frames of the later chunks.
        seed: of the dropout masks; the same text always sounds the same.
    """

    reduction_factor: int
    prenet_dim: int
    postnet_context: int
    prenet_dropout: bool = True
    stop_threshold: float = 0.5
    max_frames_per_symbol: float = 12.0
    min_max_frames: int = 80
    max_frames: int = 2000
    max_tail_s: float = 1.0
    tries: int = 2
    window: tuple[int, int] = (2, 6)
    first_chunk_frames: int = 36
    chunk_frames: int = 96
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what no loop can do."""
        check_ranges(self, _RANGES, "voice")

    def cap(self, n_symbols: int) -> int:
        """The most frames that an input of so many symbols may have."""
        if not self.max_frames_per_symbol:
            return self.max_frames
        return min(self.max_frames, max(self.min_max_frames, math.ceil(self.max_frames_per_symbol * n_symbols)))


class OnnxAcoustic:
    """Symbols → mel (an `AcousticModel`).

    Args:
        bundle: an opened bundle of kind "acoustic" with `encoder.onnx`, `step.onnx`, `postnet.onnx` and a vocabulary.
            Of its configuration the keys of `OnnxAcousticConfig` are read, and "speakers", the names of its voices by
            number. Of several the first speaks, and the encoder takes the number of the one who does.
        threads: for the encoder and the postnet, and for a large step graph (`step_threads`).

    Raises:
        BundleError: a graph, the vocabulary, the speakers or the mel specification is missing or not as documented.
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        manifest = bundle.manifest
        self.name = manifest.name
        self.vocabulary = bundle.vocabulary()
        self.mel_spec = bundle.mel_spec()
        self.speakers = speaker_names(manifest.configuration, str(bundle.folder)) or (manifest.name,)
        self.reads_phones = manifest.configuration.get("reads_phones") is not False
        self.pronunciations = pronunciations_of(bundle, self.vocabulary)
        self.speaker = 0
        known = {field.name for field in dataclasses.fields(OnnxAcousticConfig)}
        chosen = {key: value for key, value in manifest.configuration.items() if key in known}
        self.config = from_mapping(OnnxAcousticConfig, chosen, f"{bundle.folder}: configuration")
        wide = SessionConfig(threads=threads)
        self.encoder = Graph(bundle.file("encoder.onnx"), wide)
        step = bundle.file("step.onnx")
        self.step_graph = Graph(step, SessionConfig(threads=step_threads(step.stat().st_size, threads)))
        self.postnet_graph = Graph(bundle.file("postnet.onnx"), wide)
        self._check_graphs()

    def _check_graphs(self) -> None:
        self.encoder.require(inputs=["ids"])
        check_speakers(self.encoder, self.speakers)
        self.memory_names = numbered(self.encoder.outputs, "memory")
        self.state_names = numbered(list(self.step_graph.inputs), "state")
        # Of what the encoder hands over, only a bias of the attention's energies has one value per symbol.
        inputs = self.step_graph.inputs
        flat = [name for name in self.memory_names if name in inputs and len(inputs[name].shape) == 2]
        self.bias_name = flat[0] if len(flat) == 1 else None
        masks = ["prenet_mask.0", "prenet_mask.1"]
        self.step_graph.require(["frame", *masks, *self.memory_names], ["frames", "stop_logits", "alignment"])
        self.postnet_graph.require(["mel"], ["mel"] if "mel" in self.postnet_graph.outputs else [])
        own = ("frames", "stop_logits", "alignment")
        self.output_index = {name: self.step_graph.outputs.index(name) for name in own}
        self.next_state_index = [i for i, name in enumerate(self.step_graph.outputs) if name not in own]
        if len(self.next_state_index) != len(self.state_names):
            raise BundleError(
                f"{self.step_graph.path}: the step graph takes {len(self.state_names)} states but returns "
                f"{len(self.next_state_index)}; export the bundle again."
            )

    def with_speaker(self, speaker: str | int) -> "OnnxAcoustic":
        """The same graphs with the voice of another speaker: a name of `speakers`, or a number.

        Raises:
            ConfigurationError: there is no such speaker.
        """
        other = copy.copy(self)
        other.speaker = speaker_number(self.speakers, speaker)
        return other

    def mel(self, ids: np.ndarray) -> SpokenMel:
        """Speak `ids` (S,) of `vocabulary`: the whole mel (M, T), with the alignment (T / r, S).

        A text whose alignment shows a fault is spoken again, see `OnnxAcousticConfig.tries`; the same text always
        sounds the same. What is wrong with the best try is warned of.

        Raises:
            TextError: there are no symbols.
        """
        best: _Utterance | None = None
        n_tries = 0
        for attempt in range(max(1, self.config.tries)):
            utterance, n_tries = _Utterance(self, ids, attempt), attempt + 1
            utterance.finish()
            if best is None or utterance.faults < best.faults:
                best = utterance
            if not best.report.problems:
                break
        assert best is not None
        best.warn()
        raw = np.concatenate(best.frames, axis=1)
        return SpokenMel(
            mel=self.refine(raw),
            alignment=np.concatenate(best.alignments),
            stopped=best.stopped,
            problems=best.report.problems,
            n_tries=n_tries,
        )

    def stream(self, ids: np.ndarray) -> Iterator[np.ndarray]:
        """The first try of `mel(ids)` in chunks (M, t), the first one early.

        What was given out cannot be taken back, so faults are only warned of, at the end.

        Raises:
            TextError: there are no symbols.
        """
        config, utterance = self.config, _Utterance(self, ids)
        chunks = ChunkConfig(config.postnet_context, config.first_chunk_frames, config.chunk_frames)
        yield from refine_stream(utterance.steps(), self.refine, chunks)
        utterance.warn()

    def refine(self, raw: np.ndarray) -> np.ndarray:
        """The postnet's mel (M, T) of the decoder's `raw` (M, T)."""
        return self.postnet_graph.run({"mel": np.ascontiguousarray(raw[None])})[0][0]

    def encode(self, ids: np.ndarray) -> dict[str, np.ndarray]:
        """The encoder's outputs, memory and perhaps initial states, for `ids` (S,)."""
        return read_symbols(self.encoder, ids, self.speaker)

    def initial_states(self, encoded: dict[str, np.ndarray], n_symbols: int) -> list[np.ndarray]:
        """The encoder's states where it returns them, else zeros; an open axis of a state counts symbols."""
        states = []
        for name in self.state_names:
            if name in encoded:
                states.append(encoded[name])
                continue
            shape = [size if isinstance(size, int) else n_symbols for size in self.step_graph.inputs[name].shape]
            states.append(np.zeros([1, *shape[1:]], dtype=np.float32))
        return states


class _Utterance:
    """One run of the decoder over one text.

    Args:
        model: the voice.
        ids: (S,) symbols.
        attempt: 0 for the first; the others have another dropout seed, and a window on the attention.
    """

    def __init__(self, model: OnnxAcoustic, ids: np.ndarray, attempt: int = 0) -> None:
        self.model = model
        self.attempt = attempt
        self.ids = checked_symbols(ids)
        self.stopped = False
        self.frames: list[np.ndarray] = []
        self.alignments: list[np.ndarray] = []
        self.step_s = model.config.reduction_factor * model.mel_spec.hop_length / model.mel_spec.sample_rate

    def finish(self) -> None:
        """Speak to the end and keep the `frames`."""
        self.frames = list(self.steps())

    @property
    def report(self) -> AlignmentReport:
        """What the alignment up to here looks like."""
        return examine_alignment(np.concatenate(self.alignments), self.step_s, self.stopped)

    @property
    def faults(self) -> tuple[bool, int, float]:
        """The smaller, the better: no end, the number of faults, the share of the text that was not reached."""
        report = self.report
        return not report.stopped, len(report.problems), 1.0 - report.reached

    def steps(self) -> Iterator[np.ndarray]:
        """Frames (M, r) of one decoder step after the other; the last may have fewer."""
        model, config = self.model, self.model.config
        encoded = model.encode(self.ids)
        states = model.initial_states(encoded, len(self.ids))
        feeds = {name: encoded[name] for name in model.memory_names}
        feeds["frame"] = np.zeros((1, model.mel_spec.n_mels), dtype=np.float32)
        stop_logit = math.log(config.stop_threshold / (1.0 - config.stop_threshold))
        cap = config.cap(len(self.ids))
        masks = prenet_masks(config.prenet_dim, config.seed + self.attempt, config.prenet_dropout)
        index = model.output_index
        tail = 0
        for _ in range(math.ceil(cap / config.reduction_factor)):
            feeds["prenet_mask.0"], feeds["prenet_mask.1"] = next(masks)
            feeds.update(zip(model.state_names, states, strict=True))
            self._narrow(feeds, encoded)
            values = model.step_graph.run(feeds)
            frames = values[index["frames"]][0]
            self.alignments.append(values[index["alignment"]])
            ends = np.flatnonzero(values[index["stop_logits"]][0] > stop_logit)
            if len(ends):
                self.stopped = True
                yield frames[:, : ends[0] + 1]
                return
            yield frames
            feeds["frame"] = np.ascontiguousarray(frames[None, :, -1])
            states = [values[i] for i in model.next_state_index]
            tail = tail + 1 if self.alignments[-1].argmax() == len(self.ids) - 1 else 0
            if tail * self.step_s > config.max_tail_s:
                return

    def _narrow(self, feeds: dict[str, np.ndarray], encoded: dict[str, np.ndarray]) -> None:
        """From the second try on, close the attention outside the window around its last peak."""
        name = self.model.bias_name
        if self.attempt == 0 or name is None:
            return
        before, after = self.model.config.window
        offset = np.arange(len(self.ids)) - (self.alignments[-1].argmax() if self.alignments else 0)
        outside = (offset < -before) | (offset > after)
        feeds[name] = np.where(outside[None], _CLOSED, encoded[name]).astype(np.float32)

    def warn(self) -> None:
        """Warn of what is wrong, in one line."""
        report = self.report
        if not report.problems:
            return
        seconds = len(self.alignments) * self.step_s
        if not report.stopped:
            message = f"the voice did not find its end and was cut off after {seconds:.1f} s ({len(self.ids)} symbols)"
            problems = report.problems[1:]
            message += "".join(f", {problem}" for problem in problems)
            warnings.warn(f"{message}; shorter sentences help", CutOffWarning, stacklevel=3)
            return
        start = self.model.vocabulary.decode(self.ids[:40])
        message = f"the voice {', '.join(report.problems)} in {start!r}; listen to it, or word it differently"
        warnings.warn(message, MisreadWarning, stacklevel=3)
