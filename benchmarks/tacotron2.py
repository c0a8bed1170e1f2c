"""How much faster Tacotron 2 speaks than a plain eager reading of the original, with the same weights.

    python benchmarks/tacotron2.py -o docs/results/tacotron2-speed.json      400 frames, 2 threads, the public sizes
    python benchmarks/tacotron2.py --frames 100 --threads 1 --repeats 3

The weights are random, in a network of the size of the public checkpoints whose stop gate never opens; all sides have
the same ones, and are first run with the same dropout masks, so that their mels can be compared. `plain_tacotron2.py`
says what plain means. Every side does the whole work: symbols to memory, one step a frame, the postnet.

A step waits for its weights: 73 MB in float32, far more than it computes. So each figure stands beside the largest rate
at which a matrix-vector product reads a matrix that no cache holds, and its share is what the plain reading has to read
for those frames in the time taken, over that rate. Eight bits pass it, as all of them fit into the cache.

Figures are medians over repeats after a warm-up, the sides taking turns: seconds on the clock, and processor seconds of
all threads together, which suffer less from a busy machine. The foreign load is the processor time that other processes
took meanwhile, in cores; figures taken beside a foreign load above .1 say little.
"""

import argparse
import dataclasses
import itertools
import math
import statistics
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from main_job import machine
from plain_tacotron2 import PlainTacotron2
from torch import Tensor
from turns import Side, Timing, options_of, place, run, take_turns, timed

from optophone.checkpoints.tacotron2 import tacotron2_state_dict
from optophone.core.bundle import open_bundle
from optophone.core.mel import MelSpec
from optophone.core.vocabulary import tacotron2_characters
from optophone.export.acoustic import TrainedAcoustic, export_acoustic
from optophone.export.import_facts import ImportFacts
from optophone.export.training_facts import Precision
from optophone.models.acoustic.tacotron2 import Tacotron2, Tacotron2Config
from optophone.models.linear import linear
from optophone.runtime.onnx_acoustic import OnnxAcoustic, _prenet_masks

PLAIN, OURS = "plain", "ours"
RUNTIME: dict[Precision, str] = {"fp32": "ONNX Runtime", "int8": "ONNX Runtime, int8"}
MATRIX = 8192  # rows and columns of what is read for the rate: 268 MB


def random_tacotron2(config: Tacotron2Config) -> Tacotron2:
    """A model that never stops, and whose mels spread about as far as those of speech."""
    torch.manual_seed(0)
    model = Tacotron2(config).eval().requires_grad_(False)
    model.decoder.stop.bias.fill_(-100.0)
    model.decoder.projection.weight *= 40
    model.decoder.projection.bias.fill_(-5.0)
    return model


def export(model: Tacotron2, ids: np.ndarray, folder: Path, n_frames: int, threads: int) -> dict[str, OnnxAcoustic]:
    """The model as users run it, speaking `n_frames` whatever happens."""
    facts = ImportFacts("benchmark", "tacotron2", "", "")
    trained = TrainedAcoustic(model, tacotron2_characters(), MelSpec(), facts)
    export_acoustic(trained, folder, "int8", [ids])
    found = {}
    for precision, name in RUNTIME.items():
        acoustic = OnnxAcoustic(open_bundle(folder / precision), threads)
        forced = {"max_frames": n_frames, "max_frames_per_symbol": 0.0, "max_tail_s": math.inf, "tries": 1}
        acoustic.config = dataclasses.replace(acoustic.config, **forced)  # type: ignore[arg-type]
        found[name] = acoustic
    return found


def sides_of(model: Tacotron2, runtime: dict[str, OnnxAcoustic], ids: np.ndarray, n_frames: int) -> dict[str, Side]:
    """What is timed."""
    plain = PlainTacotron2(model.config).eval()
    plain.load_state_dict(tacotron2_state_dict(model))
    symbols = torch.from_numpy(ids)[None]
    sides: dict[str, Side] = {
        PLAIN: lambda: plain.infer(symbols, n_frames),
        OURS: lambda: model.infer(symbols, max_frames=n_frames),
    }
    for name, acoustic in runtime.items():
        sides[name] = lambda acoustic=acoustic: acoustic.mel(ids)  # type: ignore[misc]
    return sides


def mels_of(
    model: Tacotron2, runtime: dict[str, OnnxAcoustic], ids: np.ndarray, n_frames: int
) -> dict[str, np.ndarray]:
    """The mels (M, T) of all sides from the same dropout masks."""
    drawn = itertools.islice(_prenet_masks(next(iter(runtime.values())).config, seed=0), n_frames)
    masks = [(torch.from_numpy(first), torch.from_numpy(second)) for first, second in drawn]
    symbols = torch.from_numpy(ids)[None]
    plain = PlainTacotron2(model.config).eval()
    plain.load_state_dict(tacotron2_state_dict(model))
    together = [torch.stack([pair[i] for pair in masks]) for i in range(2)]
    found = {
        PLAIN: plain.infer(symbols, n_frames, masks)[0].numpy(),
        OURS: model.infer(symbols, prenet_masks=together, max_frames=n_frames).mel_after[0].numpy(),
    }
    return found | {name: acoustic.mel(ids).mel for name, acoustic in runtime.items()}


def differences(mels: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """How far each side's mel is from the plain one's, ln units."""
    plain = mels[PLAIN]
    return {
        name: {"largest_difference": float(abs(mel - plain).max()), "mean_difference": float(abs(mel - plain).mean())}
        for name, mel in mels.items()
        if name != PLAIN
    }


def reading_rate() -> float:
    """Bytes a second of the fastest matrix-vector product of this machine with the threads at hand."""
    matrix, row = torch.randn(MATRIX, MATRIX), torch.randn(1, MATRIX)
    products: list[Callable[[], Tensor]] = [lambda: matrix @ row[0], lambda: linear(row, matrix)]
    best = 0.0
    for product in products:
        product()
        for _ in range(8):
            best = max(best, matrix.numel() * matrix.element_size() / timed(product)[0])
    return best


def bytes_of_a_step(model: Tacotron2) -> int:
    """What the plain reading has to read for a step."""
    own = (tensor for name, tensor in tacotron2_state_dict(model).items() if name.startswith("decoder."))
    beforehand = model.decoder.attention.memory.weight.numel()
    return 4 * (sum(tensor.numel() for tensor in own) - beforehand)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All sides in turns."""
    model = random_tacotron2(Tacotron2Config())
    ids = np.random.default_rng(0).integers(11, 64, options.symbols)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about speech without an end
        runtime = export(model, ids, Path(folder), options.frames, options.threads)
        mels = mels_of(model, runtime, ids, options.frames)  # the warm-up
        timings = take_turns(sides_of(model, runtime, ids, options.frames), options.repeats)
    spec = MelSpec()
    result: dict[str, Any] = {
        "machine": machine(options.threads) | {"torch": torch.__version__},
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "frames": options.frames,
        "audio_s": round(options.frames * spec.hop_length / spec.sample_rate, 3),
        "repeats": options.repeats,
        "reading_gb_per_s": round(reading_rate() / 1e9, 1),
        "mb_of_a_step": round(bytes_of_a_step(model) / 1e6, 1),
        "mel_spread": float(mels[PLAIN].std()),
        "sides": {name: figures(rows, options) for name, rows in timings.items()},
    }
    return completed(result, differences(mels))


def figures(rows: list[Timing], options: argparse.Namespace) -> dict[str, float]:
    """Medians of one side; `timed` gives processor seconds a thread."""
    seconds, processor, foreign = (statistics.median(column) for column in zip(*rows, strict=True))
    return {
        "median_s": round(seconds, 4),
        "min_s": round(min(row[0] for row in rows), 4),
        "processor_s": round(processor * options.threads, 4),
        "foreign_cores": round(foreign, 2),
    }


def completed(result: dict[str, Any], apart: dict[str, dict[str, float]]) -> dict[str, Any]:
    """With what follows from the medians."""
    read = 1e6 * result["mb_of_a_step"] * result["frames"]
    plain = result["sides"][PLAIN]
    for name, row in result["sides"].items():
        row["real_time_factor"] = round(row["median_s"] / result["audio_s"], 4)
        row["share_of_reading"] = round(read / row["median_s"] / (1e9 * result["reading_gb_per_s"]), 3)
        if name != PLAIN:
            row["times_faster"] = round(plain["median_s"] / row["median_s"], 2)
            row["times_less_processor"] = round(plain["processor_s"] / row["processor_s"], 2)
            row |= apart[name]
    return result


def print_table(result: dict[str, Any]) -> None:
    """The figures for people."""
    print(
        f"{'':20}{'median':>9}{'least':>9}{'processor':>11}{'real time ×':>12}{'of reading':>11}{'faster':>8}"
        f"{'processor':>11}{'foreign':>9}{'mel off by at most (mean)':>28}"
    )
    for name, row in result["sides"].items():
        line = (
            f"{name:20}{row['median_s']:>7.3f} s{row['min_s']:>7.3f} s{row['processor_s']:>9.3f} s"
            f"{row['real_time_factor']:>12.3f}{row['share_of_reading']:>11.0%}"
        )
        if name != PLAIN:
            line += f"{row['times_faster']:>7.2f}×{row['times_less_processor']:>10.2f}×{row['foreign_cores']:>9.2f}"
            line += f"{row['largest_difference']:>17.1e} ({row['mean_difference']:.1e})"
        else:
            line += f"{'':8}{'':11}{row['foreign_cores']:>9.2f}"
        print(line)
    print(
        f"{result['parameters']:,} parameters, {result['mb_of_a_step']} MB a step, {result['frames']} frames "
        f"({result['audio_s']} s), mels that spread by {result['mel_spread']:.2f}"
    )
    print(f"{place(result)}, {result['reading_gb_per_s']} GB/s")


def main() -> None:
    """Measure, print a table, write JSON where asked to."""
    parser = options_of(__doc__, repeats=9)
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--symbols", type=int, default=60, help="of the text")
    print_table(run(parser, measure))


if __name__ == "__main__":
    main()
