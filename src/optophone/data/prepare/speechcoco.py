"""SPEECH-COCO: the captions of COCO said by eight synthetic voices (Havard, Besacier and Rosec 2017).

The official layout is read: `CORPUS-MSCOCO/train2014/` and `val2014/`, each with `wav/`, `json/` (one file a recording)
and a database `train_2014.sqlite3` or `val_2014.sqlite3` that holds the same. The database is read where it is there.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PureWindowsPath
from typing import Any

from optophone.core.errors import DataError
from optophone.data.manifest import Dataset
from optophone.data.prepare.captions import one_line
from optophone.data.prepare.recordings import Recording, Recordings, find_folder, prepare_recordings

LICENCE = "CC BY 4.0."
PARTS = {"train2014": "train", "val2014": "dev"}
DATABASES = {"train2014": "train_2014.sqlite3", "val2014": "val_2014.sqlite3"}
_QUERY = "SELECT imageID, captionID, wavFilename, text, speaker FROM captions"
_FIELDS = ("imgID", "captionID", "wavFilename", "synthesisedCaption", "speaker")


def prepare_speechcoco(
    source: str | Path, out: str | Path, pictures: str | Path | None = None, skip_damaged: bool = False
) -> Dataset:
    """Read SPEECH-COCO at `source` and write the manifests to `out`; see `prepare_recordings`.

    "picture_id" is COCO's number of the picture, the id of the rows that `prepare coco` and `coco-karpathy` write.
    "caption_index" counts the captions of a picture in the order of COCO's numbers for them.
    """
    return prepare_recordings("speechcoco", LICENCE, Path(source), Path(out), pictures, skip_damaged, _read)


def _read(source: Path, _: Dataset | None) -> Recordings:
    folder = find_folder(source, ("CORPUS-MSCOCO",), tuple(PARTS), "SPEECH-COCO")
    splits = {split: _read_part(folder / part) for part, split in PARTS.items() if (folder / part).is_dir()}
    return Recordings(
        folder, splits, f"official folder, {' and '.join(part for part in PARTS if PARTS[part] in splits)}"
    )


def _read_part(folder: Path) -> list[Recording]:
    """The recordings of train2014 or val2014, by picture and caption."""
    database = folder / DATABASES[folder.name]
    entries = sorted(_from_database(database) if database.is_file() else _from_files(folder / "json"))
    if not entries:
        raise DataError(f"{folder}: no recordings; expected {database.name} or json/*.json.")
    recordings: list[Recording] = []
    for picture, _, sound, text, speaker in entries:
        is_next = bool(recordings) and recordings[-1].picture_id == str(picture)
        index = recordings[-1].caption_index + 1 if is_next else 0
        name = PureWindowsPath(sound).name  # some files name a folder of the authors' machine before it
        recordings.append(
            Recording(name.removesuffix(".wav"), str(picture), index, text, f"{folder.name}/wav/{name}", speaker)
        )
    return recordings


_Entry = tuple[int, int, str, str, str]


def _from_database(path: Path) -> Iterator[_Entry]:
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            for row in database.execute(_QUERY):
                yield _entry(row, str(path))
    except sqlite3.Error as error:
        raise DataError(f"{path}: cannot be read ({error}); delete it to read json/ instead.") from None


def _from_files(folder: Path) -> Iterator[_Entry]:
    for path in sorted(folder.glob("*.json")):
        try:
            content = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: not JSON ({error}); download it again.") from None
        fields = content if isinstance(content, dict) else {}
        yield _entry(tuple(fields.get(name) for name in _FIELDS), str(path))


def _entry(row: tuple[Any, ...], where: str) -> _Entry:
    picture, caption, sound, text, speaker = row
    if not (isinstance(picture, int) and isinstance(caption, int) and isinstance(sound, str) and sound):
        raise DataError(f"{where}: expected the numbers of a picture and a caption and a WAV file, found {row[:3]}.")
    return picture, caption, sound, one_line(text), one_line(speaker)
