"""How much faster the folded WaveGlow is than a plain eager reading of the original, with the same weights.

    python benchmarks/waveglow.py                            400 frames, 2 threads, the public sizes
    python benchmarks/waveglow.py --frames 100 --threads 1 --repeats 3 --fold-conditions

The weights are random, in networks of the size of the public checkpoints; both read the same ones and get the same
noise, and the largest difference of their waves is printed. Figures are medians over repeats after a warm-up, the two
taking turns: seconds on the clock, and processor seconds, which suffer less from a busy machine. The foreign load is
the processor time that other processes took meanwhile, in cores. Each is set beside the largest rate that a matrix
product reaches on this machine with as many threads.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from main_job import foreign_seconds, machine
from torch import Tensor
from torch.nn import functional

from optophone.checkpoints.waveglow import waveglow_state_dict
from optophone.core.mel import MelSpec
from optophone.models.vocoders.fast_waveglow import FastWaveGlow, FastWaveGlowConfig
from optophone.models.vocoders.rows import multiply_rows
from optophone.models.vocoders.waveglow import WaveGlow, WaveGlowConfig


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


def timed(work: Callable[[], Any]) -> tuple[float, float, float]:
    """Seconds on the clock, processor seconds over the threads, and the foreign load in cores."""
    others, began, used = foreign_seconds(), time.perf_counter(), time.process_time()
    work()
    seconds, processor = time.perf_counter() - began, time.process_time() - used
    return seconds, processor / torch.get_num_threads(), max(0.0, foreign_seconds() - others) / seconds


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Both readings in turns."""
    config = WaveGlowConfig(n_channels=options.channels, n_flows=options.flows)
    model = random_waveglow(config)
    eager = EagerWaveGlow(waveglow_state_dict(model, normalised=False), config)
    fast_config = FastWaveGlowConfig(block_frames=options.block_frames, fold_conditions=options.fold_conditions)
    fast = FastWaveGlow(model, MelSpec(), fast_config)
    mel = torch.randn(1, config.n_mels, options.frames, generator=torch.Generator().manual_seed(1)) - 5
    noise = model.draw_noise(mel.new_zeros(1, 1, options.frames * config.hop_length // config.n_group))
    arrays = [draw[0].numpy() for draw in noise]
    readings: dict[str, Callable[[], Any]] = {
        "eager": lambda: eager.infer(mel, fast_config.sigma, noise)[0].numpy(),
        "fast": lambda: fast.infer(mel[0].numpy(), arrays),
    }
    waves = {name: read() for name, read in readings.items()}  # the warm-up
    timings: dict[str, list[tuple[float, float, float]]] = {name: [] for name in readings}
    for _ in range(options.repeats):
        for name, read in readings.items():
            timings[name].append(timed(read))
    peak, work = matrix_peak(), work_of(config, options.frames)
    result: dict[str, Any] = {"machine": machine(options.threads), "matrix_peak_gflops": round(peak / 1e9, 1)}
    result["audio_s"] = round(options.frames * config.hop_length / MelSpec().sample_rate, 3)
    for name, rows in timings.items():
        seconds, processor, foreign = (statistics.median(column) for column in zip(*rows, strict=True))
        result[name] = {
            "median_s": round(seconds, 3),
            "processor_s": round(processor, 3),
            "foreign_cores": round(foreign, 2),
            "real_time_factor": round(seconds / result["audio_s"], 3),
            "share_of_peak": round(work / processor / peak, 3),
        }
    for key in ("median_s", "processor_s"):
        result[f"ratio_of_{key}"] = round(result["eager"][key] / result["fast"][key], 2)
    result["largest_difference"] = float(abs(waves["eager"] - waves["fast"]).max())
    result["root_mean_square"] = float((waves["eager"] ** 2).mean() ** 0.5)
    return result


def print_table(result: dict[str, Any]) -> None:
    """The figures for people."""
    print(f"{'':6}{'median':>10}{'processor':>11}{'real time ×':>12}{'of the peak':>12}{'foreign':>9}")
    for name in ("eager", "fast"):
        row = result[name]
        print(
            f"{name:6}{row['median_s']:>8.2f} s{row['processor_s']:>9.2f} s{row['real_time_factor']:>12.2f}"
            f"{row['share_of_peak']:>12.0%}{row['foreign_cores']:>9.2f}"
        )
    print(f"{result['ratio_of_median_s']:.2f}× faster, {result['ratio_of_processor_s']:.2f}× by processor seconds")
    print(f"largest difference {result['largest_difference']:.1e}, waves of {result['root_mean_square']:.2f} rms")
    here = result["machine"]
    print(f"{here['processor']}, {here['threads']} of {here['cores']} threads, {result['matrix_peak_gflops']} GFLOP/s")
    print("The peak's share counts the operations of the plain reading, so folding may pass 100 %.")


def main() -> None:
    """Measure, print a table, write JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--channels", type=int, default=256)
    parser.add_argument("--flows", type=int, default=12)
    parser.add_argument("--block-frames", type=int, default=FastWaveGlowConfig().block_frames)
    parser.add_argument("--fold-conditions", action="store_true")
    parser.add_argument("-o", "--output", type=Path, help="a JSON file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    result = measure(options)
    if options.output:
        options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print_table(result)


if __name__ == "__main__":
    main()
