"""The process that reads damaged files and says, a line of JSON for each, what came of it; see `fuzz`."""

import gc
import io
import json
import os
import random
import resource
import shutil
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from optophone.core.audio import AudioLimits, read_wave
from optophone.core.bundle import open_bundle
from optophone.core.errors import OptophoneError
from optophone.core.picture import PictureSpec, load_picture, prepare_picture
from optophone.core.regions import load_regions
from optophone.core.vocabulary import Vocabulary
from optophone.data.manifest import read_dataset
from optophone.data.unit_column import NAME, read_unit_column
from robustness.corpus import reseal
from robustness.fuzz import MOST_MEMORY
from robustness.mutations import mutate, mutate_json

_LONGEST_MESSAGE = 1000
_SECTIONS = ("configuration", "mel", "picture", "parts")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def read_picture(content: bytes, generator: random.Random) -> None:
    """As the command line and the server do; sometimes through a file object, sometimes the whole picture."""
    source = io.BytesIO(content) if generator.random() < 0.2 else content
    picture = load_picture(source, at_least=generator.choice((None, None, 16)))
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert picture.shape[2] == 3
    prepared = prepare_picture(picture, PictureSpec(height=16, width=16))
    assert np.isfinite(prepared).all()


def read_sound(content: bytes, generator: random.Random) -> None:
    """At its own rate, or resampled."""
    wave, rate = read_wave(content, generator.choice((None, None, 16000)), AudioLimits(max_duration_s=600))
    assert wave.dtype == np.float32
    assert wave.ndim == 1
    assert len(wave)
    assert rate > 0
    assert np.isfinite(wave).all()


def read_regions(content: bytes, generator: random.Random) -> None:
    """Of the right width, or of any."""
    features = load_regions(content, generator.choice((None, 12)))
    assert features.dtype == np.float32
    assert features.ndim == 2
    assert np.isfinite(features).all()


def read_vocabulary(content: bytes, generator: random.Random) -> None:
    """From a file; what was read must be equal when it is written and read again, and its symbols printable."""
    path = Path(_work) / "vocabulary.json"
    path.write_bytes(content)
    vocabulary = Vocabulary.load(path)
    ids = [generator.randrange(len(vocabulary)) for _ in range(20)]
    vocabulary.decode(ids).encode("utf-8")
    assert vocabulary.hash == Vocabulary.from_json(vocabulary.to_json()).hash
    vocabulary.save(path)
    assert Vocabulary.load(path) == vocabulary
    vocabulary.encode("a dog 3 {HH AW1}")


def read_bundle(folder: Path) -> None:
    """Open it and all its parts, load what it is, and use it once."""
    from optophone.runtime.load import load, load_recognizer, load_unit_encoder

    opened = open_bundle(folder)
    opened.manifest.to_json().encode("utf-8")
    for part in opened.manifest.parts.values():
        open_bundle(folder / part)
    wave = np.sin(np.arange(4000) * 0.3).astype(np.float32)
    if opened.manifest.kind == "units":
        load_unit_encoder(opened, threads=1).units(wave)
    elif opened.manifest.kind == "recognizer":
        load_recognizer(opened, threads=1).hear(wave, 16000)
    else:
        pipeline = load(folder, threads=1)
        noise = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
        spoken = pipeline(noise, speed=1.3, force=True)
        assert np.isfinite(spoken.wave).all()
        spoken.text.encode("utf-8")


def read_data(folder: Path) -> None:
    """The rows, the sound and the units of a data set."""
    dataset = read_dataset(folder)
    for split in dataset.splits:
        for row in dataset.rows(split):
            if "audio" in row:
                dataset.wave(row)
    if dataset.name == NAME:
        column = read_unit_column(folder)
        for split in dataset.splits:
            column.texts(split)
            column.frames(split)


FILES: dict[str, Callable[[bytes, random.Random], None]] = {
    "pictures": read_picture,
    "sounds": read_sound,
    "regions": read_regions,
    "vocabularies": read_vocabulary,
}
FOLDERS: dict[str, Callable[[Path], None]] = {"bundles": read_bundle, "datasets": read_data}


def damage_file(samples: list[bytes], number: int, generator: random.Random) -> bytes:
    """The content of item `number`."""
    content = samples[number % len(samples)]
    if content.startswith(b"{") and generator.random() < 0.6:
        return mutate_json(content, generator)
    return mutate(content, generator, samples)


def damage_folder(sample: Path, target: Path, generator: random.Random) -> None:
    """A copy of the folder `sample` with one file damaged; two in three have manifests that fit the damage."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(sample, target)
    files = sorted(path for path in target.rglob("*") if path.is_file())
    manifests = [path for path in files if path.suffix in (".json", ".jsonl")]
    path = generator.choice(manifests if generator.random() < 0.6 else files)
    content = path.read_bytes()
    if path.suffix == ".jsonl":
        lines = content.splitlines()
        place = generator.randrange(len(lines))
        lines[place] = mutate_json(lines[place], generator)
        damaged = b"\n".join(lines) + b"\n"
    elif path.name == "bundle.json" and generator.random() < 0.6:
        sections = [name for name, value in json.loads(content).items() if value and name in _SECTIONS]
        damaged = mutate_json(content, generator, generator.choice(sections or [None]))
    elif path.suffix == ".json" and generator.random() < 0.7:
        damaged = mutate_json(content, generator)
    else:
        damaged = mutate(content, generator)
    path.write_bytes(damaged)
    if generator.random() < 0.67:
        reseal(target)


def judge(read: Callable[[], None]) -> tuple[str, str]:
    """What came of it, and the fault, or ""."""
    try:
        read()
        return "read", ""
    except OptophoneError as error:
        message, name = str(error), type(error).__name__
        if not message or len(message) > _LONGEST_MESSAGE or not message.isprintable():
            return name, f"{name} with a message that is no line of text: {message[:200]!r}"
        return name, ""
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[-5:]]
        return "fault", f"{type(error).__name__}: {str(error)[:160]!r} at {' '.join(places)}"


def run(kind: str, corpus: Path, work: Path, first: int, end: int) -> None:
    """Read the items `first` to `end` of `corpus` and print what came of each."""
    global _work
    _work = work
    work.mkdir(exist_ok=True)
    reports = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no report
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    warnings.simplefilter("ignore")
    places = sorted(corpus.iterdir())
    samples = [place.read_bytes() for place in places if place.is_file()]
    warm_up, base = first + max(20, (end - first) // 10), 0
    for number in range(first, end):
        generator = random.Random(f"{kind} {number}")
        written, started = os.fstat(2).st_size, time.monotonic()
        if kind in FILES:
            content = damage_file(samples, number, generator)
            outcome, fault = judge(lambda content=content, generator=generator: FILES[kind](content, generator))
        else:
            damage_folder(places[number % len(places)], work / "damaged", generator)
            outcome, fault = judge(lambda: FOLDERS[kind](work / "damaged"))
        if not fault:
            fault = written_to_stderr(written)
        if number == warm_up or (number == end - 1 and number > warm_up):
            gc.collect()
        base = base or (resident() if number >= warm_up else 0)
        report = {"number": number, "outcome": outcome, "fault": fault, "seconds": time.monotonic() - started}
        report["growth"] = resident() - base if number == end - 1 and base else 0
        report["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        reports.write(json.dumps(report) + "\n")
        reports.flush()


def written_to_stderr(start: int) -> str:
    """What Python wrote to the file behind stderr from `start` on, as a fault; "" where there is nothing.

    libtiff and libmpg123 write a line of their own about damage there, and have no switch that soundfile and Pillow
    would turn; these lines are let through.
    """
    noise = os.pread(2, 4000, start)
    return f"written to stderr: {noise[:300]!r}" if b"Traceback" in noise or b"Exception" in noise else ""


def resident() -> int:
    """Bytes of memory that this process holds."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * _PAGE


_work = Path()

if __name__ == "__main__":
    run(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
