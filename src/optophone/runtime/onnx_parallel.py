"""An acoustic model that makes all frames at once, from a bundle, run by ONNX Runtime."""

import copy
from collections.abc import Iterator

import numpy as np

from optophone.core.bundle import Bundle
from optophone.core.durations import PLACE_FEATURES, place_frames, whole_durations
from optophone.core.errors import BundleError
from optophone.core.pronunciations import pronunciations_of
from optophone.core.protocols import SpokenMel
from optophone.core.speakers import speaker_names, speaker_number
from optophone.runtime.refined_stream import ChunkConfig, refine_stream
from optophone.runtime.session import Graph, SessionConfig
from optophone.runtime.symbol_graph import check_speakers, checked_symbols, read_symbols

SYMBOLS_GRAPH = "symbols.onnx"
FRAMES_GRAPH = "frames.onnx"
LEAST_PACE, MOST_PACE = 0.5, 2.0
_PIECE, _FIRST_CHUNK, _CHUNK = 12, 36, 96  # frames of a stream
_LONGEST_SYMBOL_S = 2.0  # what lasts longer is a fault of the network, and costs memory


class OnnxParallel:
    """Symbols → mel (an `AcousticModel`) by two graphs and the layout of symbols in time between them.

    - `symbols.onnx`: `ids` (1, S) and, of several voices, `speaker` (1,) → `encoded` (1, S, D), `log_durations` (1, S),
      ln(1 + frames).
    - `frames.onnx`: `encoded` (1, T, D), the symbol of every frame, and `places` (1, T, 3), see `core.durations` →
      `mel` (1, M, T).

    It always ends, and says every symbol once and in order: durations see to that.

    Args:
        bundle: an opened bundle with both graphs and a vocabulary. Of its configuration `frame_context` is read: frames
            to either side that a frame of the mel depends on, which a stream needs, and `pace`, by which predicted
            durations are too short, above 1, or too long.
        threads: of the graphs.

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
        self.frame_context = _frame_context(bundle)
        self.pace = _pace(bundle)
        config = SessionConfig(threads=threads)
        self.symbols = Graph(bundle.file(SYMBOLS_GRAPH), config)
        self.frames = Graph(bundle.file(FRAMES_GRAPH), config)
        self._check_graphs()

    def _check_graphs(self) -> None:
        self.symbols.require(["ids"], ["encoded", "log_durations"])
        self.frames.require(["encoded", "places"], ["mel"])
        check_speakers(self.symbols, self.speakers)
        n_features = self.frames.inputs["places"].shape[2]
        if n_features != PLACE_FEATURES:
            raise BundleError(
                f"{self.frames.path}: takes {n_features} features of a place, not {PLACE_FEATURES}; export it again."
            )

    def with_speaker(self, speaker: str | int) -> "OnnxParallel":
        """The same graphs with the voice of another speaker: a name of `speakers`, or a number.

        Raises:
            ConfigurationError: there is no such speaker.
        """
        other = copy.copy(self)
        other.speaker = speaker_number(self.speakers, speaker)
        return other

    def mel(self, ids: np.ndarray) -> SpokenMel:
        """Speak `ids` (S,) of `vocabulary`: the whole mel (M, T), with the alignment (T, S), ones and zeros.

        Raises:
            TextError: there are no symbols.
        """
        ids = checked_symbols(ids)
        encoded, durations = self.lay_out(ids)
        alignment = np.repeat(np.eye(len(ids), dtype=np.float32), durations, axis=0)
        return SpokenMel(self.draw(encoded, durations), alignment)

    def stream(self, ids: np.ndarray) -> Iterator[np.ndarray]:
        """`mel(ids)` in chunks (M, t), the first one early; in one where nobody says how far frames see.

        Raises:
            TextError: there are no symbols.
        """
        encoded, durations = self.lay_out(checked_symbols(ids))
        if self.frame_context is None:
            yield self.draw(encoded, durations)
            return
        symbols, features = place_frames(durations)
        laid_out = np.concatenate((encoded[symbols], features), axis=1).T
        pieces = (laid_out[:, first : first + _PIECE] for first in range(0, len(symbols), _PIECE))
        yield from refine_stream(pieces, self._draw_frames, ChunkConfig(self.frame_context, _FIRST_CHUNK, _CHUNK))

    def encode(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The encoded symbols (S, D) and ln(1 + frames) (S,) of each, for `ids` (S,)."""
        values = read_symbols(self.symbols, ids, self.speaker)
        return values["encoded"][0], values["log_durations"][0]

    def lay_out(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The encoded symbols (S, D) and the whole frames (S,) of each, for `ids` (S,)."""
        encoded, log_durations = self.encode(ids)
        longest = _LONGEST_SYMBOL_S * self.mel_spec.sample_rate / self.mel_spec.hop_length
        frames = np.expm1(np.nan_to_num(log_durations.astype(np.float64)).clip(0.0, np.log1p(longest)))
        return encoded, whole_durations(frames * self.pace)

    def draw(self, encoded: np.ndarray, durations: np.ndarray) -> np.ndarray:
        """The mel (M, T) of encoded symbols (S, D) that last `durations` (S,) whole frames."""
        symbols, features = place_frames(durations)
        return self._draw_frames(np.concatenate((encoded[symbols], features), axis=1).T)

    def _draw_frames(self, laid_out: np.ndarray) -> np.ndarray:
        """The mel (M, T) of frames (D + 3, T): their encoded symbols, and their places in these."""
        encoded, places = laid_out[:-PLACE_FEATURES], laid_out[-PLACE_FEATURES:]
        feeds = {"encoded": np.ascontiguousarray(encoded.T[None]), "places": np.ascontiguousarray(places.T[None])}
        return self.frames.run(feeds)[0][0]


def _frame_context(bundle: Bundle) -> int | None:
    context = bundle.manifest.configuration.get("frame_context")
    if context is not None and (type(context) is not int or context < 0):
        raise BundleError(f"{bundle.folder}: its frame_context is {context!r}, no number of frames; export it again.")
    return context


def _pace(bundle: Bundle) -> float:
    pace = bundle.manifest.configuration.get("pace", 1.0)
    if type(pace) not in (int, float) or not LEAST_PACE <= pace <= MOST_PACE:
        raise BundleError(
            f"{bundle.folder}: its pace is {pace!r}, not {LEAST_PACE:g} to {MOST_PACE:g}; export it again."
        )
    return float(pace)
