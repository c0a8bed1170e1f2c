"""A vocoder from a bundle, run by ONNX Runtime: mel to wave, whole or as a stream."""

import dataclasses
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from optophone.core.bundle import Bundle
from optophone.core.configuration import check_ranges, from_mapping
from optophone.core.denoiser import Denoiser
from optophone.core.errors import AudioError, BundleError
from optophone.core.noise import GivenNoise, Noise, SeededNoise
from optophone.runtime.session import Graph, SessionConfig, numbered

VOCODER_GRAPH = "vocoder.onnx"
DENOISER_FILE = "denoiser.npz"
_RANGES: dict[str, tuple[float, float]] = {
    "sigma": (0, 100),
    "seed": (0, 2**63),
    "denoise": (0, 1000),
    "step_samples": (1, 1_000_000),
    "delay_frames": (0, 1_000_000),
    "state_rows": (0, 1_000_000),
    "stream_frames": (1, 1_000_000),
    "block_frames": (1, 1_000_000),
}


@dataclass(frozen=True)
class OnnxVocoderConfig:
    """What the vocoder reads of a bundle's configuration.

    Args:
        sigma: standard deviation of the noise, where the graph takes any; .6 to .9 sound best.
        seed: of the noise; the same mel always sounds the same.
        denoise: strength of the denoiser; 0 leaves it out.
        step_samples: samples that one step of noise becomes.
        delay_frames: frames that must be known beyond those whose samples are settled.
        state_rows: rows of each state of the graph before the first portion.
        stream_frames: the smallest portion of a stream.
        block_frames: frames of a whole wave that go through the graph together.
    """

    sigma: float = 0.0
    seed: int = 0
    denoise: float = 0.0
    step_samples: int = 1
    delay_frames: int = 0
    state_rows: tuple[int, ...] = ()
    stream_frames: int = 32
    block_frames: int = 64

    def __post_init__(self) -> None:
        check_ranges(self, _RANGES, "vocoder")


class OnnxVocoder:
    """Mel → wave (a `Vocoder`). What runs is a graph, `vocoder.onnx`, of one of two kinds.

    Both take `mel` (1, M, t) and make `wave` (1, n), of which frame i has samples i * hop_length and following.

    - With states: further inputs are `last` () int64, 1 for the final portion of an utterance, `noise.i` (steps, size)
      for the steps of `step_samples` that the frames add, and `state.i` (rows, size), zeros at first; further outputs
      are the next states in their order. Out come the samples that are settled, at least one step for every portion
      once `delay_frames` are exceeded, and all that are left for the final one.
    - Without: n = t * hop_length, from `delay_frames` to either side of a frame alone. Portions are computed with that
      much before and after them, so they join without a seam.

    Args:
        bundle: an opened bundle of kind "vocoder" with `vocoder.onnx` and, where `denoise` is above 0, `denoiser.npz`
            with the magnitudes `bias` of its hum. Of its configuration the keys of `OnnxVocoderConfig` are read.
        threads: of the graph.

    Raises:
        BundleError: a file or the mel specification is missing or not as documented.
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        manifest = bundle.manifest
        self.name = manifest.name
        self.mel_spec = bundle.mel_spec()
        known = {field.name for field in dataclasses.fields(OnnxVocoderConfig)}
        chosen = {key: value for key, value in manifest.configuration.items() if key in known}
        self.config = from_mapping(OnnxVocoderConfig, chosen, f"{bundle.folder}: configuration")
        # A graph with states runs over one portion after the other, each with hundreds of buffers of megabytes: to have
        # the system clear them anew costs a quarter of the time.
        session = SessionConfig(threads=threads, arena=bool(self.config.state_rows))
        self.graph = Graph(bundle.file(VOCODER_GRAPH), session)
        self._check_graph()
        self.denoiser = None
        if self.config.denoise:
            self.denoiser = Denoiser(_read_bias(bundle.file(DENOISER_FILE), self.mel_spec.n_fft), self.mel_spec)

    def _check_graph(self) -> None:
        graph = self.graph
        graph.require(["mel"], ["wave"])
        n_mels = graph.inputs["mel"].shape[1]
        if n_mels != self.mel_spec.n_mels:
            raise BundleError(f"{graph.path}: takes {n_mels} mel bands, the manifest says {self.mel_spec.n_mels}.")
        self.noise_names = numbered(list(graph.inputs), "noise")
        self.state_names = numbered(list(graph.inputs), "state")
        sizes = {name: graph.inputs[name].shape[-1] for name in (*self.noise_names, *self.state_names)}
        if not all(isinstance(size, int) for size in sizes.values()):
            raise BundleError(f"{graph.path}: the width of noise and states must be fixed; export the bundle again.")
        self.noise_sizes = [sizes[name] for name in self.noise_names]
        n_next = len(graph.outputs) - 1
        if not len(self.state_names) == n_next == len(self.config.state_rows):
            raise BundleError(
                f"{graph.path}: takes {len(self.state_names)} states and returns {n_next}, the configuration has "
                f"{len(self.config.state_rows)}; export the bundle again."
            )
        self.state_shapes = list(zip(self.config.state_rows, (sizes[name] for name in self.state_names), strict=True))
        if self.state_names:
            graph.require(["last"])
        known = {"mel", "last", *self.noise_names, *self.state_names}
        foreign = [name for name in graph.inputs if name not in known]
        if foreign or (self.noise_names and not self.state_names):
            raise BundleError(f"{graph.path}: takes inputs that no vocoder has; export the bundle again.")

    def wave(self, mel: np.ndarray) -> np.ndarray:
        """The wave of a whole utterance.

        Args:
            mel: (M, T) natural-log magnitude, laid out by `mel_spec`.

        Returns:
            (T * hop_length,) float32 in -1..1, less an incomplete last step; the same for the same mel.

        Raises:
            AudioError: another number of bands, or values that are no numbers.
        """
        portions = list(self._finished(self._run([mel], self._seeded(), self.config.block_frames)))
        return np.concatenate([np.zeros(0, dtype=np.float32), *portions])

    def stream(self, mels: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The wave in portions, each as soon as it is settled.

        Args:
            mels: chunks (M, t) of any size, also empty ones.

        Yields:
            (n,) float32, n > 0; joined they are `wave` of the joined mel, but for rounding (in eight bits, for the
            rounding of a portion's own scale).

        Raises:
            AudioError: another number of bands, or values that are no numbers.
        """
        return self._finished(self._run(mels, self._seeded(), self.config.stream_frames))

    def infer(
        self, mel: np.ndarray, noise: Sequence[np.ndarray], sigma: float | None = None, portion: int | None = None
    ) -> np.ndarray:
        """The wave (N,) of `mel` (M, T), neither limited nor denoised, from given standard normal noise.

        Args:
            mel: as for `wave`.
            noise: (size, N // step_samples) for each source of the graph.
            sigma: what it is multiplied by; the configuration's when None.
            portion: frames that go through the graph together; the configuration's `block_frames` when None.
        """
        given = GivenNoise(self.config.sigma if sigma is None else sigma, noise)
        portions = list(self._run([mel], given, portion or self.config.block_frames))
        return np.concatenate([np.zeros(0, dtype=np.float32), *portions])

    def _seeded(self) -> SeededNoise:
        return SeededNoise(self.config.sigma, self.config.seed, self.noise_sizes)

    def _finished(self, waves: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Limited and denoised portions, none of them empty."""
        limited = (_limit(wave) for wave in waves if len(wave))
        if self.denoiser is None:
            return limited
        return (_limit(wave) for wave in self.denoiser.stream(limited, self.config.denoise))

    def _run(self, mels: Iterable[np.ndarray], noise: Noise, portion: int) -> Iterator[np.ndarray]:
        """The graph's wave, portion by portion."""
        utterance: _Utterance = _WithStates(self, noise) if self.state_names else _WithContext(self)
        # The first portion must settle something, and something must be left for the last.
        kept_back = -(-self.config.step_samples // self.mel_spec.hop_length)
        largest = max(portion, min(4 * portion, self.config.block_frames))  # where more is there than is waited for
        waiting = self._checked(np.zeros((self.mel_spec.n_mels, 0)))
        n_wanted = self.config.delay_frames + max(portion, kept_back)
        for mel in mels:
            waiting = np.concatenate((waiting, self._checked(mel)), axis=1)
            while waiting.shape[1] >= n_wanted + kept_back:
                size = max(n_wanted, min(waiting.shape[1] - kept_back, largest))
                yield utterance.push(waiting[:, :size], last=False)
                waiting = waiting[:, size:]
                n_wanted = max(portion, kept_back)
        if waiting.shape[1]:
            yield utterance.push(waiting, last=True)

    def _checked(self, mel: np.ndarray) -> np.ndarray:
        mel = np.asarray(mel, dtype=np.float32)
        if mel.ndim != 2 or mel.shape[0] != self.mel_spec.n_mels:
            raise AudioError(f"a mel of {self.mel_spec.n_mels} bands was expected, but its shape is {mel.shape}")
        if not np.isfinite(mel).all():
            raise AudioError("the mel holds values that are no numbers (NaN or infinity): check the model that made it")
        return mel


class _Utterance(Protocol):
    """One utterance on its way through the graph."""

    def push(self, mel: np.ndarray, last: bool) -> np.ndarray:
        """Further frames (M, t), t > 0, the final ones if `last`; returns the samples (n,) that are settled now."""
        ...


class _WithStates:
    """Through a graph that remembers."""

    def __init__(self, vocoder: OnnxVocoder, noise: Noise) -> None:
        self.vocoder, self.noise = vocoder, noise
        self.states = [np.zeros(shape, dtype=np.float32) for shape in vocoder.state_shapes]
        self.n_frames = self.n_steps = 0

    def push(self, mel: np.ndarray, last: bool) -> np.ndarray:
        vocoder = self.vocoder
        self.n_frames += mel.shape[1]
        n_steps = self.n_frames * vocoder.mel_spec.hop_length // vocoder.config.step_samples
        if n_steps == 0:  # the whole utterance is shorter than a step
            assert last
            return np.zeros(0, dtype=np.float32)
        feeds = {"mel": np.ascontiguousarray(mel[None]), "last": np.array(int(last))}
        for index, name in enumerate(vocoder.noise_names):
            feeds[name] = self.noise.draw(index, n_steps - self.n_steps)
        self.n_steps = n_steps
        feeds |= zip(vocoder.state_names, self.states, strict=True)
        values = dict(zip(vocoder.graph.outputs, vocoder.graph.run(feeds), strict=True))
        wave = values.pop("wave")
        self.states = list(values.values())
        return wave[0]


class _WithContext:
    """Through a graph that forgets: each portion with the frames around it."""

    def __init__(self, vocoder: OnnxVocoder) -> None:
        self.graph, self.hop_length = vocoder.graph, vocoder.mel_spec.hop_length
        self.context = vocoder.config.delay_frames
        self.mel = np.zeros((vocoder.mel_spec.n_mels, 0), dtype=np.float32)
        self.n_before = 0  # frames of `mel` that are settled and only seen

    def push(self, mel: np.ndarray, last: bool) -> np.ndarray:
        joined = np.concatenate((self.mel, mel), axis=1)
        stop = joined.shape[1] - (0 if last else self.context)
        wave = self.graph.run({"mel": joined[None]})[0][0]
        found = wave[self.n_before * self.hop_length : stop * self.hop_length]
        begin = max(0, stop - self.context)
        self.mel, self.n_before = joined[:, begin:], stop - begin
        return found


def _limit(wave: np.ndarray) -> np.ndarray:
    return np.clip(np.nan_to_num(wave), -1.0, 1.0)


def _read_bias(path: Path, n_fft: int) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as file:
            bias = np.asarray(file["bias"], dtype=np.float32)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise BundleError(f"{path}: no denoiser's bias ({' '.join(str(error).split())[:100]}).") from None
    if bias.shape != (n_fft // 2 + 1,) or not np.isfinite(bias).all():
        raise BundleError(f"{path}: the bias is {bias.shape}, the transform needs ({n_fft // 2 + 1},) finite values.")
    return bias
