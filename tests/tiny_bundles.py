"""Tiny bundles whose behaviour is known by construction, for tests of what runs bundles.

The graphs are written out as ONNX text: a captioner that says one sentence of bright pictures and another of dark ones,
and a voice that dwells on every symbol for a fixed number of frames.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper, parser

from optophone.core.bundle import BundleWriter
from optophone.core.mel import MelSpec
from optophone.core.picture import PictureSpec
from optophone.core.vocabulary import Vocabulary, build_units, build_words, tacotron2_characters

BRIGHT = "a dog runs on the grass"
DARK = "a cat sleeps in some snow"
MEL = MelSpec(sample_rate=8000, n_fft=256, win_length=256, hop_length=64, n_mels=16, f_max=4000.0)
PICTURE = PictureSpec(height=16, width=24, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
GRID = (2, 3)
STEPS_PER_SYMBOL = 3
N_STATISTICS = 176  # of `picture_statistics`
REDUCTION = 2
PRENET = 8
_HEADER = '<ir_version: 9, opset_import: ["" : 18]>\n'

_CAPTIONER_ENCODER = """
encoder (float[B,3,16,24] picture) => (float[B,6,3] "memory.0", float[B,1] "state.0", float[B,0,1] "state.1") {
  pooled = AveragePool<kernel_shape=[8,8], strides=[8,8]>(picture)
  flat = Reshape(pooled, flat_shape)
  "memory.0" = Transpose<perm=[0,2,1]>(flat)
  mean = ReduceMean<keepdims=1>("memory.0", both_axes)
  column = Mul(mean, zero)
  "state.0" = Squeeze(column, axis_two)
  "state.1" = Slice(column, none, none, axis_one)
}
"""

# A table of which word follows which, one for the bright and one for the dark; state.0 counts, state.1 remembers.
_CAPTIONER_STEP = """
step (int64[N] ids, float[N,6,3] "memory.0", float[N,1] "state.0", float[N,L,1] "state.1")
  => (float[N,V] log_probs, float[N,6] attention, float[N,1] "next.0", float[N,K,1] "next.1") {
  brightness = ReduceMean<keepdims=0>("memory.0", both_axes)
  centred = Sub(brightness, half)
  sharp = Mul(centred, twenty)
  share = Sigmoid(sharp)
  is_bright = Unsqueeze(share, axis_one)
  is_dark = Sub(one, is_bright)
  of_bright = Gather<axis=0>(bright, ids)
  of_dark = Gather<axis=0>(dark, ids)
  weighted_bright = Mul(of_bright, is_bright)
  weighted_dark = Mul(of_dark, is_dark)
  logits = Add(weighted_bright, weighted_dark)
  log_probs = LogSoftmax<axis=1>(logits)
  per_region = ReduceMean<keepdims=0>("memory.0", last_axis)
  attention = Softmax<axis=1>(per_region)
  "next.0" = Add("state.0", one)
  seen = Unsqueeze("next.0", axis_one)
  "next.1" = Concat<axis=1>("state.1", seen)
}
"""

_ACOUSTIC_ENCODER = """
encoder (int64[1,S] ids) => (float[1,S,16] "memory.0") { "memory.0" = Gather<axis=0>(embedding, ids) }
"""

_ACOUSTIC_ENCODER_OF_SPEAKERS = """
encoder (int64[1,S] ids, int64[1] speaker) => (float[1,S,16] "memory.0") {
  symbols = Gather<axis=0>(embedding, ids)
  voice = Gather<axis=0>(voices, speaker)
  "memory.0" = Add(symbols, voice)
}
"""

# state.0 counts steps, state.1 adds up the alignment. The stop gate opens on the first frame of the last step.
_ACOUSTIC_STEP = """
step (float[1,16] frame, float[1,8] "prenet_mask.0", float[1,8] "prenet_mask.1", float[1,S,16] "memory.0",
      float[1,1] "state.0", float[1,S] "state.1")
  => (float[1,16,2] frames, float[1,2] stop_logits, float[1,S] alignment, float[1,1] "next.0", float[1,S] "next.1") {
  first = MatMul(frame, w_first)
  first_active = Relu(first)
  first_kept = Mul(first_active, "prenet_mask.0")
  second = MatMul(first_kept, w_second)
  second_active = Relu(second)
  second_kept = Mul(second_active, "prenet_mask.1")
  shape = Shape("memory.0")
  n_symbols = Gather<axis=0>(shape, index_one)
  symbols = Range(index_zero, n_symbols, index_one)
  positions = Cast<to=1>(symbols)
  at = Div("state.0", per_symbol)
  distance = Sub(positions, at)
  squared = Mul(distance, distance)
  energies = Mul(squared, minus_four)
  alignment = Softmax<axis=1>(energies)
  row = Unsqueeze(alignment, axis_one)
  context_row = MatMul(row, "memory.0")
  context = Squeeze(context_row, axis_one)
  from_context = MatMul(context, w_context)
  from_prenet = MatMul(second_kept, w_out)
  summed = Add(from_context, from_prenet)
  bent = Tanh(summed)
  level = Sub(bent, three)
  frames = Reshape(level, frames_shape)
  n_float = Cast<to=1>(n_symbols)
  total = Mul(n_float, per_symbol)
  left = Sub(total, "state.0")
  over = Sub(stop_bias, left)
  stop_logits = Mul(over, stop_gain)
  "next.0" = Add("state.0", one)
  "next.1" = Add("state.1", alignment)
}
"""

_POSTNET = """
postnet (float[1,16,T] mel) => (float[1,16,T] refined) {
  first = Conv<kernel_shape=[5], pads=[2,2]>(mel, w_first)
  bent = Tanh(first)
  second = Conv<kernel_shape=[5], pads=[2,2]>(bent, w_second)
  refined = Add(mel, second)
}
"""


def save_graph(path: Path, text: str, constants: dict[str, np.ndarray]) -> None:
    """Write a graph given as ONNX text; `constants` become its weights."""
    model = parser.parse_model(_HEADER + text)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    onnx.checker.check_model(model)
    onnx.save(model, path)


def words() -> Vocabulary:
    """The vocabulary of both sentences."""
    return build_words([BRIGHT, DARK])


def write_captioner(
    folder: Path,
    vocabulary: Vocabulary | None = None,
    sentences: tuple[str, str] = (BRIGHT, DARK),
    refuses_flat: bool = False,
    **configuration: Any,
) -> Path:
    """A captioner that says `sentences[0]` of bright pictures and `sentences[1]` of dark ones; with `refuses_flat` a
    detector comes with it, see `write_detector`."""
    vocabulary = vocabulary or words()
    constants = {
        "flat_shape": np.array([0, 3, GRID[0] * GRID[1]]),
        "both_axes": np.array([1, 2]),
        "axis_one": np.array([1]),
        "axis_two": np.array([2]),
        "none": np.array([0]),
        "zero": np.array(0, np.float32),
    }
    tables = [_following(vocabulary, sentence) for sentence in sentences]
    step_constants = {
        "both_axes": np.array([1, 2]),
        "last_axis": np.array([2]),
        "axis_one": np.array([1]),
        "half": np.array(0.5, np.float32),
        "twenty": np.array(20, np.float32),
        "one": np.array(1, np.float32),
        "bright": tables[0],
        "dark": tables[1],
    }
    with BundleWriter(
        folder,
        kind="captioner",
        cls="tiny-captioner",
        name="tiny-captioner",
        configuration={"search": {"beam_size": 2, "max_length": 12}, **configuration},
        vocabulary=vocabulary,
        picture=PICTURE,
        licence="Apache-2.0",
    ) as writer:
        save_graph(writer.path("encoder.onnx"), _CAPTIONER_ENCODER, constants)
        save_graph(writer.path("step.onnx"), _CAPTIONER_STEP, step_constants)
        if refuses_flat:
            write_detector(writer.path("photograph.npz"), refuses_flat=True)
    return folder


def write_detector(
    path: Path, threshold: float = 0.5, n_statistics: int = N_STATISTICS, refuses_flat: bool = False
) -> Path:
    """A detector of photographs that says 0.5 of everything; with `refuses_flat` it takes pictures for none whose
    neighbouring pixels are mostly equal."""
    weight = np.zeros((1, n_statistics), np.float32)
    weight[0, 0] = 10.0 if refuses_flat else 0.0
    np.savez(
        path,
        mean=np.zeros(n_statistics, np.float32),
        scale=np.ones(n_statistics, np.float32),
        limit=np.float32(4),
        threshold=np.float32(threshold),
        **{"first.weight": weight, "first.bias": np.zeros(1, np.float32)},
        **{"second.weight": -np.ones((1, 1), np.float32), "second.bias": np.full(1, 5.0 * refuses_flat, np.float32)},
    )
    return path.with_suffix(".npz")


def grainy(bright: bool = True, height: int = 40, width: int = 60) -> np.ndarray:
    """`picture` with grain, as a photograph has it."""
    noise = np.random.default_rng(0).integers(-20, 20, (height, width, 3))
    return (picture(bright, height, width) + noise).astype(np.uint8)


def flat(bright: bool = True, height: int = 40, width: int = 60) -> np.ndarray:
    """`picture` with a plain bar on it: no photograph, and not blank."""
    drawn = picture(bright, height, width)
    drawn[:, width // 3 : width // 2] = 128
    return drawn


def _following(vocabulary: Vocabulary, sentence: str) -> np.ndarray:
    """Logits (V, V): the next word of the sentence has 4, all others 0 to 1."""
    assert vocabulary.start is not None
    assert vocabulary.end is not None
    n_symbols = len(vocabulary)
    table = np.random.default_rng(0).random((n_symbols, n_symbols), dtype=np.float32)
    table[:, [vocabulary.pad, vocabulary.start]] = -20.0
    if vocabulary.unknown is not None:
        table[:, vocabulary.unknown] = -20.0
    chain = [vocabulary.start, *vocabulary.encode(sentence), vocabulary.end]
    table[chain[:-1], chain[1:]] = 6.0
    return table


def write_voice(
    folder: Path, vocabulary: Vocabulary | None = None, mel: MelSpec = MEL, stops: bool = True, **configuration: Any
) -> Path:
    """A voice of `STEPS_PER_SYMBOL` decoder steps per symbol; with `stops` False its gate never opens.

    With several `speakers` in its configuration, each sounds different.
    """
    vocabulary = vocabulary or tacotron2_characters()
    generator = np.random.default_rng(1)

    def weight(*shape: int) -> np.ndarray:
        return generator.normal(0, 0.5, shape).astype(np.float32)

    step_constants = {
        "w_first": weight(16, PRENET),
        "w_second": weight(PRENET, PRENET),
        "w_context": weight(16, 16 * REDUCTION),
        "w_out": weight(PRENET, 16 * REDUCTION),
        "frames_shape": np.array([1, 16, REDUCTION]),
        "axis_one": np.array([1]),
        "index_zero": np.array(0),
        "index_one": np.array(1),
        "per_symbol": np.array(STEPS_PER_SYMBOL, np.float32),
        "minus_four": np.array(-4, np.float32),
        "three": np.array(3, np.float32),
        "one": np.array(1, np.float32),
        "stop_bias": np.array([[1.5, 1.5]] if stops else [[-1e6, -1e6]], np.float32),
        "stop_gain": np.array(8, np.float32),
    }
    options = {
        "reduction_factor": REDUCTION,
        "prenet_dim": PRENET,
        "prenet_dropout": True,
        "stop_threshold": 0.5,
        "max_frames_per_symbol": 12,
        "postnet_context": 4,
        **configuration,
    }
    with BundleWriter(
        folder,
        kind="acoustic",
        cls="tiny-voice",
        name="tiny-voice",
        configuration=options,
        vocabulary=vocabulary,
        mel=mel,
        licence="Apache-2.0",
    ) as writer:
        embedding = {"embedding": weight(len(vocabulary), 16)}
        if len(configuration.get("speakers", ())) > 1:
            voices = np.random.default_rng(2).normal(0, 1, (len(configuration["speakers"]), 16)).astype(np.float32)
            save_graph(writer.path("encoder.onnx"), _ACOUSTIC_ENCODER_OF_SPEAKERS, {**embedding, "voices": voices})
        else:
            save_graph(writer.path("encoder.onnx"), _ACOUSTIC_ENCODER, embedding)
        save_graph(writer.path("step.onnx"), _ACOUSTIC_STEP, step_constants)
        kernels = {"w_first": 0.2 * weight(16, 16, 5), "w_second": 0.2 * weight(16, 16, 5)}
        save_graph(writer.path("postnet.onnx"), _POSTNET, kernels)
    return folder


def write_vocoder(folder: Path, mel: MelSpec = MEL) -> Path:
    """Griffin-Lim with few rounds."""
    configuration = {"n_iterations": 4, "n_mel_updates": 3}
    with BundleWriter(
        folder,
        kind="vocoder",
        cls="griffin-lim",
        name="griffin-lim",
        configuration=configuration,
        mel=mel,
        licence="Apache-2.0",
    ):
        pass
    return folder


def write_system(
    folder: Path, configuration: dict[str, Any] | None = None, units: bool = False, refuses_flat: bool = False
) -> Path:
    """A whole system: words spelled by the voice, or with `units` a captioner and a voice over the same units."""
    vocabulary = build_units(9) if units else None
    sentences = ("1 2 3 4 5", "8 7 6") if units else (BRIGHT, DARK)
    with BundleWriter(
        folder,
        kind="system",
        cls="cascade",
        name="tiny",
        configuration=configuration or {},
        parts={kind: kind for kind in ("captioner", "acoustic", "vocoder")},
        licence="Apache-2.0",
    ) as writer:
        write_captioner(writer.path("captioner"), vocabulary, sentences, refuses_flat)
        write_voice(writer.path("acoustic"), vocabulary)
        write_vocoder(writer.path("vocoder"))
    return folder


def picture(bright: bool = True, height: int = 40, width: int = 60) -> np.ndarray:
    """(H, W, 3) uint8 that the tiny captioner takes for bright or dark."""
    return np.full((height, width, 3), 230 if bright else 20, dtype=np.uint8)
