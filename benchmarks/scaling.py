"""What each item of the data path costs: processor seconds of one thread, and bytes.

    python benchmarks/scaling.py [-m BUNDLE] [--units BUNDLE] [--photos *.jpg] [--repeats 5] [-o FILE.json]

Processor time, not the clock: other processes take turns with this one, but what they take does not count. Every figure
is the median over repeats, after one that is not counted. docs/scaling.md multiplies them by the items of SpokenCOCO.
"""

import argparse
import io
import json
import shutil
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from main_job import foreign_seconds, machine

from optophone.core.audio import encode_wave, read_wave
from optophone.core.mel import MelSpec, log_mel
from optophone.core.picture import PictureSpec, load_picture, resize_picture
from optophone.core.whole_file import write_whole
from optophone.data.manifest import read_dataset
from optophone.data.shards import read_samples
from optophone.runtime.load import load, load_unit_encoder

if TYPE_CHECKING:
    from optophone.data.captioned_pictures import CaptionedPictures
    from optophone.data.pictures import Pictures

ROOT = Path(__file__).resolve().parents[1]
SOUND_S = 4.4  # a spoken caption of SpokenCOCO: 742 hours of 605,495 of them (Hsu et al. 2020, table 1)
N_IN_SHARD = 200
BATCH = 20
CAPTION = "a dog runs over the green grass of a large park"


def cost(work: Callable[[], object], repeats: int, items: int = 1) -> float:
    """Processor seconds of an item, the median over repeats."""
    work()
    found = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        found.append((time.process_time() - began) / items)
    return statistics.median(found)


def picture_costs(photos: list[bytes], bundle: str | None, repeats: int) -> dict[str, float]:
    """Of decoding, packing, describing and speaking a photo."""
    spec = PictureSpec(192, 192)
    describe = load(bundle, threads=1)
    found = [describe.caption(photo) for photo in photos]
    work: dict[str, Callable[[], object]] = {
        "decode a photo and pack it (192 x 192)": lambda: [resize_picture(load_picture(p), spec) for p in photos],
        "describe a photo": lambda: [describe.caption(photo) for photo in photos],
        "say its description": lambda: [describe.speak(one) for one in found],
    }
    return {name: cost(do, repeats, len(photos)) for name, do in work.items()}


def sound_costs(units: str | None, repeats: int) -> dict[str, float]:
    """Of decoding a spoken caption, its mel and its units."""
    wave = np.random.default_rng(0).normal(0, 0.1, round(SOUND_S * 16000)).astype(np.float32)
    wav, mel = encode_wave(wave, 16000, "wav"), MelSpec(sample_rate=16000)
    work: dict[str, Callable[[], object]] = {
        "decode a spoken caption": lambda: read_wave(wav),
        "its log mel": lambda: log_mel(wave, mel),
    }
    if units is not None:
        encoder = load_unit_encoder(units, threads=1)
        work["its units"] = lambda: encoder.units(wave)
    return {name: cost(do, repeats) for name, do in work.items()}


def shard_costs(photo: bytes, repeats: int) -> dict[str, float]:
    """Of writing and reading a sample in a shard."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.tar"

        def write() -> None:
            write_shard(path, [(f"{number:06}.jpg", photo) for number in range(N_IN_SHARD)])

        found = {"write a photo into a shard": cost(write, repeats, N_IN_SHARD)}
        found["read it"] = cost(lambda: list(read_samples(path, (".jpg",), 1 << 24)), repeats, N_IN_SHARD)
    return found


def write_shard(path: Path, members: list[tuple[str, bytes]]) -> None:
    """A tar file of `members`, name and content."""
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def training_data(pictures: "Pictures") -> "CaptionedPictures":
    """A batch of pictures with five captions each."""
    from optophone.core.vocabulary import build_words
    from optophone.data.captioned_pictures import CaptionedPictures, CaptionedPicturesConfig, encode_captions

    rows = [{"id": str(i), "captions": [CAPTION] * 5} for i in range(BATCH)]
    vocabulary = build_words([CAPTION], 1)
    return CaptionedPictures(pictures, encode_captions(rows, vocabulary), vocabulary, CaptionedPicturesConfig(""))


def training_costs(repeats: int) -> dict[str, float]:
    """Of a photo with five captions in a training step, before the network sees it."""
    import torch

    from optophone.data.steps import Portion, StepItems

    torch.set_num_threads(1)
    data = training_data(np.random.default_rng(0).integers(0, 256, (BATCH, 192, 192, 3), dtype=np.uint8))
    whole = StepItems(0, 0, range(BATCH))
    half = StepItems(0, 0, range(BATCH), Portion(0, 2))
    return {
        "augment and collate a photo": cost(lambda: data[whole], repeats, BATCH),
        "the same where 2 processes share a step": cost(lambda: data[half], repeats, BATCH // 2),
    }


def sharded_costs(photos: list[bytes], repeats: int) -> dict[str, float]:
    """The same of a photo that lies in a shard; and of finding it there, once."""
    from optophone.data.prepare.caption_shards import prepare_caption_shards
    from optophone.data.steps import StepItems
    from optophone.data.written_captions import pictures_of

    with tempfile.TemporaryDirectory() as folder:
        shard, out = Path(folder) / "train.tar", Path(folder) / "index"
        members = []
        for i in range(BATCH):
            members += [(f"{i}.jpg", photos[i % len(photos)]), (f"{i}.txt", CAPTION.encode())]
        write_shard(shard, members)

        def index() -> None:
            shutil.rmtree(out, ignore_errors=True)
            prepare_caption_shards([shard], out, jobs=1)

        found = {"index a photo in a shard": cost(index, repeats, BATCH)}
        dataset = read_dataset(out)
        pictures = pictures_of(dataset, "train", dataset.rows("train"), 192)
        data, whole = training_data(pictures), StepItems(0, 0, range(BATCH))
        found["read it there, decode and squash it"] = cost(lambda: pictures[:], repeats, BATCH)
        found["read, decode, augment and collate it"] = cost(lambda: data[whole], repeats, BATCH)
    return found


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model")
    parser.add_argument("--units")
    parser.add_argument("--photos", nargs="+", type=Path, default=sorted((ROOT / "examples").glob("*.jpg")))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    photos = [path.read_bytes() for path in options.photos]
    clock, foreign = time.perf_counter(), foreign_seconds()
    seconds = {
        **picture_costs(photos, options.model, options.repeats),
        **sound_costs(options.units, options.repeats),
        **shard_costs(photos[0], options.repeats),
        **training_costs(options.repeats),
        **sharded_costs(photos, options.repeats),
    }
    load_cores = (foreign_seconds() - foreign) / (time.perf_counter() - clock)
    for name, value in seconds.items():
        print(f"{name:45} {1000 * value:9.3f} ms of processor")
    print(f"foreign load {load_cores:.2f} cores")
    result = {"machine": machine(1), "foreign_load": round(load_cores, 2), "repeats": options.repeats}
    result["milliseconds"] = {name: round(1000 * value, 3) for name, value in seconds.items()}
    if options.output:
        write_whole(options.output, (json.dumps(result, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
