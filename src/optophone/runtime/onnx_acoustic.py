"""An acoustic model from a bundle, run by ONNX Runtime: symbols to mel, frame by frame, whole or as a stream."""

import dataclasses
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from optophone.core.bundle import Bundle
from optophone.core.configuration import from_mapping
from optophone.core.errors import BundleError, TextError
from optophone.core.protocols import SpokenMel
from optophone.runtime.session import Graph, SessionConfig, numbered

_MASK_BLOCK = 64  # decoder steps whose dropout masks are drawn at once


class CutOffWarning(UserWarning):
    """The voice did not find its end and was stopped by the length cap."""


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
    first_chunk_frames: int = 36
    chunk_frames: int = 96
    seed: int = 0

    def cap(self, n_symbols: int) -> int:
        """The most frames that an input of so many symbols may have."""
        if not self.max_frames_per_symbol:
            return self.max_frames
        return min(self.max_frames, max(self.min_max_frames, math.ceil(self.max_frames_per_symbol * n_symbols)))


class OnnxAcoustic:
    """Symbols → mel (an `AcousticModel`).

    Args:
        bundle: an opened bundle of kind "acoustic" with `encoder.onnx`, `step.onnx`, `postnet.onnx` and a vocabulary.
            Of its configuration the keys of `OnnxAcousticConfig` are read.
        threads: for the encoder and the postnet; the step graph takes one.

    Raises:
        BundleError: a graph, the vocabulary or the mel specification is missing or not as documented.
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        manifest = bundle.manifest
        if manifest.mel is None:
            raise BundleError(f"{bundle.folder}: the acoustic model's manifest has no mel specification.")
        self.name = manifest.name
        self.vocabulary = bundle.vocabulary()
        self.mel_spec = manifest.mel
        known = {field.name for field in dataclasses.fields(OnnxAcousticConfig)}
        chosen = {key: value for key, value in manifest.configuration.items() if key in known}
        self.config = from_mapping(OnnxAcousticConfig, chosen, f"{bundle.folder}: configuration")
        wide = SessionConfig(threads=threads)
        self.encoder = Graph(bundle.file("encoder.onnx"), wide)
        self.step_graph = Graph(bundle.file("step.onnx"), SessionConfig(threads=1))
        self.postnet_graph = Graph(bundle.file("postnet.onnx"), wide)
        self._check_graphs()

    def _check_graphs(self) -> None:
        self.encoder.require(inputs=["ids"])
        self.memory_names = numbered(self.encoder.outputs, "memory")
        self.state_names = numbered(list(self.step_graph.inputs), "state")
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

    def mel(self, ids: np.ndarray) -> SpokenMel:
        """Speak `ids` (S,) of `vocabulary`: the whole mel (M, T), with the alignment (T / r, S).

        Raises:
            TextError: there are no symbols.
        """
        utterance = _Utterance(self, ids)
        steps = list(utterance.steps())
        raw = np.concatenate(steps, axis=1)
        return SpokenMel(
            mel=self.refine(raw), alignment=np.concatenate(utterance.alignments), stopped=utterance.stopped
        )

    def stream(self, ids: np.ndarray) -> Iterator[np.ndarray]:
        """The mel of `mel(ids)` in chunks (M, t), the first one early.

        Raises:
            TextError: there are no symbols.
        """
        context = self.config.postnet_context
        raw = np.empty((self.mel_spec.n_mels, 0), dtype=np.float32)  # frames from `begin` on
        begin = done = 0  # frames: where `raw` begins, and how many have been given out
        wanted = self.config.first_chunk_frames
        waiting: list[np.ndarray] = []
        n_frames = 0
        for frames in _Utterance(self, ids).steps():
            waiting.append(frames)
            n_frames += frames.shape[1]
            if n_frames < done + wanted + context:
                continue
            raw = np.concatenate((raw, *waiting), axis=1)
            waiting = []
            end = n_frames - context
            yield self.refine(raw)[:, done - begin : end - begin]
            done, wanted = end, self.config.chunk_frames
            keep = max(0, done - context)
            raw, begin = raw[:, keep - begin :], keep
        raw = np.concatenate((raw, *waiting), axis=1)
        if n_frames > done:
            yield self.refine(raw)[:, done - begin :]

    def refine(self, raw: np.ndarray) -> np.ndarray:
        """The postnet's mel (M, T) of the decoder's `raw` (M, T)."""
        return self.postnet_graph.run({"mel": np.ascontiguousarray(raw[None])})[0][0]

    def encode(self, ids: np.ndarray) -> dict[str, np.ndarray]:
        """The encoder's outputs, memory and perhaps initial states, for `ids` (S,)."""
        values = self.encoder.run({"ids": ids[None]})
        return dict(zip(self.encoder.outputs, values, strict=True))

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
    """One run of the decoder over one text."""

    def __init__(self, model: OnnxAcoustic, ids: np.ndarray) -> None:
        self.model = model
        self.ids = np.ascontiguousarray(ids, dtype=np.int64)
        if self.ids.ndim != 1 or not len(self.ids):
            raise TextError("there is nothing to say: the text has no symbol that the voice knows.")
        self.stopped = False
        self.alignments: list[np.ndarray] = []

    def steps(self) -> Iterator[np.ndarray]:
        """Frames (M, r) of one decoder step after the other; the last may have fewer."""
        model, config = self.model, self.model.config
        encoded = model.encode(self.ids)
        states = model.initial_states(encoded, len(self.ids))
        feeds = {name: encoded[name] for name in model.memory_names}
        feeds["frame"] = np.zeros((1, model.mel_spec.n_mels), dtype=np.float32)
        stop_logit = math.log(config.stop_threshold / (1.0 - config.stop_threshold))
        cap = config.cap(len(self.ids))
        masks = _prenet_masks(config)
        index = model.output_index
        for _ in range(math.ceil(cap / config.reduction_factor)):
            feeds["prenet_mask.0"], feeds["prenet_mask.1"] = next(masks)
            feeds.update(zip(model.state_names, states, strict=True))
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
        self._warn(cap)

    def _warn(self, cap: int) -> None:
        seconds = cap * self.model.mel_spec.hop_length / self.model.mel_spec.sample_rate
        warnings.warn(
            f"the voice did not find its end and was cut off after {seconds:.1f} s ({len(self.ids)} symbols); "
            "shorter sentences help",
            CutOffWarning,
            stacklevel=2,
        )


def _prenet_masks(config: OnnxAcousticConfig) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Two dropout masks (1, P) for every step: 0 or 2 with equal chance, or ones where dropout is off."""
    generator = np.random.default_rng(config.seed)
    shape = (_MASK_BLOCK, 2, 1, config.prenet_dim)
    while True:
        if config.prenet_dropout:
            block = generator.integers(0, 2, shape, dtype=np.uint8).astype(np.float32) * 2
        else:
            block = np.ones(shape, dtype=np.float32)
        for masks in block:
            yield masks[0], masks[1]
