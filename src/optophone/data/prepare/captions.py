"""What preparations of captioned pictures share: which pictures are there, packing them, and the manifests."""

import functools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from optophone.core.errors import DataError
from optophone.data.manifest import Dataset, Row, write_manifest
from optophone.data.prepare.packing import pack_pictures, square_picture
from optophone.data.prepare.preparation import Preparation

SPLITS = ("train", "dev", "test")


def caption_options(size: int, features_only: bool) -> dict[str, Any]:
    """What `Preparation` is to remember: the size, or that there are no pictures.

    Raises:
        DataError: a size without pixels.
    """
    if features_only:
        return {"features_only": True}
    if size < 1:
        raise DataError(f"--size {size}: the packed pictures need at least one pixel.")
    return {"size": size}


def write_captioned(
    preparation: Preparation, splits: Mapping[str, Sequence[Row]], root: Path | None, layout: str, licence: str
) -> Dataset:
    """Pack the pictures of all splits, write the manifests, and finish.

    Pictures are read, squashed and written one by one into an array on disk, so memory does not grow with their number.

    Args:
        preparation: begun, with the options of `caption_options`.
        splits: name to rows {"id", "picture", "captions"}; "picture" is relative to `root`.
        root: folder of the pictures; None for captions without pictures, whose rows then name none.
        layout: which of the source layouts was read.
        licence: the terms.

    Raises:
        DataError: an id comes twice; or pictures, or captions, are missing, which are counted and named.
        PictureError: a picture cannot be read.
    """
    _check_captions(splits)
    if root is not None:
        _check_pictures(root, [row["picture"] for rows in splits.values() for row in rows])
    for name, rows in splits.items():
        if root is None:
            rows = [{key: value for key, value in row.items() if key != "picture"} for row in rows]
        else:
            size = preparation.options["size"]
            pictures = functools.partial(_pictures, root, rows, size)
            pack_pictures(preparation.out / f"{name}.pictures.npy", len(rows), size, pictures)
        write_manifest(preparation.out / f"{name}.jsonl", rows)
    roots = {} if root is None else {"picture": root.resolve()}
    return preparation.finish(list(splits), layout, licence, roots)


def read_json(path: Path, shorten: Callable[[dict[str, Any]], Any]) -> Any:
    """The content of a JSON file, every object in it passed through `shorten` as soon as it is read.

    Raises:
        DataError: the file is missing or holds no JSON.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file, object_hook=shorten)
    except OSError as error:
        raise DataError(f"{path}: cannot read the captions ({error.strerror}).") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error}).") from None


def one_line(text: object) -> str:
    """A caption without the line breaks and double spaces that some have; "" for what is no text."""
    return " ".join(text.split()) if isinstance(text, str) else ""


def first_names(names: Sequence[str]) -> str:
    """The first three of `names`, for messages."""
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _check_captions(splits: Mapping[str, Sequence[Row]]) -> None:
    seen: set[str] = set()
    for name, rows in splits.items():
        for row in rows:
            if row["id"] in seen:
                raise DataError(f"{name}: the picture {row['id']} occurs twice; a picture stands in one split, once.")
            seen.add(row["id"])
        silent = [row["picture"] for row in rows if not row["captions"]]
        if silent:
            raise DataError(f"{name}: {len(silent)} of {len(rows)} pictures have no captions: {first_names(silent)}.")


def _check_pictures(root: Path, names: Sequence[str]) -> None:
    """Refuse to begin where pictures are missing; one listing a folder, because asking file by file is slow."""
    present: dict[str, set[str]] = {}
    missing = []
    for name in names:
        folder, _, file = name.rpartition("/")
        if folder not in present:
            present[folder] = _listing(root / folder)
        if file not in present[folder]:
            missing.append(name)
    if missing:
        raise DataError(
            f"{root}: {len(missing)} of {len(names)} pictures are missing: {first_names(missing)}; "
            "add them, or prepare the captions alone with --features-only."
        )


def _listing(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries}
    except OSError:
        return set()


def _pictures(root: Path, rows: Sequence[Row], size: int, start: int) -> Iterator[np.ndarray]:
    for row in rows[start:]:
        yield square_picture(root / row["picture"], size, row["picture"])
