"""Units of speech from a bundle, run by ONNX Runtime: wave to units, whole or as a stream."""

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from optophone.core.bundle import Bundle
from optophone.core.configuration import from_mapping
from optophone.core.errors import BundleError, ConfigurationError
from optophone.core.unit_filter_bank import UnitFilterBank, UnitFilterBankConfig
from optophone.core.vocabulary import build_units
from optophone.runtime.session import Graph, SessionConfig

UNITS_GRAPH = "units.onnx"
LEVELS = "levels"
_LAST_POSITION = 5


@dataclass(frozen=True)
class OnnxUnitsConfig:
    """What the encoder reads of a bundle's configuration.

    Args:
        quantizers: positions 1–5 that the graph has units of, rising; a unit lasts one frame at position 1 and twice as
            long at each later one.
        n_codes: units that there are at each of `quantizers`.
        context_frames: for each of `quantizers`, the frames on either side of its first that a unit depends on.
        bank: the front end.
        block_frames: frames of a whole wave that go through the graph together, those around them not counted.
        stream_frames: the fewest new frames of a stream that are worth a call of the graph.
    """

    quantizers: tuple[int, ...]
    n_codes: tuple[int, ...]
    context_frames: tuple[int, ...]
    bank: UnitFilterBankConfig = field(default_factory=UnitFilterBankConfig)
    block_frames: int = 4096
    stream_frames: int = 32

    def __post_init__(self) -> None:
        """Refuse what no graph has."""
        rising = sorted(set(self.quantizers) & set(range(1, _LAST_POSITION + 1)))
        if not rising or list(self.quantizers) != rising:
            raise ConfigurationError(f"units: quantizers are {list(self.quantizers)}; give rising positions 1-5.")
        if not len(self.n_codes) == len(self.context_frames) == len(rising):
            raise ConfigurationError("units: give n_codes and context_frames for each of quantizers.")
        if min(self.n_codes) < 1 or min(self.context_frames) < 0 or max(self.context_frames) > 2**16:
            raise ConfigurationError("units: n_codes are at least 1, context_frames from 0 to 65,536.")
        if min(self.block_frames, self.stream_frames) < 1:
            raise ConfigurationError("units: block_frames and stream_frames are at least 1.")


class OnnxUnitEncoder:
    """Wave → units of one quantizer (a `UnitEncoder`).

    The graph, `units.onnx`, takes `levels` (1, M, T) of the front end and gives `units.P` (1, ceil(T / 2^(P-1))) int64
    for every position P with a quantizer, the nearest code of each frame. Nothing is padded: padding changes units.

    Args:
        bundle: an opened bundle of kind "units" with a graph. Of its configuration the keys of `OnnxUnitsConfig` are
            read.
        quantizer: position whose units are wanted; None for the last, whose vocabulary the bundle has.
        threads: of the graph.

    Raises:
        BundleError: graph, vocabulary or configuration are missing or not as documented.
        ConfigurationError: there is no such quantizer.
    """

    def __init__(self, bundle: Bundle, quantizer: int | None = None, threads: int = 1) -> None:
        names = {option.name for option in dataclasses.fields(OnnxUnitsConfig)}
        options = {name: value for name, value in bundle.manifest.configuration.items() if name in names}
        try:
            self.config = from_mapping(OnnxUnitsConfig, options, f"{bundle.folder}: configuration")
        except ConfigurationError as error:
            raise BundleError(f"{bundle.folder}: {error}") from None
        positions = self.config.quantizers
        self.quantizer = positions[-1] if quantizer is None else quantizer
        if self.quantizer not in positions:
            there = ", ".join(map(str, positions))
            raise ConfigurationError(f"{bundle.folder}: no quantizer at position {quantizer}; there are: {there}.")
        place = positions.index(self.quantizer)
        self.n_codes, self.context = self.config.n_codes[place], self.config.context_frames[place]
        self.stride = 2 ** (self.quantizer - 1)
        self.vocabulary = build_units(self.n_codes)
        if bundle.vocabulary() != build_units(self.config.n_codes[-1]):
            raise BundleError(f"{bundle.folder}: its vocabulary does not fit its units; export the bundle again.")
        self.first_unit = len(self.vocabulary) - self.n_codes
        self.bank = UnitFilterBank(self.config.bank)
        self.sample_rate = self.config.bank.sample_rate
        self.graph = Graph(bundle.file(UNITS_GRAPH), SessionConfig(threads))
        self.output = f"units.{self.quantizer}"
        self.graph.require([LEVELS], [f"units.{position}" for position in positions])
        if self.graph.inputs[LEVELS].shape[1] != self.config.bank.n_mels:
            raise BundleError(f"{bundle.folder}: front end and graph differ in their bands; export the bundle again.")

    @property
    def unit_s(self) -> float:
        """Seconds that a unit lasts."""
        return self.stride * self.config.bank.hop_length / self.sample_rate

    @property
    def delay_s(self) -> float:
        """Seconds of sound after the beginning of a unit that a stream waits for before it gives the unit out."""
        samples = self.look_ahead * self.config.bank.hop_length + self.config.bank.n_fft // 2
        return samples / self.sample_rate

    @property
    def look_ahead(self) -> int:
        """Frames after the first of a unit that must be there before it is settled."""
        return max(self.context, self.stride - 1)

    def units(self, wave: np.ndarray) -> np.ndarray:
        """Ids (S,) int64 of `vocabulary`, one per `unit_s`, of `wave` (N,) at `sample_rate`.

        Memory does not grow with the length but for the levels: a long wave goes through the graph in overlapping
        blocks, which changes no unit.

        Raises:
            AudioError: the wave is too short, or holds what is no number.
        """
        levels = self.bank(wave)
        utterance, size = _Utterance(self), self.config.block_frames
        starts = range(0, levels.shape[1], size)
        return np.concatenate([utterance.push(levels[:, i : i + size], last=i == starts[-1]) for i in starts])

    def stream(
        self, blocks: Iterable[np.ndarray], mean: float = 0.0, maximum: float | None = None
    ) -> Iterator[np.ndarray]:
        """The units of a wave that arrives in blocks, each about `delay_s` after its sound.

        Given mean and maximum of the whole utterance (`bank.mean_and_maximum`) the units together are those of
        `units`. Without them they are those of levels relative to the loudest cell so far, see `UnitFilterBank.stream`.

        Args:
            blocks: (n,) each, of any size, at `sample_rate`.
            mean: of the samples of the utterance.
            maximum: power of the loudest cell of the utterance; None for the largest so far.

        Yields:
            (s,) int64 ids of `vocabulary`, s > 0.

        Raises:
            AudioError: the wave ends too early, or holds what is no number.
        """
        utterance = _Utterance(self)
        waiting: list[np.ndarray] = []
        for levels in self.bank.stream(blocks, mean, maximum):
            waiting.append(levels)
            if sum(part.shape[1] for part in waiting) >= self.config.stream_frames:
                found = utterance.push(np.concatenate(waiting, axis=1), last=False)
                waiting = []
                if len(found):
                    yield found
        rest = np.concatenate([np.zeros((self.config.bank.n_mels, 0), np.float32), *waiting], axis=1)
        found = utterance.push(rest, last=True)
        if len(found):
            yield found

    def run_graph(self, levels: np.ndarray) -> np.ndarray:
        """Numbers (S',) int64 of the codes of `levels` (M, T), counted from 0.

        Raises:
            BundleError: the graph gives codes that the configuration does not have.
        """
        codes = self.graph.session.run([self.output], {LEVELS: np.ascontiguousarray(levels[None])})[0][0]
        if len(codes) and not 0 <= codes.min() <= codes.max() < self.n_codes:
            raise BundleError(f"{self.graph.path}: gives units beyond the {self.n_codes}; export the bundle again.")
        return codes


class _Utterance:
    """One utterance on its way through the graph: the frames that units still to come depend on.

    A unit depends on `context` frames on either side of its first. So frames go through the graph with those around
    them, cut where a unit begins, and only the units are taken whose context is all there or is the utterance's edge.
    """

    def __init__(self, encoder: OnnxUnitEncoder) -> None:
        self.encoder = encoder
        self.levels = np.zeros((encoder.config.bank.n_mels, 0), np.float32)
        self.first = 0  # number of the first of `levels`, a multiple of the stride
        self.n_given = 0  # units that were given out

    def push(self, levels: np.ndarray, last: bool) -> np.ndarray:
        """Further frames (M, t), the final ones if `last`; returns the ids (s,) that are settled now."""
        encoder, stride = self.encoder, self.encoder.stride
        self.levels = np.concatenate((self.levels, levels), axis=1)
        n_frames = self.first + self.levels.shape[1]
        settled = n_units(n_frames, stride) if last else (n_frames - encoder.look_ahead - 1) // stride + 1
        if settled <= self.n_given:
            return np.zeros(0, np.int64)
        codes = encoder.run_graph(self.levels)
        before = self.first // stride
        found = codes[self.n_given - before : settled - before] + encoder.first_unit
        self.n_given = settled
        kept = max(0, settled * stride - encoder.context) // stride * stride
        self.levels, self.first = self.levels[:, kept - self.first :], kept
        return found


def n_units(n_frames: int, stride: int) -> int:
    """Units of an utterance of `n_frames` frames: whole ones, by a rounded ratio, at least 1."""
    return max(1, n_frames // round(n_frames / -(-n_frames // stride)))
