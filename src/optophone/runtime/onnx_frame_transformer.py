"""A direct model that writes codes of frames, from a bundle: speech while it is being thought of."""

import dataclasses
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from optophone.core.bundle import Bundle
from optophone.core.configuration import from_mapping
from optophone.core.errors import BundleError
from optophone.core.guidance import guided
from optophone.core.protocols import Intention, SpokenMel
from optophone.core.search import SearchConfig, draw, sampling_probabilities
from optophone.core.vocabulary import Vocabulary
from optophone.runtime.mean_picture import read_mean_picture, required
from optophone.runtime.onnx_acoustic import CutOffWarning
from optophone.runtime.picture_memory import Looked, PictureSteps
from optophone.runtime.refined_stream import ChunkConfig, refine_stream
from optophone.runtime.session import Graph, SessionConfig

LEVELS_GRAPH = "levels.onnx"
CODES_GRAPH = "codes.onnx"


@dataclass(frozen=True)
class FrameCodesConfig:
    """What the runtime reads of a bundle's configuration.

    Args:
        frames_per_step: r, frames of a step.
        n_codes: K, codes of a level; of the first level K is the start and K + 1 the end.
        n_levels: L, codes of a step.
        max_length: most steps of an utterance, the end counted.
        context: steps to either side that the frames of a step depend on: speech is given out so many steps late.
        first_chunk: steps of the first chunk of a stream; small, so that sound comes early.
        chunk: steps of the later ones.
    """

    frames_per_step: int
    n_codes: int
    n_levels: int
    max_length: int
    context: int
    first_chunk: int = 8
    chunk: int = 16


class _Plan(NamedTuple):
    """What an intention goes on from: the picture as it was seen, the way of choosing, the number of the variant."""

    looked: Looked
    search: SearchConfig
    variant: int


class OnnxFrameTransformer:
    """Picture → mel (a `DirectModel`), r frames a step.

    - `encoder.onnx`, `step.onnx`: see `PictureSteps`; a step takes `codes` (1, L) of the step before and gives
      `log_probs` (1, K + 2) of its first level and `hidden` (1, D).
    - `levels.onnx`: `hidden` (1, D), `codes` (1, L - 1) → `log_probs` (1, L - 1, K) of levels 2 to L, each following
      from the codes above it; only where there are several levels.
    - `codes.onnx`: `codes` (1, U, L) → `mel` (1, M, U·r).
    - `mean_picture.npz`: see `MeanPicture`; only for guidance.

    Of a search it takes the method ("sample" draws; the others take the likeliest code, where further variants are
    drawn), temperature, top_k, top_p, seed, guidance, and the lengths, which count steps.

    Args:
        bundle: an opened bundle of kind "direct" with these graphs. Of its configuration the keys of `FrameCodesConfig`
            are read, and `search`.
        threads: of the encoder, and of a large step graph; the others are done before their work is handed out.

    Raises:
        BundleError: a graph, the picture or the mel specification is missing or not as documented.
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        manifest = bundle.manifest
        self.name, self.mel_spec = manifest.name, bundle.mel_spec()
        self.vocabulary: Vocabulary | None = None
        known = {field.name for field in dataclasses.fields(FrameCodesConfig)}
        chosen = {key: value for key, value in manifest.configuration.items() if key in known}
        self.config = from_mapping(FrameCodesConfig, chosen, f"{bundle.folder}: configuration")
        options = manifest.configuration.get("search", {})
        self.search = from_mapping(SearchConfig, options, f"{bundle.folder}: configuration.search")
        self.steps = PictureSteps(bundle, ["codes"], ["log_probs", "hidden"], threads)
        self.picture_spec = self.steps.picture_spec
        self.levels: Graph | None = None
        if self.config.n_levels > 1:
            self.levels = Graph(bundle.file(LEVELS_GRAPH), SessionConfig())
            self.levels.require(["hidden", "codes"], ["log_probs"])
        self.mean_picture = read_mean_picture(bundle, self.steps.memory_names, self.steps.state_names)
        self.codes_graph = Graph(bundle.file(CODES_GRAPH), SessionConfig())
        self.codes_graph.require(["codes"], ["mel"])
        if self.config.n_codes < 1 or self.config.max_length < 2:
            raise BundleError(f"{bundle.folder}: its configuration has no codes or no steps; export it again.")

    def intend(self, picture: np.ndarray, search: SearchConfig | None = None) -> list[Intention]:
        """Look at `picture` (H, W, 3) uint8; what is said of it is decided in speaking.

        Raises:
            ConfigurationError: guidance is asked for and the bundle has no mean picture.
        """
        search = search or self.search
        looked = self.steps.look(picture)
        if search.guidance:
            looked = self._beside_mean_picture(looked)
        return [Intention(_Plan(looked, search, variant)) for variant in range(search.n_results)]

    def mel(self, picture: np.ndarray | Intention) -> SpokenMel:
        """Speak what is in a picture, or what `intend` found."""
        utterance = _Utterance(self, self._plan(picture))
        codes = np.concatenate(list(utterance.codes()), axis=1)
        utterance.warn()
        return SpokenMel(self.draw(codes), stopped=utterance.ended)

    def stream(self, picture: np.ndarray | Intention) -> Iterator[np.ndarray]:
        """The same mel in chunks (M, t); a frame is given out `context` steps after its own."""
        utterance, config = _Utterance(self, self._plan(picture)), self.config
        chunks = ChunkConfig(config.context, config.first_chunk, config.chunk)
        yield from refine_stream(utterance.codes(), self.draw, chunks, config.frames_per_step)
        utterance.warn()

    def draw(self, codes: np.ndarray) -> np.ndarray:
        """The mel (M, U·r) of codes (L, U)."""
        return self.codes_graph.run({"codes": np.ascontiguousarray(codes.T[None])})[0][0]

    def _beside_mean_picture(self, looked: Looked) -> Looked:
        """Two rows: the picture, and the mean picture."""
        mean_picture = required(self.mean_picture, self.name)
        memory, state = mean_picture.in_place_of(list(looked.memory.values()), looked.state)
        both = [np.concatenate(parts) for parts in zip(looked.memory.values(), memory, strict=True)]
        states = [np.concatenate(parts) for parts in zip(looked.state, state, strict=True)]
        return Looked(dict(zip(looked.memory, both, strict=True)), states)

    def _plan(self, picture: np.ndarray | Intention) -> _Plan:
        return picture.source if isinstance(picture, Intention) else self.intend(picture)[0].source


class _Utterance:
    """One utterance about one picture, step by step."""

    def __init__(self, model: OnnxFrameTransformer, plan: _Plan) -> None:
        self.model, self.plan = model, plan
        self.ended = False
        self.n_steps = 0
        self.draws = plan.search.method == "sample" or plan.variant > 0
        self.generator = np.random.default_rng((plan.search.seed, plan.variant))

    def codes(self) -> Iterator[np.ndarray]:
        """The codes (L, 1) of one step after the other; at least one."""
        model, config, search = self.model, self.model.config, self.plan.search
        memory, state = self.plan.looked
        rows = 2 if search.guidance else 1  # the mean picture is told the same codes
        codes = np.full((rows, config.n_levels), config.n_codes, np.int64)
        for _ in range(min(search.max_length, config.max_length)):
            found, state = model.steps.step({"codes": codes}, memory, state)
            log_probs = found["log_probs"]
            if self.n_steps < max(search.min_length, 1):
                log_probs[:, config.n_codes + 1] = -np.inf
            first = self._choose(log_probs)
            if first == config.n_codes + 1:
                self.ended = True
                return
            codes = np.zeros((rows, config.n_levels), np.int64)
            codes[:, 0] = first
            for level in range(1, config.n_levels):
                assert model.levels is not None
                scores = model.levels.run({"hidden": found["hidden"], "codes": codes[:, :-1]})[0]
                codes[:, level] = self._choose(scores[:, level - 1])
            self.n_steps += 1
            yield codes[:1].T

    def _choose(self, log_probs: np.ndarray) -> int:
        """One code of `log_probs` (1, K), or (2, K) with the mean picture below."""
        if self.plan.search.guidance:
            log_probs = guided(log_probs[:1], log_probs[1:], self.plan.search.guidance)
        if not self.draws:
            return int(log_probs[0].argmax())
        search = self.plan.search
        return int(
            draw(sampling_probabilities(log_probs, search.temperature, search.top_k, search.top_p), self.generator)[0]
        )

    def warn(self) -> None:
        """Warn where there was no end."""
        if not self.ended:
            spec = self.model.mel_spec
            n_frames = self.n_steps * self.model.config.frames_per_step
            seconds = n_frames * spec.hop_length / spec.sample_rate
            message = f"the model did not find its end and was cut off after {seconds:.1f} s; sampling may help"
            warnings.warn(message, CutOffWarning, stacklevel=3)
