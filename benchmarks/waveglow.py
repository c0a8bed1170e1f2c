"""How much faster WaveGlow is than a plain eager reading of the original, with the same weights.

    python benchmarks/waveglow.py -o docs/results/waveglow-speed.json       400 frames, 2 threads, the public sizes
    python benchmarks/waveglow.py --frames 100 --flows 2 --repeats 3 --bundle BUNDLE

Against it run the folded flows in PyTorch ("folded") and the bundles that users get, in float32 and in eight bits. The
weights are random, in networks of the size of the public checkpoints; all sides read the same ones and get the same
noise. How far their waves are from the plain reading's is printed: at most, and the root mean square of the difference
over that of the wave. Random weights make no speech, so what eight bits do to a spectrum is known of trained ones only:
`--bundle` names a WaveGlow of eight bits, and what its export measured is printed too.

Figures are medians over repeats after a warm-up, the sides taking turns: seconds on the clock, and processor seconds a
thread, which suffer less from a busy machine. The foreign load is the processor time that other processes took
meanwhile, in cores. Each is set beside the largest rate that a matrix product of its numbers (float32, or bytes)
reaches on this machine with as many threads.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from main_job import machine
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor
from torch.nn import functional
from turns import Timing, options_of, place, run, take_turns, timed

from optophone.checkpoints.waveglow import waveglow_state_dict
from optophone.core.bundle import Bundle, open_bundle
from optophone.core.mel import MelSpec
from optophone.export.import_facts import ImportFacts
from optophone.export.vocoder import TrainedVocoder, write_unchecked
from optophone.export.waveglow_graph import WaveGlowGraph
from optophone.models.vocoders.fast_waveglow import FastWaveGlow, FastWaveGlowConfig
from optophone.models.vocoders.rows import multiply_rows
from optophone.models.vocoders.waveglow import WaveGlow, WaveGlowConfig
from optophone.runtime.onnx_vocoder import VOCODER_GRAPH, OnnxVocoder
from optophone.runtime.session import Graph, SessionConfig

PLAIN, FOLDED, RUNTIME, RUNTIME_INT8 = "plain", "folded", "ONNX Runtime", "ONNX Runtime, int8"


class EagerWaveGlow:
    """The original's inference read plainly: its weights without weight norm, one convolution after another."""

    def __init__(self, weights: Mapping[str, Tensor], config: WaveGlowConfig) -> None:
        self.weights, self.config = weights, config
        self.inverses = [
            torch.linalg.inv(weights[f"convinv.{k}.conv.weight"][:, :, 0])[:, :, None] for k in range(config.n_flows)
        ]

    @torch.inference_mode()
    def infer(self, mel: Tensor, sigma: float, noise: Sequence[Tensor]) -> Tensor:
        """(B, N) samples of `mel` (B, M, T)."""
        config, draws = self.config, iter(noise)
        mel = self._convolve("upsample", mel, functional.conv_transpose1d, stride=config.hop_length)
        mel = mel[:, :, : config.hop_length - config.upsample_kernel_size]
        steps = mel.unfold(2, config.n_group, config.n_group).permute(0, 2, 1, 3)
        conditions = steps.contiguous().view(steps.shape[0], steps.shape[1], -1).permute(0, 2, 1)
        audio = sigma * next(draws)
        for k in reversed(range(config.n_flows)):
            half = audio.shape[1] // 2
            audio_0, audio_1 = audio[:, :half], audio[:, half:]
            output = self._network(f"WN.{k}", audio_0, conditions)
            audio_1 = (audio_1 - output[:, :half]) / torch.exp(output[:, half:])
            audio = functional.conv1d(torch.cat((audio_0, audio_1), 1), self.inverses[k])
            if k % config.early_every == 0 and k > 0:
                audio = torch.cat((sigma * next(draws), audio), 1)
        return audio.permute(0, 2, 1).contiguous().view(audio.shape[0], -1)

    def _network(self, name: str, audio: Tensor, conditions: Tensor) -> Tensor:
        n, n_layers = self.config.n_channels, self.config.n_layers
        audio = self._convolve(f"{name}.start", audio)
        output = torch.zeros_like(audio)
        conditions = self._convolve(f"{name}.cond_layer", conditions)
        for i in range(n_layers):
            padding = 2**i * (self.config.kernel_size // 2)
            found = self._convolve(f"{name}.in_layers.{i}", audio, padding=padding, dilation=2**i)
            found = found + conditions[:, i * 2 * n : (i + 1) * 2 * n]
            found = torch.tanh(found[:, :n]) * torch.sigmoid(found[:, n:])
            found = self._convolve(f"{name}.res_skip_layers.{i}", found)
            if i < n_layers - 1:
                audio = audio + found[:, :n]
            output = output + found[:, -n:]
        return self._convolve(f"{name}.end", output)

    def _convolve(
        self, name: str, x: Tensor, kind: Callable[..., Tensor] = functional.conv1d, **options: int
    ) -> Tensor:
        return kind(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], **options)


def random_waveglow(config: WaveGlowConfig) -> WaveGlow:
    """A WaveGlow whose flows do something: its last convolutions begin at zero, these do not."""
    torch.manual_seed(0)
    model = WaveGlow(config).eval().requires_grad_(False)
    for network in model.couplings:
        end: Any = network.end
        end.weight.normal_(std=0.5 / config.n_channels**0.5)
    return model


def work_of(config: WaveGlowConfig, n_frames: int) -> float:
    """Operations that the plain reading takes for `n_frames`, a multiplication with its addition being two."""
    n, n_mels = config.n_channels, config.n_mels
    a_step = 0
    for channels in config.flow_channels:
        layers = (
            config.n_layers * (2 * n * n * config.kernel_size + 2 * n * n + 2 * n * n_mels * config.n_group) - n * n
        )
        a_step += channels // 2 * n + layers + channels * n + channels**2
    a_frame = a_step * config.hop_length / config.n_group + n_mels**2 * config.upsample_kernel_size
    return 2.0 * a_frame * n_frames


def matrix_peak() -> float:
    """Operations a second of the fastest matrix product of this machine with the threads at hand."""
    best = 0.0
    for n in (512, 1024, 2048):
        a, b, bias = torch.randn(n, n), torch.randn(n, n), torch.randn(n)
        products: list[Callable[[], Tensor]] = [lambda: a @ b, lambda: multiply_rows(a, b, bias)]  # noqa: B023
        for product in products:
            product()
            for _ in range(5):
                _, seconds, _ = timed(product)
                best = max(best, 2.0 * n**3 / seconds)
    return best


def byte_peak(folder: Path, threads: int) -> float:
    """The same of products of bytes, in ONNX Runtime."""
    best = 0.0
    for n in (512, 1024, 2048):
        graph = helper.make_graph(
            [helper.make_node("MatMulInteger", ["x", "w"], ["y"])],
            "product",
            [helper.make_tensor_value_info("x", TensorProto.UINT8, [n, n])],
            [helper.make_tensor_value_info("y", TensorProto.INT32, [n, n])],
            [numpy_helper.from_array(np.full((n, n), -100, np.int8), "w")],
        )
        path = folder / "product.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
        product, feeds = Graph(path, SessionConfig(threads=threads)), {"x": np.full((n, n), 100, np.uint8)}
        product.run(feeds)
        for _ in range(8):
            best = max(best, 2.0 * n**3 / timed(lambda: product.run(feeds))[0])  # noqa: B023
    return best


def write_bundles(model: WaveGlow, folder: Path) -> dict[str, Bundle]:
    """The model as users run it."""
    trained = TrainedVocoder(model, MelSpec(), ImportFacts("benchmark", "waveglow", "", ""), denoise=0.0)
    graph = WaveGlowGraph(model)
    exact = write_unchecked(trained, graph, folder / "fp32")
    return {RUNTIME: exact, RUNTIME_INT8: write_unchecked(trained, graph, folder / "int8", exact.file(VOCODER_GRAPH))}


def readings_of(model: WaveGlow, options: argparse.Namespace, folder: Path) -> dict[str, Callable[[], np.ndarray]]:
    """What is timed: the same mel and noise to waves (N,)."""
    config = model.config
    eager = EagerWaveGlow(waveglow_state_dict(model, normalised=False), config)
    fast_config = FastWaveGlowConfig(block_frames=options.block_frames, fold_conditions=options.fold_conditions)
    sigma, fast = fast_config.sigma, FastWaveGlow(model, MelSpec(), fast_config)
    mel = torch.randn(1, config.n_mels, options.frames, generator=torch.Generator().manual_seed(1)) - 5
    noise = model.draw_noise(mel.new_zeros(1, 1, options.frames * config.hop_length // config.n_group))
    values, arrays = mel[0].numpy(), [draw[0].numpy() for draw in noise]
    readings = {
        PLAIN: lambda: eager.infer(mel, sigma, noise)[0].numpy(),
        FOLDED: lambda: fast.infer(values, arrays),
    }
    for name, bundle in {} if options.no_runtime else write_bundles(model, folder).items():
        vocoder = OnnxVocoder(bundle, options.threads)
        readings[name] = lambda vocoder=vocoder: vocoder.infer(values, arrays, sigma, options.portion)
    return readings


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All sides in turns."""
    config = WaveGlowConfig(n_channels=options.channels, n_flows=options.flows)
    with tempfile.TemporaryDirectory() as folder:
        readings = readings_of(random_waveglow(config), options, Path(folder))
        waves = {name: read() for name, read in readings.items()}  # the warm-up
        timings = take_turns(readings, options.repeats)
        peaks = {"matrix_peak_gflops": matrix_peak(), "byte_peak_gops": byte_peak(Path(folder), options.threads)}
    spec = MelSpec()
    result: dict[str, Any] = {
        "machine": machine(options.threads) | {"torch": torch.__version__},
        "channels": config.n_channels,
        "flows": config.n_flows,
        "frames": options.frames,
        "audio_s": round(options.frames * spec.hop_length / spec.sample_rate, 3),
        "root_mean_square": float((waves[PLAIN] ** 2).mean() ** 0.5),
        **{name: round(peak / 1e9, 1) for name, peak in peaks.items()},
        "sides": {},
    }
    work = work_of(config, options.frames)
    for name, rows in timings.items():
        peak = peaks["byte_peak_gops" if name == RUNTIME_INT8 else "matrix_peak_gflops"]
        result["sides"][name] = figures(rows, result["audio_s"], work / peak) | apart(waves[name], waves[PLAIN])
    for row in result["sides"].values():
        for key, ratio in (("median_s", "times_faster"), ("processor_s", "times_less_processor")):
            row[ratio] = round(result["sides"][PLAIN][key] / row[key], 2)
    if options.bundle:
        result["trained"] = dict(open_bundle(options.bundle).manifest.configuration.get("export", {}))
    return result


def figures(rows: list[Timing], audio_s: float, at_peak_s: float) -> dict[str, float]:
    """Medians of one side."""
    seconds, processor, foreign = (statistics.median(column) for column in zip(*rows, strict=True))
    return {
        "median_s": round(seconds, 3),
        "processor_s": round(processor, 3),
        "foreign_cores": round(foreign, 2),
        "real_time_factor": round(seconds / audio_s, 3),
        "share_of_peak": round(at_peak_s / processor, 3),
    }


def apart(wave: np.ndarray, plain: np.ndarray) -> dict[str, float]:
    """How far a wave (N,) is from the plain reading's."""
    error = float(np.square(wave - plain).mean() / np.square(plain).mean())
    return {"largest_difference": float(abs(wave - plain).max()), "relative_error": error**0.5}


def print_table(result: dict[str, Any]) -> None:
    """The figures for people."""
    print(
        f"{'':20}{'median':>10}{'processor':>11}{'real time ×':>12}{'of the peak':>12}{'faster':>8}{'processor':>10}"
        f"{'foreign':>9}{'off by':>10}{'relative':>10}"
    )
    for name, row in result["sides"].items():
        print(
            f"{name:20}{row['median_s']:>8.2f} s{row['processor_s']:>9.2f} s{row['real_time_factor']:>12.2f}"
            f"{row['share_of_peak']:>12.0%}{row['times_faster']:>7.2f}×{row['times_less_processor']:>9.2f}×"
            f"{row['foreign_cores']:>9.2f}{row['largest_difference']:>10.1e}{row['relative_error']:>10.1e}"
        )
    print(
        f"{place(result)}, {result['matrix_peak_gflops']} GFLOP/s, "
        f"{result['byte_peak_gops']} GOP/s of bytes; waves of {result['root_mean_square']:.2f} rms"
    )
    print("The peak's share counts the operations of the plain reading, so folding may pass 100 %.")
    if "trained" in result:
        found = result["trained"]
        print(
            f"trained, eight bits: mel off by {found.get('spectral_error', float('nan')):.3f} (ln), "
            f"{found.get('signal_to_error_db', float('nan')):.1f} dB of signal to error"
        )


def main() -> None:
    """Measure, print a table, write JSON where asked to."""
    parser = options_of(__doc__, repeats=5)
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--channels", type=int, default=256)
    parser.add_argument("--flows", type=int, default=12)
    parser.add_argument(
        "--block-frames", type=int, default=FastWaveGlowConfig().block_frames, help="of the folded side"
    )
    parser.add_argument("--fold-conditions", action="store_true", help="of the folded side")
    parser.add_argument("--portion", type=int, help="frames that go through a graph together; default: the bundle's")
    parser.add_argument("--no-runtime", action="store_true", help="leave out the bundles")
    parser.add_argument("--bundle", type=Path, help="a trained WaveGlow of eight bits")
    print_table(run(parser, measure))


if __name__ == "__main__":
    main()
