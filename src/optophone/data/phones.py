"""Captions as phones, said by espeak-ng and kept beside the data set."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from optophone.core.errors import DataError
from optophone.core.espeak import EspeakConfig
from optophone.core.vocabulary import WORD_BOUNDARY, VocabularyKind
from optophone.core.whole_file import write_whole
from optophone.data.espeak import load_espeak
from optophone.data.manifest import Dataset, Row
from optophone.data.prepare.progress import show_progress

VOICE = "en-us"
FORMAT = 1


def caption_rows(dataset: Dataset, split: str, symbols: VocabularyKind) -> list[Row]:
    """The rows of `split` with their captions as a captioner over `symbols` writes them.

    Words and characters stand in the captions as they are. Phones come from espeak-ng, words of them between
    `WORD_BOUNDARY`: "ɐ | d ˈɔː ɡ". They are kept in `<split>.phones.json` of the data set, where it can be written, so
    that they are made once.

    Raises:
        DataError: phones are asked for that are not kept, and espeak-ng is not installed.
    """
    rows = dataset.rows(split)
    if symbols != "phones":
        return rows
    cache = dataset.folder / f"{split}.phones.json"
    key = {"format": FORMAT, "voice": VOICE, "manifest": dataset.splits[split].sha256}
    transcribed = _read(cache, key)
    if transcribed is None:
        transcribed = list(show_progress(_transcribe(rows), len(rows), f"phones of {split}"))
        _keep(cache, {**key, "captions": transcribed})
    return [{**row, "captions": captions} for row, captions in zip(rows, transcribed, strict=True)]


def _transcribe(rows: list[Row]) -> Iterator[list[str]]:
    """The captions of each row as phones; those that nothing can be said of are left out."""
    espeak = load_espeak(EspeakConfig(VOICE))
    for row in rows:
        spoken = [espeak.phones(caption) for caption in row.get("captions", ())]
        yield [f" {WORD_BOUNDARY} ".join(map(" ".join, words)) for words in spoken if words]


def _read(cache: Path, key: dict[str, Any]) -> list[list[str]] | None:
    """What was kept for the same captions and voice; None where nothing was."""
    try:
        content = json.loads(cache.read_bytes())
    except OSError:
        return None
    except ValueError:
        raise DataError(f"{cache}: damaged; delete it, and it is made again.") from None
    if not isinstance(content, dict) or any(content.get(name) != value for name, value in key.items()):
        return None
    return content["captions"]


def _keep(cache: Path, content: dict[str, Any]) -> None:
    try:
        write_whole(cache, json.dumps(content, ensure_ascii=False).encode())
    except OSError:
        return  # a data set that may not be written to is transcribed again each time, in seconds
