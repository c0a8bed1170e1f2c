"""How fast vocoders' bundles are: seconds of processor and clock for each second of speech, whole and streamed.

    python benchmarks/vocoders.py BUNDLE... [--seconds 4.64] [--threads 1] [--repeats 7] [-o FILE.json]

Each speaks the same mel: a chirp with noise, whose content does not matter to their speed. A warm-up, then medians over
repeats in which the bundles take turns. `first` is the time to the first samples of a stream that gets all of its mel
at once.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from main_job import foreign_seconds, machine

from optophone.core.bundle import open_bundle
from optophone.core.mel import log_mel
from optophone.core.protocols import Vocoder
from optophone.core.whole_file import write_whole
from optophone.runtime.load import load_vocoder


def measure(vocoder: Vocoder, mel: np.ndarray) -> dict[str, float]:
    """Clock and processor seconds of the whole wave, and clock seconds to the first samples of a stream."""
    clock, processor = time.perf_counter(), time.process_time()
    vocoder.wave(mel)
    whole = {"clock_s": time.perf_counter() - clock, "processor_s": time.process_time() - processor}
    clock = time.perf_counter()
    next(iter(vocoder.stream([mel])))
    return {**whole, "first_s": time.perf_counter() - clock}


def speech_like(seconds: float, vocoder: Vocoder) -> np.ndarray:
    """A mel (M, T) of a rising tone in noise."""
    spec = vocoder.mel_spec
    at = np.arange(round(seconds * spec.sample_rate)) / spec.sample_rate
    noise = np.random.default_rng(0).normal(0, 0.01, len(at))
    return log_mel(0.3 * np.sin(2 * np.pi * (200 + 100 * at) * at) + noise, spec)


def main() -> None:
    """Measure and print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--seconds", type=float, default=4.64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    opened = {path.name: open_bundle(path) for path in options.bundles}
    vocoders = {f"{one.manifest.cls} ({name})": load_vocoder(one, options.threads) for name, one in opened.items()}
    mels = {name: speech_like(options.seconds, vocoder) for name, vocoder in vocoders.items()}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in vocoders}
    clock, foreign = time.perf_counter(), foreign_seconds()
    for repeat in range(options.repeats + 1):
        for name, vocoder in vocoders.items():
            one = measure(vocoder, mels[name])
            if repeat:
                found[name].append(one)
    load = (foreign_seconds() - foreign) / (time.perf_counter() - clock)
    result = report(found, options, load)
    if options.output:
        write_whole(options.output, (json.dumps(result, indent=1) + "\n").encode())


def report(found: dict[str, list[dict[str, float]]], options: argparse.Namespace, load: float) -> dict[str, Any]:
    """Print a line for each bundle; returns everything."""
    print(f"{options.seconds:g} s of speech, {options.threads} threads, foreign load {load:.2f} cores")
    sides = {}
    for name, runs in found.items():
        middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        middle["real_time_factor"] = middle["clock_s"] / options.seconds
        sides[name] = {key: round(value, 5) for key, value in middle.items()}
        print(f"{name:50} real-time factor {middle['real_time_factor']:.4f}  first samples {middle['first_s']:.4f} s")
    facts = {"seconds": options.seconds, "threads": options.threads, "repeats": options.repeats}
    return {**facts, "machine": machine(options.threads), "foreign_load": round(load, 2), "vocoders": sides}


if __name__ == "__main__":
    main()
