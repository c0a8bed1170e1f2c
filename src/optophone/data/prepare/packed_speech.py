"""Texts said by espeak-ng, packed into int16 arrays of 1,000 utterances.

Training reads the arrays memory-mapped: nothing is decoded, and tens of thousands of small files are spared.
"""

import json
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from optophone.core.errors import DataError
from optophone.core.espeak import EspeakConfig
from optophone.core.whole_file import whole_file, write_whole
from optophone.data.espeak import load_espeak
from optophone.data.manifest import Row, write_manifest
from optophone.data.prepare.progress import show_progress

AUDIO_FOLDER = "audio"
# espeak-ng's silence is digital zero, so a low threshold (-60 dB of full scale) keeps every soft consonant.
SILENCE_THRESHOLD = 33
DEFAULT_VOICE = EspeakConfig()


@dataclass(frozen=True)
class Shard:
    """What one process speaks: some texts of a split, into one array."""

    audio: Path
    texts: tuple[str, ...]
    voice: EspeakConfig
    margin_ms: int

    @property
    def index(self) -> Path:
        """The file that keeps sample rate and lengths until the manifest is written."""
        return self.audio.with_suffix(".json")


def pack_speech(
    out: Path,
    rows: Mapping[str, list[Row]],
    voices: Sequence[EspeakConfig],
    margin_ms: int,
    rows_per_shard: int,
    jobs: int | None,
    label: str,
) -> str:
    """Speak the "text" of all rows and write arrays and manifests to `out`; returns the version of espeak-ng.

    Several voices take turns: row i of a split is said by voice i modulo their number, each into arrays of its own.
    Every row gets "audio", "offset", "n_samples", "sample_rate", "duration_s" and "speaker"; each wave begins and ends
    with exactly `margin_ms` of silence. An interrupted run continues with the first missing array, and the result is
    the same to the sample. When dataset.json is written, `forget_lengths` cleans up.

    Args:
        out: the folder of the data set.
        rows: split name to its rows, each with a cleaned "text".
        voices: how espeak-ng speaks.
        margin_ms: silence at both ends; the rest of it is cut.
        rows_per_shard: utterances an array.
        jobs: processes at a time; as many as there are processors when None.
        label: what the progress bar counts, for instance "spoken captions".

    Raises:
        DataError: espeak-ng is missing or lacks the voice, or a text comes out silent.
    """
    (out / AUDIO_FOLDER).mkdir(exist_ok=True)
    parts = [part for split in rows for part in _parts(out, split, rows[split], voices, margin_ms, rows_per_shard)]
    _speak_missing([shard for part in parts for shard in part.shards], jobs or os.cpu_count() or 1, label)
    version = ""
    for part in parts:
        version = _add_audio(part.rows, part.shards, f"espeak-ng {part.voice.voice}")
    for split in rows:
        write_manifest(out / f"{split}.jsonl", rows[split])
    return version


def forget_lengths(out: Path) -> None:
    """Delete the files beside the arrays that an interrupted run needs and a finished data set does not."""
    for path in (out / AUDIO_FOLDER).glob("*.json"):
        path.unlink()


@dataclass(frozen=True)
class _Part:
    """What one voice says of a split."""

    voice: EspeakConfig
    rows: list[Row]
    shards: list[Shard]


def _parts(
    out: Path, split: str, rows: list[Row], voices: Sequence[EspeakConfig], margin_ms: int, size: int
) -> list[_Part]:
    """The rows of a split, dealt among the voices."""
    parts = []
    for number, voice in enumerate(voices):
        own = rows[number :: len(voices)]
        prefix = f"{split}-{number:02d}" if len(voices) > 1 else split
        parts.append(_Part(voice, own, _shards(out / AUDIO_FOLDER, prefix, own, voice, margin_ms, size)))
    return parts


def _shards(folder: Path, prefix: str, rows: list[Row], voice: EspeakConfig, margin_ms: int, size: int) -> list[Shard]:
    texts = [row["text"] for row in rows]
    return [
        Shard(folder / f"{prefix}-{number:05d}.npy", tuple(texts[start : start + size]), voice, margin_ms)
        for number, start in enumerate(range(0, len(texts), size))
    ]


def _speak_missing(shards: list[Shard], jobs: int, label: str) -> None:
    """Speak the shards that have no file yet, each in a new process.

    The library carries its pitch wobble from sentence to sentence; starting every array anew makes an interrupted
    run end in the same samples as an uninterrupted one, whatever `jobs` is.
    """
    missing = [shard for shard in shards if not (shard.audio.is_file() and shard.index.is_file())]
    if not missing:
        return
    for voice in dict.fromkeys(shard.voice for shard in missing):
        load_espeak(voice)  # a missing program or voice is told here, in one line
    label = f"{label}, arrays of {max(len(shard.texts) for shard in shards)}"
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
    write_whole(shard.index, json.dumps(index).encode())
    with whole_file(shard.audio) as temporary, open(temporary, "wb") as file:
        np.save(file, np.concatenate(waves))


def _speak(wave: np.ndarray, margin: int, text: str) -> np.ndarray:
    trimmed = trim_silence(wave, margin)
    if not len(trimmed):
        raise DataError(f"espeak-ng says nothing for {text[:60]!r}; remove it from the source.")
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
