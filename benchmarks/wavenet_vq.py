"""How much faster WaveNet-VQ's decoder draws when it remembers, beside working out every sample from its whole window.

    python benchmarks/wavenet_vq.py                                 the network of configs/units, 1 thread
    python benchmarks/wavenet_vq.py --published --output mu-law     the sizes of Chorowski et al. 2019
    python benchmarks/wavenet_vq.py --waves 8                       eight utterances at once

The weights are random. Both readings draw from the same weights, conditions and uniform numbers: the plain one passes
the window of samples that the next one depends on through the network of the training and keeps its last output. The
two take turns after a warm-up; figures are medians over repeats: samples a second on the clock and a processor second,
which suffers less from a busy machine. The largest difference of what both say the next sample may be is printed. The
foreign load is the processor time that other processes took meanwhile, in cores.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from main_job import machine
from turns import Side, place, timed

from optophone.models.units.fast_wavenet import FastWaveNet
from optophone.models.units.sample_distributions import N_UNIFORMS
from optophone.models.units.wavenet import WaveNet, WaveNetConfig

SAMPLES_PER_CONDITION, SAMPLE_RATE = 640, 16000


class PlainDrawing:
    """Draws every sample from a window of the samples before it, as long as the network's reach.

    What conditions add to the layers is worked out once, as it would be in any reading.
    """

    @torch.inference_mode()
    def __init__(self, network: WaveNet, conditions: torch.Tensor) -> None:
        self.network, self.conditions = network, network.condition(conditions)
        # One condition a sample, so that a window may begin anywhere.
        self.by_sample = WaveNet(network.config, conditions.shape[1], 1).eval()
        self.by_sample.load_state_dict(network.state_dict())
        self.by_sample.condition = torch.nn.Identity()  # type: ignore[assignment]

    @torch.inference_mode()
    def step(self, wave: torch.Tensor, n: int) -> np.ndarray:
        """What sample `n` of `wave` (B, N) may be, (B, O), given those before it."""
        first = max(0, n + 1 - self.network.config.reach)
        window = torch.nn.functional.pad(wave[:, first:n], (0, 1))  # the last one is not looked at
        told = self.conditions[:, :, torch.arange(first, n + 1) // SAMPLES_PER_CONDITION]
        return self.by_sample(window, told)[:, :, -1].numpy()


def rates(work: Side, n: int) -> dict[str, float]:
    """Samples a second, on the clock and of the processor, of `work`, which draws `n`; the foreign load in cores."""
    seconds, processor, foreign = timed(work)
    return {"samples_per_s": n / seconds, "samples_per_processor_s": n / processor, "foreign_cores": foreign}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Both readings in turns."""
    small = WaveNetConfig(n_channels=48, n_skip=64, n_cycles=2, layers_per_cycle=9, output=options.output)
    config = WaveNetConfig(output=options.output) if options.published else small
    torch.manual_seed(0)
    network = WaveNet(config, 160 if options.published else 56, SAMPLES_PER_CONDITION).eval()
    n_conditions = -(-(config.reach + options.samples) // SAMPLES_PER_CONDITION)
    conditions = torch.randn(options.waves, network.condition.in_channels, n_conditions)
    n_before = config.reach + 1  # so that every window is a whole one
    uniforms = np.random.default_rng(0).random((options.samples, options.waves, N_UNIFORMS))
    before = 0.1 * torch.randn(options.waves, n_before)
    fast, plain = FastWaveNet(network), PlainDrawing(network, conditions)

    def draw_fast(n_samples: int) -> Callable[[], np.ndarray]:
        stream, previous = fast.begin(conditions), np.zeros(options.waves)
        for n in range(n_before):  # not timed
            stream.step(previous)
            previous = before[:, n].numpy()

        def draw() -> np.ndarray:
            sample, outputs = previous, np.zeros(0)
            for n in range(n_samples):
                outputs = stream.step(sample)
                sample = network.samples.draw(outputs, uniforms[n], 1.0)
            return outputs

        return draw

    def draw_plain(n_samples: int) -> Callable[[], np.ndarray]:
        def draw() -> np.ndarray:
            wave, outputs = before, np.zeros(0)
            for n in range(n_samples):
                outputs = plain.step(wave, wave.shape[1])
                sample = network.samples.draw(outputs, uniforms[n], 1.0)
                wave = torch.cat((wave, torch.from_numpy(sample)[:, None].float()), dim=1)
            return outputs

        return draw

    difference = float(np.abs(draw_fast(4)() - draw_plain(4)()).max())  # the warm-up, too
    rows: dict[str, list[dict[str, float]]] = {"plain": [], "remembering": []}
    for _ in range(options.repeats):
        rows["plain"].append(rates(draw_plain(options.plain_samples), options.plain_samples * options.waves))
        rows["remembering"].append(rates(draw_fast(options.samples), options.samples * options.waves))
    result: dict[str, Any] = {"machine": machine(options.threads), "published": options.published}
    result |= {"output": options.output, "waves": options.waves, "reach": config.reach}
    for name, found in rows.items():
        result[name] = {key: round(statistics.median(row[key] for row in found), 2) for key in found[0]}
    for key in ("samples_per_s", "samples_per_processor_s"):
        result[f"ratio_of_{key}"] = round(result["remembering"][key] / result["plain"][key], 1)
    result["real_time_factor"] = round(SAMPLE_RATE / result["remembering"]["samples_per_s"], 3)
    result["largest_difference"] = difference
    return result


def print_table(result: dict[str, Any]) -> None:
    """The figures for people."""
    print(f"{'':12}{'samples/s':>12}{'a processor s':>15}{'foreign cores':>15}")
    for name in ("plain", "remembering"):
        row = result[name]
        print(
            f"{name:12}{row['samples_per_s']:>12,.1f}{row['samples_per_processor_s']:>15,.1f}{row['foreign_cores']:>15.2f}"
        )
    ratio, by_processor = result["ratio_of_samples_per_s"], result["ratio_of_samples_per_processor_s"]
    print(f"{ratio:.0f}× faster, {by_processor:.0f}× by processor seconds")
    print(
        f"{result['real_time_factor']:.2f} s a second of sound; largest difference {result['largest_difference']:.1e}"
    )
    print(f"{place(result)}, {result['waves']} at once")


def main() -> None:
    """Measure, print a table, write JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--published", action="store_true", help="the published sizes, 20 layers of 368 channels")
    parser.add_argument(
        "--output", choices=("mu-law", "logistics"), default="mu-law", help="what a sample is drawn from"
    )
    parser.add_argument("--waves", type=int, default=1, help="utterances at once")
    parser.add_argument("--samples", type=int, default=4000, help="that remembering draws in a repeat")
    parser.add_argument("--plain-samples", type=int, default=10, help="that the plain reading draws in a repeat")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch; set OMP_NUM_THREADS alike for NumPy")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("-o", "--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    result = measure(options)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print_table(result)


if __name__ == "__main__":
    main()
