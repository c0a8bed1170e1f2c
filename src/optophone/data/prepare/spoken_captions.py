"""Spoken captions: every caption of a prepared caption data set, said by espeak-ng.

Speech for pictures needs pairs of picture and speech; Wang et al. 2021 made theirs with one synthetic speaker as well.
The audio is packed into int16 arrays of 1,000 captions, which training reads memory-mapped: nothing is decoded, and
35,000 small files are spared.
"""

import json
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from optophone.core.errors import DataError
from optophone.core.text import clean_text
from optophone.data.espeak import EspeakConfig, load_espeak
from optophone.data.manifest import Dataset, Row, read_dataset, write_atomically, write_manifest
from optophone.data.prepare.preparation import Preparation
from optophone.data.prepare.progress import show_progress

AUDIO_FOLDER = "audio"
# espeak-ng's silence is digital zero, so a low threshold (-60 dB of full scale) keeps every soft consonant.
SILENCE_THRESHOLD = 33
DEFAULT_VOICE = EspeakConfig()


@dataclass(frozen=True)
class Shard:
    """What one process speaks: some captions of a split, into one array."""

    audio: Path
    texts: tuple[str, ...]
    voice: EspeakConfig
    margin_ms: int

    @property
    def index(self) -> Path:
        """The file that keeps sample rate and lengths until the manifest is written."""
        return self.audio.with_suffix(".json")


def prepare_spoken_captions(
    source: str | Path,
    out: str | Path,
    voice: EspeakConfig = DEFAULT_VOICE,
    margin_ms: int = 50,
    captions_per_shard: int = 1000,
    jobs: int | None = None,
) -> Dataset:
    """Speak every caption of the prepared data set `source` and write `out`: manifests and packed audio.

    Rows are {"id", "picture_id", "caption_index", "text", "audio", "offset", "n_samples", "sample_rate", "duration_s",
    "speaker"}. "text" went through `clean_text`; the wave is `n_samples` from `offset` on in the int16 array "audio",
    and `Dataset.wave` reads it. Each wave begins and ends with exactly `margin_ms` of silence.
    Does nothing where `out` is finished; an interrupted run continues with the first missing array, and the result is
    the same to the sample.

    Each array is spoken by a process of its own, so a script that calls this needs the usual
    `if __name__ == "__main__":`.

    Args:
        source: a folder written by `optophone prepare flickr8k`, or any data set whose rows have captions.
        out: the folder to write.
        voice: how espeak-ng speaks.
        margin_ms: silence at both ends; the rest of it is cut.
        captions_per_shard: captions an array.
        jobs: processes at a time; as many as there are processors when None.

    Raises:
        DataError: `source` is no finished data set with captions, espeak-ng is missing or lacks the voice, a caption
            comes out silent, or `out` holds something else.
    """
    out = Path(out)
    if not 0 <= margin_ms <= 1000 or captions_per_shard < 1:
        raise DataError(f"margin {margin_ms} ms, {captions_per_shard} captions a shard: use 0 to 1000, and 1 or more.")
    options = {**asdict(voice), "margin_ms": margin_ms, "captions_per_shard": captions_per_shard}
    captions = read_dataset(source)
    preparation = Preparation("spoken-captions", Path(source), out, {**options, "captions": captions.hash()})
    finished = preparation.begin()
    if finished:
        return finished
    (out / AUDIO_FOLDER).mkdir(exist_ok=True)
    rows = {split: _caption_rows(captions, split) for split in captions.splits}
    shards = {split: _shards(out, split, rows[split], voice, margin_ms, captions_per_shard) for split in rows}
    _speak_missing([shard for split in shards.values() for shard in split], jobs or os.cpu_count() or 1)
    version = ""
    for split, split_shards in shards.items():
        version = _add_audio(rows[split], split_shards, f"espeak-ng {voice.voice}")
        write_manifest(out / f"{split}.jsonl", rows[split])
    layout = f"captions of {captions.name}, spoken by espeak-ng {version}"
    dataset = preparation.finish(list(rows), layout, f"As the captions of {captions.name}: {captions.licence}")
    for shard in (shard for split in shards.values() for shard in split):
        shard.index.unlink(missing_ok=True)
    return dataset


def _caption_rows(captions: Dataset, split: str) -> list[Row]:
    rows: list[Row] = []
    for picture in captions.rows(split):
        if "captions" not in picture:
            raise DataError(f"{captions.folder}: rows of {split} have no captions; prepare flickr8k first and give it.")
        for index, caption in enumerate(picture["captions"]):
            text = clean_text(caption)
            if not any(character.isalnum() for character in text):
                raise DataError(
                    f"{captions.folder}: caption {index} of {picture['id']} has no words: {caption[:60]!r}."
                )
            rows.append(
                {"id": f"{picture['id']}-{index}", "picture_id": picture["id"], "caption_index": index, "text": text}
            )
    return rows


def _shards(out: Path, split: str, rows: list[Row], voice: EspeakConfig, margin_ms: int, size: int) -> list[Shard]:
    texts = [row["text"] for row in rows]
    return [
        Shard(out / AUDIO_FOLDER / f"{split}-{number:05d}.npy", tuple(texts[start : start + size]), voice, margin_ms)
        for number, start in enumerate(range(0, len(texts), size))
    ]


def _speak_missing(shards: list[Shard], jobs: int) -> None:
    """Speak the shards that have no file yet, each in a new process.

    The library carries its pitch wobble from sentence to sentence; starting every array anew makes an interrupted
    run end in the same samples as an uninterrupted one, whatever `jobs` is.
    """
    missing = [shard for shard in shards if not (shard.audio.is_file() and shard.index.is_file())]
    if not missing:
        return
    load_espeak(missing[0].voice)  # a missing program or voice is told here, in one line
    label = f"spoken captions, arrays of {len(shards[0].texts)}"
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(min(jobs, len(missing)), mp_context=context, max_tasks_per_child=1)
    try:
        for _ in show_progress(executor.map(speak_shard, missing), len(shards), label, len(shards) - len(missing)):
            pass
    except BrokenProcessPool:
        raise DataError("A speaking process was ended from outside; run the same command again to continue.") from None
    finally:
        executor.shutdown(cancel_futures=True)


def speak_shard(shard: Shard) -> None:
    """Speak the texts of `shard` and write its array and its index, the array last."""
    espeak = load_espeak(shard.voice)
    margin = round(espeak.sample_rate * shard.margin_ms / 1000)
    waves = [_speak(espeak.speak(text), margin, text) for text in shard.texts]
    index = {
        "version": espeak.version,
        "sample_rate": espeak.sample_rate,
        "lengths": [len(wave) for wave in waves],
    }
    write_atomically(shard.index, json.dumps(index).encode())
    temporary = shard.audio.with_name(shard.audio.name + ".partial")
    with open(temporary, "wb") as file:
        np.save(file, np.concatenate(waves))
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, shard.audio)


def _speak(wave: np.ndarray, margin: int, text: str) -> np.ndarray:
    trimmed = trim_silence(wave, margin)
    if not len(trimmed):
        raise DataError(f"espeak-ng says nothing for {text[:60]!r}; remove this caption.")
    return trimmed


def trim_silence(wave: np.ndarray, margin: int) -> np.ndarray:
    """`wave` (N,) int16 from its first to its last audible sample, with exactly `margin` samples around it.

    What lies within the margins is kept where there is any, zeros fill the rest. Crisp ends teach an acoustic model
    where to stop. Empty when nothing is audible.
    """
    audible = np.flatnonzero(np.abs(wave.astype(np.int32)) > SILENCE_THRESHOLD)
    if not len(audible):
        return wave[:0]
    start, stop = audible[0] - margin, audible[-1] + 1 + margin
    kept = wave[max(start, 0) : stop]
    return np.pad(kept, (max(-start, 0), max(stop - len(wave), 0)))


def _add_audio(rows: list[Row], shards: list[Shard], speaker: str) -> str:
    """Complete `rows` with where their audio lies; returns the version of espeak-ng that spoke."""
    remaining = iter(rows)
    version = ""
    for shard in shards:
        index = json.loads(shard.index.read_bytes())
        version = index["version"]
        for entry in _audio_entries(shard, index):
            next(remaining).update(entry, speaker=speaker)
    return version


def _audio_entries(shard: Shard, index: dict[str, Any]) -> Iterator[dict[str, Any]]:
    offset = 0
    for n_samples in index["lengths"]:
        yield {
            "audio": f"{AUDIO_FOLDER}/{shard.audio.name}",
            "offset": offset,
            "n_samples": n_samples,
            "sample_rate": index["sample_rate"],
            "duration_s": round(n_samples / index["sample_rate"], 4),
        }
        offset += n_samples
