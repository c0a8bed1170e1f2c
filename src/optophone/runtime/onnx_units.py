"""Units of speech from a bundle, run by ONNX Runtime: wave to units, whole or as a stream."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np

from optophone.core.bundle import Bundle
from optophone.core.configuration import from_mapping
from optophone.core.errors import BundleError, ConfigurationError
from optophone.core.unit_filter_bank import UnitFilterBank, UnitFilterBankConfig
from optophone.core.vocabulary import build_units
from optophone.runtime.session import Graph, SessionConfig
from optophone.runtime.unit_blocks import LONGEST_CONTEXT, UnitBlocks, UnitBlocksConfig, UnitTiming

UNITS_GRAPH = "units.onnx"
LEVELS = "levels"
WAVENET_VQ = "wavenet-vq"  # class of unit bundles whose network has one quantizer, after its last layer
_LAST_POSITION = 5


@dataclass(frozen=True)
class UnitLayout:
    """One kind of units that a graph gives.

    Args:
        quantizer: position in the network, or None where there is only one.
        output: name in the graph.
        n_codes: units that there are.
        timing: of the units.
        fewest_frames: that the graph takes; a shorter utterance ends in silence.
    """

    quantizer: int | None
    output: str
    n_codes: int
    timing: UnitTiming
    fewest_frames: int = 1


@dataclass(frozen=True)
class OnnxUnitsConfig:
    """What the encoder reads of a bundle's configuration, where a network has quantizers at several positions.

    Args:
        quantizers: positions 1–5 that the graph has units of, rising; a unit lasts one frame at position 1 and twice as
            long at each later one.
        n_codes: units that there are at each of `quantizers`.
        context_frames: for each of `quantizers`, the frames on either side of its first that a unit depends on.
        bank: the front end.
        block_frames, stream_frames: as in `UnitBlocksConfig`.
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
        _check_sizes(self.n_codes, self.context_frames)
        _ = self.blocks

    @property
    def blocks(self) -> UnitBlocksConfig:
        """How many frames go through the graph together."""
        return UnitBlocksConfig(self.block_frames, self.stream_frames)

    @property
    def layouts(self) -> list[UnitLayout]:
        """All units that the graph gives, the usual ones last.

        The graph gives `units.P` (1, ceil(T / 2^(P-1))) for every position P with a quantizer.
        """
        found = []
        for position, n_codes, context in zip(self.quantizers, self.n_codes, self.context_frames, strict=True):
            stride = 2 ** (position - 1)
            timing = UnitTiming(stride, context, partial(n_units, stride=stride))
            found.append(UnitLayout(position, f"units.{position}", n_codes, timing))
        return found


@dataclass(frozen=True)
class OnnxWaveNetUnitsConfig:
    """What the encoder reads of the configuration of a bundle of class "wavenet-vq".

    Args:
        n_units: units that there are.
        frames_per_unit: frames that are one unit; those at the end that fill none are left out.
        context_frames: on either side of its first that a unit depends on.
        bank: the front end.
        block_frames, stream_frames: as in `UnitBlocksConfig`.
    """

    n_units: int
    frames_per_unit: int
    context_frames: int
    bank: UnitFilterBankConfig = field(default_factory=UnitFilterBankConfig)
    block_frames: int = 4096
    stream_frames: int = 32

    def __post_init__(self) -> None:
        """Refuse what no graph has."""
        _check_sizes((self.n_units,), (self.context_frames,))
        if not 1 <= self.frames_per_unit <= self.context_frames + 1:
            raise ConfigurationError(
                f"units: frames_per_unit is {self.frames_per_unit}; give 1 to {self.context_frames + 1}, the frames "
                "that a unit depends on from its first."
            )
        _ = self.blocks

    @property
    def blocks(self) -> UnitBlocksConfig:
        """How many frames go through the graph together."""
        return UnitBlocksConfig(self.block_frames, self.stream_frames)

    @property
    def layouts(self) -> list[UnitLayout]:
        """The units that the graph gives: `units` (1, T // frames_per_unit), T at least `frames_per_unit`."""
        stride = self.frames_per_unit
        timing = UnitTiming(stride, self.context_frames, partial(n_whole_units, stride=stride))
        return [UnitLayout(None, "units", self.n_units, timing, fewest_frames=stride)]


Config = TypeVar("Config", OnnxUnitsConfig, OnnxWaveNetUnitsConfig)


def _check_sizes(n_codes: Sequence[int], context_frames: Sequence[int]) -> None:
    if min(n_codes) < 1 or min(context_frames) < 0 or max(context_frames) > LONGEST_CONTEXT:
        raise ConfigurationError("units: n_codes are at least 1, context_frames from 0 to 65,536.")


class OnnxUnitEncoder:
    """Wave → units of one quantizer (a `UnitEncoder`).

    The graph, `units.onnx`, takes `levels` (1, M, T) of the front end and gives int64 numbers of the nearest codes,
    see `layouts` of the configurations. Nothing is padded: padding changes units.

    Args:
        bundle: an opened bundle of kind "units" with a graph. Of its configuration the keys of `OnnxUnitsConfig` are
            read, or those of `OnnxWaveNetUnitsConfig` where its class is "wavenet-vq".
        quantizer: position whose units are wanted; None for the last, whose vocabulary the bundle has.
        threads: of the graph.

    Raises:
        BundleError: graph, vocabulary or configuration are missing or not as documented.
        ConfigurationError: there is no such quantizer.
    """

    def __init__(self, bundle: Bundle, quantizer: int | None = None, threads: int = 1) -> None:
        self.config = _read_config(bundle)
        layouts = self.config.layouts
        self.layout = _choose(layouts, quantizer, bundle)
        self.quantizer = self.layout.quantizer
        self.vocabulary = build_units(self.layout.n_codes)
        if bundle.vocabulary() != build_units(layouts[-1].n_codes):
            raise BundleError(f"{bundle.folder}: its vocabulary does not fit its units; export the bundle again.")
        self.first_unit = len(self.vocabulary) - self.layout.n_codes
        self.bank = UnitFilterBank(self.config.bank)
        self.sample_rate = self.config.bank.sample_rate
        self.graph = Graph(bundle.file(UNITS_GRAPH), SessionConfig(threads))
        self.graph.require([LEVELS], [layout.output for layout in layouts])
        if self.graph.inputs[LEVELS].shape[1] != self.config.bank.n_mels:
            raise BundleError(f"{bundle.folder}: front end and graph differ in their bands; export the bundle again.")

    @property
    def unit_s(self) -> float:
        """Seconds that a unit lasts."""
        return self.layout.timing.stride * self.config.bank.hop_length / self.sample_rate

    @property
    def delay_s(self) -> float:
        """Seconds of sound after the beginning of a unit that a stream waits for before it gives the unit out."""
        return self.layout.timing.delay_s(self.config.bank)

    def units(self, wave: np.ndarray) -> np.ndarray:
        """Ids (S,) int64 of `vocabulary`, one per `unit_s`, of `wave` (N,) at `sample_rate`.

        Memory does not grow with the length but for the levels: a long wave goes through the graph in overlapping
        blocks, which changes no unit.

        Raises:
            AudioError: the wave is too short, or holds what is no number.
        """
        return self._blocks().whole(self.bank(wave)) + self.first_unit

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
        for codes in self._blocks().stream(self.bank.stream(blocks, mean, maximum)):
            yield codes + self.first_unit

    def run_graph(self, levels: np.ndarray) -> np.ndarray:
        """Numbers (S',) int64 of the codes of `levels` (M, T), counted from 0.

        Raises:
            BundleError: the graph gives codes that the configuration does not have.
        """
        missing = max(0, self.layout.fewest_frames - levels.shape[1])
        if missing:
            levels = np.pad(levels, ((0, 0), (0, missing)), constant_values=-self.config.bank.range_db)
        codes = self.graph.run({LEVELS: np.ascontiguousarray(levels[None])}, [self.layout.output])[0][0]
        stride = self.layout.timing.stride
        if not levels.shape[1] // stride <= len(codes) <= -(-levels.shape[1] // stride):
            raise BundleError(f"{self.graph.path}: its units do not last {stride} frames; export the bundle again.")
        if len(codes) and not 0 <= codes.min() <= codes.max() < self.layout.n_codes:
            raise BundleError(
                f"{self.graph.path}: gives units beyond the {self.layout.n_codes}; export the bundle again."
            )
        return codes

    def _blocks(self) -> UnitBlocks:
        return UnitBlocks(self.run_graph, self.layout.timing, self.config.blocks)


def _read_config(bundle: Bundle) -> OnnxUnitsConfig | OnnxWaveNetUnitsConfig:
    if bundle.manifest.cls == WAVENET_VQ:
        return _read_options(OnnxWaveNetUnitsConfig, bundle)
    return _read_options(OnnxUnitsConfig, bundle)


def _read_options(cls: type[Config], bundle: Bundle) -> Config:
    names = {option.name for option in dataclasses.fields(cls)}
    options = {name: value for name, value in bundle.manifest.configuration.items() if name in names}
    try:
        return from_mapping(cls, options, f"{bundle.folder}: configuration")
    except ConfigurationError as error:
        raise BundleError(f"{bundle.folder}: {error}") from None


def _choose(layouts: Sequence[UnitLayout], quantizer: int | None, bundle: Bundle) -> UnitLayout:
    """The units of a position, or the usual ones for None."""
    by_position = {layout.quantizer: layout for layout in layouts}
    if quantizer is None:
        return layouts[-1]
    if None in by_position:
        raise ConfigurationError(
            f"{bundle.folder}: {bundle.manifest.cls} has no quantizers to choose from; leave --quantizer out."
        )
    if quantizer not in by_position:
        there = ", ".join(map(str, by_position))
        raise ConfigurationError(f"{bundle.folder}: no quantizer at position {quantizer}; there are: {there}.")
    return by_position[quantizer]


def n_units(n_frames: int, stride: int) -> int:
    """Units of an utterance of `n_frames` frames: whole ones, by a rounded ratio, at least 1."""
    return max(1, n_frames // round(n_frames / -(-n_frames // stride)))


def n_whole_units(n_frames: int, stride: int) -> int:
    """Units of an utterance of `n_frames` frames: as many as its frames fill, at least 1."""
    return max(1, n_frames // stride)
