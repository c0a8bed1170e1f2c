"""Manifests: one JSON object a line, one file per split, and `dataset.json`, which makes a folder a data set.

A prepared folder holds

- `<split>.jsonl`: the rows of a split, in a fixed order. Paths in rows are relative to a *root* of the data set.
- `<split>.<kind>.npy`: optional packed arrays with one entry per row (pictures, labels).
- `dataset.json`: name, format, splits with counts and hashes, options, roots, terms. It is written last, so a folder
  without it is unfinished.
"""

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from optophone.core.audio import read_wave
from optophone.core.errors import DataError
from optophone.core.whole_file import write_whole

FORMAT = 1
DATASET_FILE = "dataset.json"
PATH_FIELDS = ("picture", "audio")
SHARDS = "shards"  # the option of a data set whose pictures lie in tar files: split → shard → its size in bytes
_TEXTS = ("name", "source", "layout", "licence")
# What the known fields of a row must hold; a row may carry further fields.
FIELD_TYPES: dict[str, type | tuple[type, ...]] = {
    "id": str,
    "picture": str,
    "audio": str,
    "text": str,
    "speaker": str,
    "picture_id": str,
    "label": int,
    "caption_index": int,
    "offset": int,
    "n_samples": int,
    "n_bytes": int,
    "sha256": str,
    "sample_rate": int,
    "duration_s": (int, float),
    "captions": list,
}

Row = dict[str, Any]


@dataclass(frozen=True)
class Split:
    """One split of a data set: how many rows, and the sha256 of its manifest."""

    rows: int
    sha256: str


@dataclass(frozen=True)
class Dataset:
    """A finished folder written by `optophone prepare`.

    Attributes:
        name: the data set, for instance "flickr8k".
        folder: where it lies.
        splits: split name ("train", "dev", "test") to its count and hash.
        options: what it was prepared with.
        source: the folder it was prepared from.
        layout: which of the source layouts was read.
        licence: the terms of the data.
        roots: path field ("picture", "audio") to the folder that its relative paths start from; `folder` when absent.
    """

    name: str
    folder: Path
    splits: Mapping[str, Split]
    options: Mapping[str, Any]
    source: str
    layout: str
    licence: str
    roots: Mapping[str, Path] = field(default_factory=dict)

    def rows(self, split: str) -> list[Row]:
        """The rows of `split`; DataError where there is no such split."""
        self._require(split)
        return read_manifest(self.folder / f"{split}.jsonl")

    def path(self, kind: str, row: Mapping[str, Any]) -> Path:
        """The file that `row[kind]` names; kind is "picture" or "audio".

        Raises:
            DataError: the picture is no file but lies in a shard.
        """
        if kind == "picture" and "n_bytes" in row:
            raise DataError(self._only_in_shards())
        return self.root(kind) / row[kind]

    def root(self, kind: str) -> Path:
        """The folder that relative paths of this kind start from."""
        return self.roots.get(kind, self.folder)

    def wave(self, row: Mapping[str, Any]) -> tuple[np.ndarray, int]:
        """The audio of `row`: (N,) float32 mono, -1..1, and its sample rate in Hz.

        A row with "offset" lies in a packed int16 array, which is memory-mapped and not decoded; otherwise "audio" is
        a sound file.

        Raises:
            DataError: the packed array is missing or shorter than the row says.
            AudioError: the sound file cannot be read.
        """
        path = self.path("audio", row)
        if "offset" not in row:
            return read_wave(path)
        if not ("n_samples" in row and row["offset"] >= 0 and row.get("sample_rate", 0) > 0):
            raise DataError(f"{path}: {row['id']} lacks its place in the packed audio; prepare the data set again.")
        try:
            samples = _open_array(str(path))[row["offset"] : row["offset"] + row["n_samples"]]
        except Exception as error:  # NumPy hands the header to Python's tokenizer, and indices may be far too large
            raise DataError(f"{path}: cannot read the packed audio ({error}); prepare the data set again.") from None
        if len(samples) != row["n_samples"] or samples.dtype != np.int16:
            raise DataError(f"{path}: does not hold {row['id']}; prepare the data set again.")
        return samples.astype(np.float32) / 32768.0, row["sample_rate"]

    def array(self, split: str, kind: str) -> np.ndarray:
        """The packed array `kind` ("pictures", "labels") of `split`, memory-mapped; entry i belongs to row i."""
        self._require(split)
        path = self.folder / f"{split}.{kind}.npy"
        if not path.is_file() and kind == "pictures" and SHARDS in self.options:
            raise DataError(self._only_in_shards())
        if not path.is_file():
            raise DataError(f"{path}: no packed {kind} in this data set; prepare it again in an empty folder.")
        array = np.load(path, mmap_mode="r")
        if len(array) != self.splits[split].rows:
            raise DataError(f"{path}: {len(array)} entries for {self.splits[split].rows} rows; prepare it again.")
        return array

    def has_array(self, split: str, kind: str) -> bool:
        """Whether the packed array `kind` of `split` exists."""
        return (self.folder / f"{split}.{kind}.npy").is_file()

    def hash(self) -> str:
        """sha256 over the manifests of all splits: what a bundle records as `data_manifest_hash`."""
        lines = [f"{name} {split.sha256}\n" for name, split in sorted(self.splits.items())]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def _only_in_shards(self) -> str:
        return (
            f"{self.folder}: its pictures lie in shards, which captioners train on and evaluate captions reads; "
            "prepare the pictures from their files for anything else."
        )

    def _require(self, split: str) -> None:
        if split not in self.splits:
            raise DataError(f"{self.folder}: no split {split!r}; this data set has {', '.join(self.splits)}.")


def write_manifest(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write `rows` as JSON lines, through a temporary file; returns their number."""
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    write_whole(Path(path), "".join(lines).encode())
    return len(lines)


def read_manifest(path: str | Path) -> list[Row]:
    """The rows of the manifest at `path`, checked.

    Raises:
        DataError: the file is missing; or a line, named by its number, is no JSON object, lacks an id, repeats one, has
            a field of the wrong type, or has a path that is absolute or leaves its root.
    """
    path = Path(path)
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise DataError(f"{path}: cannot read the manifest ({error.strerror}).") from None
    rows: list[Row] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        row = _parse_row(line, f"{path}:{number}")
        first = seen.setdefault(row["id"], number)
        if first != number:
            raise DataError(f"{path}:{number}: id {row['id']!r} is already on line {first}; ids must differ.")
        rows.append(row)
    return rows


def manifest_hash(path: str | Path) -> str:
    """sha256 (hex) of the manifest's bytes."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def write_dataset(
    folder: str | Path,
    name: str,
    *,
    splits: Sequence[str],
    options: Mapping[str, Any],
    source: str,
    layout: str,
    licence: str,
    roots: Mapping[str, str | Path] | None = None,
) -> Dataset:
    """Write `dataset.json`, the last step of a preparation; the manifests of `splits` must lie in `folder`."""
    folder = Path(folder)
    entries = {}
    for split in splits:
        path = folder / f"{split}.jsonl"
        entries[split] = {"rows": path.read_bytes().count(b"\n"), "sha256": manifest_hash(path)}
    content = {
        "name": name,
        "format": FORMAT,
        "splits": entries,
        "options": dict(options),
        "source": source,
        "layout": layout,
        "licence": licence,
        "roots": {kind: str(root) for kind, root in (roots or {}).items()},
    }
    write_whole(folder / DATASET_FILE, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())
    return read_dataset(folder)


def read_dataset(folder: str | Path) -> Dataset:
    """The data set in `folder`, its manifests checked against their hashes.

    Raises:
        DataError: no `dataset.json` (unfinished), another format, or a manifest that was changed.
    """
    folder = Path(folder)
    path = folder / DATASET_FILE
    if not path.is_file():
        raise DataError(f"{folder}: no {DATASET_FILE}, so this is no finished data set; run optophone prepare.")
    try:
        content = json.loads(path.read_bytes())
        if content["format"] != FORMAT:
            raise DataError(f"{path}: format {content['format']}, this version reads {FORMAT}; prepare it again.")
        splits = {name: Split(int(entry["rows"]), str(entry["sha256"])) for name, entry in content["splits"].items()}
        dataset = Dataset(
            name=content["name"],
            folder=folder,
            splits=splits,
            options=content["options"],
            source=content["source"],
            layout=content["layout"],
            licence=content["licence"],
            roots={kind: folder / root for kind, root in content["roots"].items()},
        )
        if not all(isinstance(content[key], str) for key in _TEXTS) or not isinstance(dataset.options, dict):
            raise TypeError(f"{', '.join(_TEXTS)} are texts, options are an object")
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DataError(f"{path}: damaged ({type(error).__name__}: {error}); prepare it again.") from None
    for name, split in splits.items():
        _check_manifest(folder, name, split)
    return dataset


@functools.lru_cache(maxsize=256)
def _open_array(path: str) -> np.ndarray:
    """A packed array, kept open: opening costs more than reading a few seconds of sound."""
    return np.load(path, mmap_mode="r")


def _check_manifest(folder: Path, name: str, split: Split) -> None:
    if not is_inside(f"{name}.jsonl") or "/" in name:
        raise DataError(f"{folder / DATASET_FILE}: {name!r} is no name for a split.")
    path = folder / f"{name}.jsonl"
    if not path.is_file():
        raise DataError(f"{path}: the manifest is missing; prepare the data set again in an empty folder.")
    if manifest_hash(path) != split.sha256:
        raise DataError(f"{path}: changed since {DATASET_FILE} was written; prepare the data set again.")


def _parse_row(line: bytes, where: str) -> Row:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where}: not JSON ({error}).") from None
    if not isinstance(row, dict) or not isinstance(row.get("id"), str):
        raise DataError(f'{where}: a row is a JSON object with a text "id".')
    for name, expected in FIELD_TYPES.items():
        if name in row and (not isinstance(row[name], expected) or isinstance(row[name], bool)):
            raise DataError(f"{where}: {name!r} has the wrong type: {str(row[name])[:60]!r}.")
    if not all(isinstance(caption, str) for caption in row.get("captions", [])):
        raise DataError(f"{where}: 'captions' holds something other than text.")
    for name in PATH_FIELDS:
        if name in row and not is_inside(row[name]):
            raise DataError(f"{where}: {name!r} must be a relative path without '..', found {row[name]!r}.")
    return row


def is_inside(path: str) -> bool:
    """Whether `path` is relative and does not climb out of its root, on any operating system."""
    windows = PureWindowsPath(path)
    absolute = PurePosixPath(path).is_absolute() or bool(windows.drive or windows.root)
    return bool(path) and not absolute and ".." not in windows.parts and "\x00" not in path
