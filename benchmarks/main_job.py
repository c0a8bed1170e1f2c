"""How long the main job takes: a photo to its first sound, to its whole wave, and the command from nothing.

    python benchmarks/main_job.py                         the embedded default, the example pictures
    python benchmarks/main_job.py -m BUNDLE --photos ~/photos/*.jpg --repeats 9 -o result.json

Every figure is the median over repeats, after one warm-up. The threads are stated, and so is the foreign load: the
processor time that other processes took meanwhile, in cores. Figures taken beside a foreign load above .1 say little.
Where PyTorch is installed and knows the networks of the bundle, they run in eager PyTorch in the same run, made to take
as many steps as the bundle took, so that both do the same work.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# Of processors, as Linux names them: what eight bits and bfloat16 are fast with, and slow without.
INSTRUCTIONS = ("avx2", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8", "asimddp", "i8mm", "bf16")


@dataclass
class Timings:
    """Seconds of repeated runs."""

    seconds: list[float] = field(default_factory=list)
    foreign_cores: list[float] = field(default_factory=list)

    def add(self, work: Callable[[], object]) -> None:
        """Run `work` once and note its time, and what others took meanwhile."""
        others, began = foreign_seconds(), time.perf_counter()
        work()
        took = time.perf_counter() - began
        self.seconds.append(took)
        self.foreign_cores.append(max(0.0, foreign_seconds() - others) / took)

    def to_json(self) -> dict[str, float]:
        """Median, fastest and slowest in seconds, and the median foreign load in cores."""
        return {
            "median_s": round(statistics.median(self.seconds), 4),
            "min_s": round(min(self.seconds), 4),
            "max_s": round(max(self.seconds), 4),
            "foreign_cores": round(statistics.median(self.foreign_cores), 2),
        }


def foreign_seconds() -> float:
    """Processor seconds taken by everything but this process and its children, since some time; 0 where unknown."""
    try:
        fields = [int(value) for value in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    except OSError:
        return 0.0
    busy = sum(fields[:3]) + sum(fields[5:8])  # without idle and waiting for disks
    own = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return busy / os.sysconf("SC_CLK_TCK") - own


def repeat(work: Callable[[], object], repeats: int) -> Timings:
    """Times of `repeats` runs after one that is not counted."""
    work()
    timings = Timings()
    for _ in range(repeats):
        timings.add(work)
    return timings


# ---------------------------------------------------------------------------------------------------------------------
# The command


def run_command(arguments: list[str], cwd: Path) -> float:
    """Run the command line in a process of its own; its peak memory in MB."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from optophone.cli.main import main; main()", *arguments],
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    complaints = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"optophone {' '.join(arguments)} failed: {complaints}")
    return usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def measure_command(bundle: str | None, photo: Path, threads: int, repeats: int) -> dict[str, Any]:
    """`speak` in a new process (its files are in the system's cache), its peak memory, and the help page."""
    model = ["--threads", str(threads), *(["-m", bundle] if bundle else [])]
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        speak = ["speak", str(photo), "-o", "out.wav", *model]
        cold = repeat(lambda: peaks.append(run_command(speak, Path(folder))), repeats)
        page = repeat(lambda: run_command(["--help"], Path(folder)), repeats)
    return {
        "cold_speak": cold.to_json(),
        "cold_speak_peak_memory_mb": round(max(peaks), 1),
        "help": page.to_json(),
    }


# ---------------------------------------------------------------------------------------------------------------------
# A loaded pipeline


@contextmanager
def warned_off() -> Iterator[None]:
    """Length caps are counted in the result, not shouted over it."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def measure_pipeline(describe: Any, photos: list[Path], repeats: int) -> dict[str, Any]:
    """Photo to words, to first sound and to the whole wave, over all photos."""
    rows = []
    for photo in photos:
        with warned_off():
            spoken = describe(photo)
            words = repeat(lambda: describe.caption(photo), repeats)  # noqa: B023
            first = repeat(lambda: next(iter(describe.stream(photo))), repeats)  # noqa: B023
            whole = repeat(lambda: describe(photo), repeats)  # noqa: B023
        row = {
            "photo": photo.name,
            "duration_s": round(spoken.duration_s, 3),
            "complete": spoken.complete,
            "words": words.to_json(),
            "first_sound": first.to_json(),
            "whole_wave": whole.to_json(),
        }
        row["real_time_factor"] = round(row["whole_wave"]["median_s"] / spoken.duration_s, 4)
        rows.append(row)
    return {"photos": rows, **summary(rows)}


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the photos."""
    stages = ("words", "first_sound", "whole_wave")
    found: dict[str, Any] = {
        f"{stage}_s": round(statistics.median(row[stage]["median_s"] for row in rows), 4)
        for stage in stages
        if all(stage in row for row in rows)
    }
    found["real_time_factor"] = round(statistics.median(row["real_time_factor"] for row in rows), 4)
    return found


def measure_load(bundle: str | None, threads: int, repeats: int) -> dict[str, float]:
    """`optophone.load` in a process that has imported everything."""
    import optophone

    return repeat(lambda: optophone.load(bundle, threads=threads), repeats).to_json()


# ---------------------------------------------------------------------------------------------------------------------
# What is printed


def processor_facts() -> dict[str, str]:
    """What Linux tells of the first processor; nothing elsewhere."""
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def machine(threads: int) -> dict[str, Any]:
    """What the figures were taken on."""
    import numpy
    import onnxruntime

    told = processor_facts()
    return {
        "processor": told.get("model name") or platform.processor() or platform.machine(),
        "instructions": " ".join(name for name in INSTRUCTIONS if name in told.get("flags", "").split()) or None,
        "cores": os.cpu_count(),
        "threads": threads,
        "load_average": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "onnxruntime": onnxruntime.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def print_table(result: dict[str, Any]) -> None:
    """The figures with their limits, for people."""
    runtime, command = result["runtime"], result["command"]
    baseline = result.get("torch_eager")
    rows = [
        ("", "ONNX Runtime", "torch eager", "at most"),
        ("photo → words", seconds(runtime["words_s"]), of(baseline, "words_s"), ""),
        ("photo → first sound", seconds(runtime["first_sound_s"]), "", "1 s"),
        ("photo → whole wave", seconds(runtime["whole_wave_s"]), of(baseline, "whole_wave_s"), ""),
        ("real-time factor", f"{runtime['real_time_factor']:.3f}", of(baseline, "real_time_factor", plain=True), ""),
        ("load", seconds(result["load"]["median_s"]), "", ""),
        ("command, photo → file", seconds(command["cold_speak"]["median_s"]), "", "3 s"),
        ("command, peak memory", f"{command['cold_speak_peak_memory_mb']:.0f} MB", "", "300 MB"),
        ("command, --help", seconds(command["help"]["median_s"]), "", ".2 s"),
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    here = result["machine"]
    load = max(row[stage]["foreign_cores"] for row in runtime["photos"] for stage in ("first_sound", "whole_wave"))
    print(f"\n{here['processor']} ({here['instructions']}), {here['threads']} of {here['cores']} threads; ", end="")
    print(f"foreign load up to {load:.2f} cores")
    if baseline:
        print(f"torch eager: {baseline['weights']}")
    else:
        print(f"torch eager: not measured ({result['no_torch_eager']})")


def seconds(value: float) -> str:
    return f"{value:.3f} s"


def of(baseline: dict[str, Any] | None, key: str, plain: bool = False) -> str:
    if baseline is None:
        return "-"
    return f"{baseline[key]:.3f}" if plain else seconds(baseline[key])


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", help="folder or name of a system or direct model (default: the embedded one)")
    parser.add_argument("--photos", nargs="+", type=Path, help="pictures (default: those in examples/)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, help="default: as the command takes them")
    parser.add_argument("--no-torch", action="store_true", help="leave out the PyTorch baseline")
    parser.add_argument("-o", "--output", type=Path, default=Path("main_job.json"), help="the JSON file")
    options = parser.parse_args()

    import optophone
    from optophone.runtime.session import resolve_threads

    photos = options.photos or sorted((ROOT / "examples").glob("*.jpg")) + sorted((ROOT / "examples").glob("*.png"))
    if not photos:
        parser.error("no pictures: name some with --photos")
    threads = resolve_threads(options.threads)
    model = str(Path(options.model).resolve()) if options.model and Path(options.model).is_dir() else options.model
    describe = optophone.load(model, threads=threads)
    result: dict[str, Any] = {
        "machine": machine(threads),
        "command": measure_command(model, photos[0].resolve(), threads, options.repeats),
        "load": measure_load(model, threads, options.repeats),
        "runtime": measure_pipeline(describe, photos, options.repeats),
    }
    if options.no_torch:
        result["no_torch_eager"] = "left out with --no-torch"
    else:
        add_baseline(result, describe, model, photos, threads, options.repeats)
    options.output.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print_table(result)
    print(f"written to {options.output}")


def add_baseline(
    result: dict[str, Any], describe: Any, model: str | None, photos: list[Path], threads: int, repeats: int
) -> None:
    """Measure the same networks in PyTorch, or say why not."""
    from optophone.pipelines import TokenPipeline

    if not isinstance(describe, TokenPipeline):
        result["no_torch_eager"] = "the baseline is of captioners and voices; this is a direct model"
        return
    try:
        from torch_baseline import TorchBaseline
    except ModuleNotFoundError as error:
        result["no_torch_eager"] = f"{error.name} is not installed"
        return
    try:
        baseline = TorchBaseline(model, threads)
    except ValueError as error:
        result["no_torch_eager"] = str(error)
        return
    rows = []
    for photo in photos:
        with warned_off():
            work = baseline.prepare(describe, photo)
            words = repeat(work.describe, repeats)
            whole = repeat(work.speak, repeats)
        row = {
            "photo": photo.name,
            "duration_s": work.duration_s,
            "words": words.to_json(),
            "whole_wave": whole.to_json(),
            "real_time_factor": round(statistics.median(whole.seconds) / work.duration_s, 4),
        }
        rows.append(row)
    result["torch_eager"] = {"weights": baseline.weights, "photos": rows, **summary(rows)}


if __name__ == "__main__":
    main()
