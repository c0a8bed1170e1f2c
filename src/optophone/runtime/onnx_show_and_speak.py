"""The attention LSTM that speaks about pictures, from a bundle."""

import dataclasses
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from optophone.core.bundle import Bundle
from optophone.core.configuration import from_mapping
from optophone.core.protocols import Intention, SpokenMel
from optophone.core.search import SearchConfig
from optophone.core.vocabulary import Vocabulary
from optophone.runtime.onnx_acoustic import CutOffWarning
from optophone.runtime.picture_memory import Looked, PictureSteps
from optophone.runtime.prenet_masks import prenet_masks
from optophone.runtime.refined_stream import ChunkConfig, refine_stream
from optophone.runtime.session import Graph, SessionConfig

REFINER_GRAPH = "refiner.onnx"
_MASKS = ("prenet_mask.0", "prenet_mask.1")


@dataclass(frozen=True)
class ShowAndSpeakRuntime:
    """What the runtime reads of a bundle's configuration.

    Args:
        reduction_factor: frames of a step.
        prenet_dim: width of each of the two dropout masks.
        stop_threshold: probability of the stop gate that ends the utterance.
        max_frames: the longest utterance.
        context: frames to either side that a refined frame depends on: speech is given out so many frames late.
        first_chunk: frames of the first chunk of a stream; small, so that sound comes early.
        chunk: frames of the later ones.
    """

    reduction_factor: int
    prenet_dim: int
    stop_threshold: float
    max_frames: int
    context: int
    first_chunk: int = 36
    chunk: int = 96


class _Plan(NamedTuple):
    """What an intention goes on from: the picture as it was seen, and the seed of the prenet's dropout."""

    looked: Looked
    seed: int


class OnnxShowAndSpeak:
    """Picture → mel (a `DirectModel`).

    - `encoder.onnx`, `step.onnx`: see `PictureSteps`; a step takes the last `frame` (1, M) and two `prenet_mask.…`
      (1, P), and gives `frames` (1, M, r), `stop_logits` (1, r) and `alignment` (1, R).
    - `refiner.onnx`: `mel` (1, M, T) → `refined` (1, M, T).

    Of a search it takes the seed, which is that of the dropout; variants are further seeds.

    Args:
        bundle: an opened bundle of kind "direct" with these graphs. Of its configuration the keys of
            `ShowAndSpeakRuntime` are read, and `search`.
        threads: of the graphs that are not called at every step.

    Raises:
        BundleError: a graph, the picture or the mel specification is missing or not as documented.
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        manifest = bundle.manifest
        self.name, self.mel_spec = manifest.name, bundle.mel_spec()
        self.vocabulary: Vocabulary | None = None
        known = {field.name for field in dataclasses.fields(ShowAndSpeakRuntime)}
        chosen = {key: value for key, value in manifest.configuration.items() if key in known}
        self.config = from_mapping(ShowAndSpeakRuntime, chosen, f"{bundle.folder}: configuration")
        options = manifest.configuration.get("search", {})
        self.search = from_mapping(SearchConfig, options, f"{bundle.folder}: configuration.search")
        self.steps = PictureSteps(bundle, ["frame", *_MASKS], ["frames", "stop_logits", "alignment"], threads)
        self.picture_spec = self.steps.picture_spec
        self.refiner = Graph(bundle.file(REFINER_GRAPH), SessionConfig(threads=threads))
        self.refiner.require(["mel"], ["refined"])

    def intend(self, picture: np.ndarray, search: SearchConfig | None = None) -> list[Intention]:
        """Look at `picture` (H, W, 3) uint8; what is said of it is decided in speaking."""
        search = search or self.search
        looked = self.steps.look(picture)
        return [Intention(_Plan(looked, search.seed + variant)) for variant in range(search.n_results)]

    def mel(self, picture: np.ndarray | Intention) -> SpokenMel:
        """Speak what is in a picture, or what `intend` found; with the alignment (T / r, R)."""
        utterance = _Utterance(self, self._plan(picture))
        raw = np.concatenate(list(utterance.frames()), axis=1)
        utterance.warn()
        return SpokenMel(self.refine(raw), np.concatenate(utterance.alignments), utterance.stopped)

    def stream(self, picture: np.ndarray | Intention) -> Iterator[np.ndarray]:
        """The same mel in chunks (M, t); a frame is given out `context` frames late."""
        utterance, config = _Utterance(self, self._plan(picture)), self.config
        chunks = ChunkConfig(config.context, config.first_chunk, config.chunk)
        yield from refine_stream(utterance.frames(), self.refine, chunks)
        utterance.warn()

    def refine(self, raw: np.ndarray) -> np.ndarray:
        """The refined mel (M, T) of `raw` (M, T)."""
        return self.refiner.run({"mel": np.ascontiguousarray(raw[None])})[0][0]

    def _plan(self, picture: np.ndarray | Intention) -> _Plan:
        return picture.source if isinstance(picture, Intention) else self.intend(picture)[0].source


class _Utterance:
    """One utterance about one picture, step by step."""

    def __init__(self, model: OnnxShowAndSpeak, plan: _Plan) -> None:
        self.model, self.plan = model, plan
        self.stopped = False
        self.alignments: list[np.ndarray] = []

    def frames(self) -> Iterator[np.ndarray]:
        """Frames (M, r) of one step after the other; the last may have fewer."""
        config = self.model.config
        memory, state = self.plan.looked
        frame = np.zeros((1, self.model.mel_spec.n_mels), np.float32)
        stop_logit = math.log(config.stop_threshold / (1.0 - config.stop_threshold))
        masks = prenet_masks(config.prenet_dim, self.plan.seed)
        left = config.max_frames
        while left > 0:
            inputs = {"frame": frame, **dict(zip(_MASKS, next(masks), strict=True))}
            found, state = self.model.steps.step(inputs, memory, state)
            self.alignments.append(found["alignment"])
            frames = found["frames"][0][:, :left]
            ends = np.flatnonzero(found["stop_logits"][0][: frames.shape[1]] > stop_logit)
            if len(ends):
                self.stopped = True
                yield frames[:, : ends[0] + 1]
                return
            yield frames
            frame = np.ascontiguousarray(found["frames"][:, :, -1])
            left -= frames.shape[1]

    def warn(self) -> None:
        """Warn where there was no end."""
        if not self.stopped:
            spec = self.model.mel_spec
            seconds = self.model.config.max_frames * spec.hop_length / spec.sample_rate
            message = f"the model did not find its end and was cut off after {seconds:.1f} s"
            warnings.warn(message, CutOffWarning, stacklevel=3)
