"""What benchmarks of sides that take turns share: options, timing, the file and the line about the machine."""

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from main_job import foreign_seconds

Side = Callable[[], Any]
Timing = tuple[float, float, float]


def timed(work: Side) -> Timing:
    """Seconds on the clock, processor seconds over the threads, and the foreign load in cores."""
    others, began, used = foreign_seconds(), time.perf_counter(), time.process_time()
    work()
    seconds, processor = time.perf_counter() - began, time.process_time() - used
    return seconds, processor / torch.get_num_threads(), max(0.0, foreign_seconds() - others) / seconds


def take_turns(sides: Mapping[str, Side], repeats: int) -> dict[str, list[Timing]]:
    """Each side once a round."""
    timings: dict[str, list[Timing]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, side in sides.items():
            timings[name].append(timed(side))
    return timings


def options_of(description: str | None, repeats: int) -> argparse.ArgumentParser:
    """The options that every benchmark takes."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--repeats", type=int, default=repeats)
    parser.add_argument("-o", "--output", type=Path, help="a JSON file")
    return parser


def run(parser: argparse.ArgumentParser, measure: Callable[[argparse.Namespace], dict[str, Any]]) -> dict[str, Any]:
    """What is measured with the options that users give; written as JSON where they ask for it."""
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    result = measure(options)
    if options.output:
        options.output.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return result


def place(result: Mapping[str, Any]) -> str:
    """Where the figures were taken."""
    here = result["machine"]
    return f"{here['processor']}, {here['threads']} of {here['cores']} threads"
