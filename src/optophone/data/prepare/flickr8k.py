"""Flickr8k: photographs with five captions each (Hodosh, Young and Hockenmaier 2013).

The official layout is read: `Flicker8k_Dataset/*.jpg` (so spelt) and `Flickr8k_text/` with `Flickr8k.token.txt` and
the lists `Flickr_8k.{train,dev,test}Images.txt`. Whichever lists are present become splits.
"""

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from optophone.core.errors import DataError
from optophone.data.manifest import Dataset, Row, write_manifest
from optophone.data.prepare.packing import pack_pictures, square_picture
from optophone.data.prepare.preparation import Preparation

LICENCE = "Research use; the photographs belong to their Flickr authors."
PICTURE_FOLDERS = ("Flicker8k_Dataset", "Flickr8k_Dataset")
TEXT_FOLDER = "Flickr8k_text"
TOKEN_FILE = "Flickr8k.token.txt"
SPLITS = ("train", "dev", "test")


def prepare_flickr8k(source: str | Path, out: str | Path, size: int = 192) -> Dataset:
    """Read Flickr8k at `source` and write `out`: manifests and packed pictures.

    Rows are {"id", "picture", "captions"}: the captions as in the token file, in the order of their numbers; "picture"
    is the original file, from the picture folder of `source`. Row i belongs to entry i of `<split>.pictures.npy`
    (n, size, size, 3) uint8, squashed to a square. Does nothing where `out` is finished; continues where it was
    interrupted.

    Args:
        source: the folder with the pictures and `Flickr8k_text`.
        out: the folder to write.
        size: height and width of the packed pictures in pixels.

    Raises:
        DataError: the layout is not found, pictures or captions are missing, or `out` holds something else.
        PictureError: a picture cannot be read.
    """
    source, out = Path(source), Path(out)
    if size < 1:
        raise DataError(f"--size {size}: the packed pictures need at least one pixel.")
    preparation = Preparation("flickr8k", source, out, {"size": size})
    finished = preparation.begin()
    if finished:
        return finished
    folder = _picture_folder(source)
    captions = read_captions(source / TEXT_FOLDER / TOKEN_FILE)
    splits = {name: _rows(folder, captions, names) for name, names in read_lists(source / TEXT_FOLDER).items()}
    for name, rows in splits.items():
        pictures = functools.partial(_pictures, folder, rows, size)
        pack_pictures(out / f"{name}.pictures.npy", len(rows), size, pictures)
        write_manifest(out / f"{name}.jsonl", rows)
    return preparation.finish(list(splits), "official folder", LICENCE, {"picture": folder.resolve()})


def _picture_folder(source: Path) -> Path:
    for name in PICTURE_FOLDERS:
        if (source / name).is_dir():
            return source / name
    raise DataError(f"{source}: no Flickr8k here; expected the folders {PICTURE_FOLDERS[0]} and {TEXT_FOLDER}.")


def read_captions(path: Path) -> dict[str, list[str]]:
    """Picture name to its captions, from lines `NAME#NUMBER<tab>CAPTION`."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise DataError(f"{path}: missing; it holds the captions.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}).") from None
    numbered: dict[str, dict[int, str]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        key, tab, caption = line.rstrip("\r").partition("\t")
        name, _, index = key.rpartition("#")
        if not (tab and name and index.isascii() and index.isdigit() and caption.strip()):
            raise DataError(f"{path}:{number}: expected NAME.jpg#NUMBER, a tab and a caption, found {line[:60]!r}.")
        if int(index) in numbered.setdefault(name, {}):
            raise DataError(f"{path}:{number}: {key} occurs twice.")
        numbered[name][int(index)] = caption
    return {name: [captions[index] for index in sorted(captions)] for name, captions in numbered.items()}


def read_lists(folder: Path) -> dict[str, list[str]]:
    """Split name to picture names, for the lists that are present; a picture belongs to one split only."""
    lists = {}
    owner: dict[str, str] = {}
    for split in SPLITS:
        path = folder / f"Flickr_8k.{split}Images.txt"
        if not path.is_file():
            continue
        lists[split] = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        if not lists[split]:
            raise DataError(f"{path}: names no pictures.")
        for name in lists[split]:
            if name in owner:
                raise DataError(f"{path}: {name} is already in the {owner[name]} list; a picture stands in one, once.")
            owner[name] = split
    if not lists:
        raise DataError(f"{folder}: no list Flickr_8k.trainImages.txt, devImages or testImages; one is needed.")
    return lists


def _rows(folder: Path, captions: dict[str, list[str]], names: list[str]) -> list[Row]:
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise DataError(f"{folder}: {len(missing)} of {len(names)} pictures are missing: {_first(missing)}.")
    silent = [name for name in names if name not in captions]
    if silent:
        raise DataError(f"{TOKEN_FILE}: {len(silent)} of {len(names)} pictures have no captions: {_first(silent)}.")
    return [{"id": Path(name).stem, "picture": name, "captions": captions[name]} for name in names]


def _first(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _pictures(folder: Path, rows: list[Row], size: int, start: int) -> Iterator[np.ndarray]:
    for row in rows[start:]:
        yield square_picture(folder / row["picture"], size, row["picture"])
