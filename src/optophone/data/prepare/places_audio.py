"""Places Audio Captions: 400,000 pictures of Places205 described aloud (Harwath, Torralba and Glass 2016).

The official layout is read: `PlacesAudio_400k_distro/metadata/train.json` and `val.json` beside `wavs/`, or the splits
of 2020 (`train_2020.json`, `dev_seen_2020.json` …). The files hold {"image_base_path", "audio_base_path", "data":
[{"uttid", "speaker", "asr_text", "wav", "image"}]}. The pictures are those of Places205, downloaded apart.
"""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from optophone.core.errors import DataError
from optophone.data.manifest import Dataset, Row, is_inside, write_manifest
from optophone.data.prepare.captions import first_names, one_line, read_json
from optophone.data.prepare.packing import pack_pictures, square_picture
from optophone.data.prepare.preparation import Preparation
from optophone.data.prepare.recordings import Recording, find_folder, recording_rows

LICENCE = "As the download page of the recordings states; the photographs are those of Places205."
FILES = {"train.json": "train", "val.json": "dev"}
FILES_2020 = {
    "train_2020.json": "train",
    "dev_seen_2020.json": "dev",
    "dev_unseen_2020.json": "dev-unseen",
    "test_seen_2020.json": "test",
    "test_unseen_2020.json": "test-unseen",
}
METADATA = "metadata"


def prepare_places_audio(
    source: str | Path,
    out: str | Path,
    pictures: str | Path | None = None,
    size: int = 192,
    skip_damaged: bool = False,
) -> Dataset:
    """Read Places Audio at `source` and write `out`: manifests and, where the pictures are, packed pictures.

    Rows are {"id", "picture_id", "caption_index", "text", "audio", "duration_s", "sample_rate", "speaker"} and with
    pictures "picture". Each pair of picture and recording stands on its own, as in the original: its `picture_id` is
    its `id`, and entry i of `<split>.pictures.npy` (n, size, size, 3) uint8 is the picture of row i, so that one folder
    serves training as pictures and as speech. "text" is what a recognizer heard, after `clean_text`.
    Does nothing where `out` is finished; the packing of pictures continues where it was interrupted.

    Args:
        source: the folder with `metadata` and `wavs`, or the one above.
        out: the folder to write.
        pictures: folder of Places205 that the names of the metadata start from; None for the folder that the metadata
            name, and for no pictures where that does not exist.
        size: height and width of the packed pictures in pixels.
        skip_damaged: leave out sound files that are missing, unreadable, empty or cut off, and name them in
            damaged.txt, instead of stopping.

    Raises:
        DataError: the layout is not found, sound files or pictures are missing or damaged, or `out` holds something
            else.
        PictureError: a picture cannot be read.
    """
    source, out = Path(source), Path(out)
    if size < 1:
        raise DataError(f"--size {size}: the packed pictures need at least one pixel.")
    if pictures is not None and not Path(pictures).is_dir():
        raise DataError(f"{pictures}: no folder; give --pictures the folder of Places205.")
    asked = None if pictures is None else str(Path(pictures).resolve())
    preparation = Preparation(
        "places-audio", source, out, {"pictures": asked, "size": size, "skip_damaged": skip_damaged}
    )
    finished = preparation.begin()
    if finished:
        return finished
    folder = find_folder(source, ("PlacesAudio_400k_distro",), (METADATA, *FILES_2020), "Places Audio")
    splits, bases = _read_metadata(folder)
    names = {recording.id: name for recordings in splits.values() for recording, name in recordings}
    root = _sound_root(folder, bases["audio_base_path"], next(iter(splits.values()))[0][0].sound)
    recordings = {split: [recording for recording, _ in pairs] for split, pairs in splits.items()}
    rows = recording_rows("places-audio", root, recordings, out, skip_damaged)
    picture_root = _picture_root(pictures, bases["image_base_path"])
    if picture_root is not None:
        rows = {split: [{**row, "picture": names[row["id"]]} for row in rows[split]] for split in rows}
        _pack(out, rows, picture_root, size)
    for split, split_rows in rows.items():
        write_manifest(out / f"{split}.jsonl", split_rows)
    roots = {"audio": root.resolve()} | ({"picture": picture_root.resolve()} if picture_root else {})
    return preparation.finish(list(rows), "official folder", LICENCE, roots)


_Pairs = dict[str, list[tuple[Recording, str]]]


def _read_metadata(folder: Path) -> tuple[_Pairs, dict[str, str]]:
    """For every split its recordings with their pictures' names, and the two base paths."""
    for files in (FILES, FILES_2020):
        for place in (folder / METADATA, folder):
            found = {split: place / name for name, split in files.items() if (place / name).is_file()}
            if found:
                bases: dict[str, str] = {}
                return {split: _read_file(path, bases) for split, path in found.items()}, bases
    raise DataError(f"{folder / METADATA}: neither train.json and val.json nor train_2020.json; download it again.")


def _read_file(path: Path, bases: dict[str, str]) -> list[tuple[Recording, str]]:
    content = read_json(path, _shorten)
    entries = content.get("data") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise DataError(f'{path}: no list "data"; this is no file of Places Audio.')
    for number, entry in enumerate(entries):
        if not isinstance(entry, tuple):
            raise DataError(
                f'{path}: entry {number}: expected "uttid", "wav" and "image" as text, inside their folders.'
            )
    for key in ("audio_base_path", "image_base_path"):
        bases.setdefault(key, one_line(content.get(key)))
    return entries


def _shorten(entry: dict[str, Any]) -> Any:
    """An entry as its recording and its picture's name."""
    identity, sound, picture = (entry.get(key) for key in ("uttid", "wav", "image"))
    if not (isinstance(identity, str) and isinstance(sound, str) and isinstance(picture, str)):
        return entry
    picture = picture.lstrip("/")
    if not (identity and is_inside(sound) and is_inside(picture)):
        return entry
    text, speaker = one_line(entry.get("asr_text")), one_line(entry.get("speaker"))
    return Recording(identity, identity, 0, text, sound, speaker), picture


def _sound_root(folder: Path, base: str, sound: str) -> Path:
    """The folder that sounds start from: this one, else the one that the metadata name."""
    if base and not (folder / sound).is_file() and (Path(base) / sound).is_file():
        return Path(base)
    return folder


def _picture_root(pictures: str | Path | None, base: str) -> Path | None:
    if pictures is not None:
        return Path(pictures)
    return Path(base) if base and Path(base).is_dir() else None


def _pack(out: Path, rows: dict[str, list[Row]], root: Path, size: int) -> None:
    names = [row["picture"] for split_rows in rows.values() for row in split_rows]
    missing = [name for name in names if not (root / name).is_file()]
    if missing:
        raise DataError(f"{root}: {len(missing)} of {len(names)} pictures are missing: {first_names(missing)}.")
    for split, split_rows in rows.items():
        pictures = functools.partial(_pictures, root, split_rows, size)
        pack_pictures(out / f"{split}.pictures.npy", len(split_rows), size, pictures)


def _pictures(root: Path, rows: Sequence[Row], size: int, start: int) -> Iterator[np.ndarray]:
    for row in rows[start:]:
        yield square_picture(root / row["picture"], size, row["picture"])
