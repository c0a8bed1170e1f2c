"""Tiny ImageNet: 200 classes, 64 × 64 pictures, for pretraining a visual encoder.

Two layouts are read: the official folder, and WebDataset shards. The validation pictures become the split `dev`.
"""

import functools
import json
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from optophone.core.errors import DataError
from optophone.core.whole_file import whole_file, write_whole
from optophone.data.manifest import Dataset, Row, write_manifest
from optophone.data.prepare.packing import pack_pictures, square_picture
from optophone.data.prepare.preparation import Preparation

LICENCE = "Research use; the photographs belong to their authors (ImageNet terms of access)."
SIZE = 64
PICTURE_SUFFIXES = ("webp", "jpg", "jpeg", "png")
MAX_MEMBER_BYTES = 16 * 2**20
# our split name: how the source calls it
SPLITS = {"train": "train", "dev": "val"}


@dataclass(frozen=True)
class SourceSplit:
    """The rows of a split, and a function that yields its pictures (64, 64, 3) uint8 from a given row on."""

    rows: list[Row]
    pictures: Callable[[int], Iterator[np.ndarray]]


def prepare_tiny_imagenet(source: str | Path, out: str | Path) -> Dataset:
    """Read Tiny ImageNet at `source` and write `out`: manifests, packed pictures and labels, classes.json.

    Rows are {"id", "picture", "label"}; row i belongs to entry i of `<split>.pictures.npy` (n, 64, 64, 3) uint8 and
    `<split>.labels.npy` (n,) int64. Does nothing where `out` is finished; continues where it was interrupted.

    Raises:
        DataError: neither layout is found, or it is damaged; or `out` holds something else.
        PictureError: a picture cannot be read.
    """
    source, out = Path(source), Path(out)
    preparation = Preparation("tiny-imagenet", source, out, {})
    finished = preparation.begin()
    if finished:
        return finished
    layout, classes, splits = _read_source(source)
    for name, split in splits.items():
        pack_pictures(out / f"{name}.pictures.npy", len(split.rows), SIZE, split.pictures)
        _write_labels(out / f"{name}.labels.npy", split.rows)
        write_manifest(out / f"{name}.jsonl", split.rows)
    write_whole(out / "classes.json", (json.dumps(classes, indent=1, ensure_ascii=False) + "\n").encode())
    return preparation.finish(list(splits), layout, LICENCE, {"picture": source.resolve()})


def _read_source(source: Path) -> tuple[str, list[dict[str, str]], dict[str, SourceSplit]]:
    """The layout's name, the classes in label order, and the splits."""
    if (source / "wnids.txt").is_file():
        classes = _official_classes(source)
        splits = {"train": _official_train(source, classes), "dev": _official_val(source, classes)}
        return "official folder", classes, splits
    if _shards(source, "train"):
        classes = _shard_classes(source)
        splits = {name: _read_shards(_shards(source, theirs), len(classes)) for name, theirs in SPLITS.items()}
        return "WebDataset shards", classes, {name: split for name, split in splits.items() if split.rows}
    raise DataError(
        f"{source}: no Tiny ImageNet here; expected wnids.txt, train/ and val/, or train-*.tar.gz and classes.json."
    )


# The official folder.


def _official_classes(source: Path) -> list[dict[str, str]]:
    names = {}
    words = source / "words.txt"
    if words.is_file():
        for line in words.read_text(encoding="utf-8").splitlines():
            wnid, _, name = line.partition("\t")
            names[wnid] = name.strip()
    wnids = (source / "wnids.txt").read_text(encoding="utf-8").split()
    if not wnids:
        raise DataError(f"{source / 'wnids.txt'}: names no classes.")
    return [{"wnid": wnid, "name": names.get(wnid, wnid)} for wnid in wnids]


def _official_train(source: Path, classes: list[dict[str, str]]) -> SourceSplit:
    rows: list[Row] = []
    for label, entry in enumerate(classes):
        folder = source / "train" / entry["wnid"] / "images"
        files = sorted(path for path in folder.glob("*") if path.suffix.lower() in (".jpeg", ".jpg"))
        if not files:
            raise DataError(f"{folder}: no pictures of class {entry['wnid']}, which wnids.txt names.")
        rows += [{"id": path.stem, "picture": path.relative_to(source).as_posix(), "label": label} for path in files]
    return SourceSplit(rows, functools.partial(_official_pictures, source, rows))


def _official_val(source: Path, classes: list[dict[str, str]]) -> SourceSplit:
    annotations = source / "val" / "val_annotations.txt"
    if not annotations.is_file():
        raise DataError(f"{annotations}: missing; it gives the classes of the validation pictures.")
    labels = {entry["wnid"]: label for label, entry in enumerate(classes)}
    rows: list[Row] = []
    for number, line in enumerate(annotations.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        name, _, rest = line.partition("\t")
        wnid = rest.partition("\t")[0].strip()
        if wnid not in labels:
            raise DataError(f"{annotations}:{number}: expected a file name, a tab and a class of wnids.txt.")
        rows.append({"id": Path(name).stem, "picture": f"val/images/{name}", "label": labels[wnid]})
    missing = [row["picture"] for row in rows if not (source / row["picture"]).is_file()]
    if missing:
        raise DataError(f"{source}: {len(missing)} validation pictures are missing: {', '.join(missing[:3])}.")
    return SourceSplit(rows, functools.partial(_official_pictures, source, rows))


def _official_pictures(source: Path, rows: list[Row], start: int) -> Iterator[np.ndarray]:
    for row in rows[start:]:
        yield square_picture(source / row["picture"], SIZE, row["picture"])


# WebDataset shards: tar files whose members KEY.webp and KEY.cls stand side by side.


def _shards(source: Path, split: str) -> list[Path]:
    return sorted(path for path in source.glob(f"{split}-*") if path.name.endswith((".tar", ".tar.gz", ".tgz")))


def _shard_classes(source: Path) -> list[dict[str, str]]:
    path = source / "classes.json"
    try:
        return [{"wnid": entry["wnid"], "name": entry["name"]} for entry in json.loads(path.read_bytes())]
    except FileNotFoundError:
        raise DataError(f"{path}: missing; it gives the wnid and name of every label.") from None
    except (ValueError, KeyError, TypeError):
        raise DataError(f'{path}: expected a list of {{"wnid": …, "name": …}}.') from None


def _read_shards(shards: list[Path], n_classes: int) -> SourceSplit:
    """A first pass over `shards` for names and labels; the pictures are decoded in a second one."""
    rows: list[Row] = []
    for shard in shards:
        for key, members in _samples(shard):
            where = f"{shard.name}: {key}"
            suffix = _picture_suffix(members, where)
            if "cls" not in members:
                raise DataError(f"{where}: no {key}.cls beside the picture.")
            text = members["cls"].decode("ascii", "replace").strip()
            if not text.isascii() or not text.isdigit() or int(text) >= n_classes:
                raise DataError(f"{where}: class {text[:20]!r} is not one of 0..{n_classes - 1} of classes.json.")
            rows.append({"id": key, "picture": f"{shard.name}/{key}.{suffix}", "label": int(text)})
    repeated = [key for key, count in Counter(row["id"] for row in rows).items() if count > 1]
    if repeated:
        raise DataError(f"{shards[0].parent}: {len(repeated)} keys occur twice: {', '.join(repeated[:3])}.")
    return SourceSplit(rows, functools.partial(_shard_pictures, shards))


def _shard_pictures(shards: list[Path], start: int) -> Iterator[np.ndarray]:
    index = 0
    for shard in shards:
        for key, members in _samples(shard):
            if index >= start:
                where = f"{shard.name}: {key}"
                yield square_picture(members[_picture_suffix(members, where)], SIZE, where)
            index += 1


def _samples(shard: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Key and members (suffix to content) of each sample; nothing is unpacked to disk, no name is used as a path."""
    key = ""
    members: dict[str, bytes] = {}
    try:
        with tarfile.open(shard, "r|*") as archive:
            for member in archive:
                if not tarfile.data_filter(member, str(shard.parent)).isreg():
                    continue
                if member.size > MAX_MEMBER_BYTES:
                    raise DataError(f"{shard.name}: {member.name} has {member.size} bytes; this is no small picture.")
                stem, _, suffix = member.name.rpartition("/")[2].partition(".")
                if stem != key and members:
                    yield key, members
                    members = {}
                key = stem
                content = archive.extractfile(member)
                assert content is not None
                members[suffix.lower()] = content.read()
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise DataError(f"{shard}: damaged ({error}); download it again.") from None
    if members:
        yield key, members


def _picture_suffix(members: dict[str, bytes], where: str) -> str:
    for suffix in PICTURE_SUFFIXES:
        if suffix in members:
            return suffix
    raise DataError(f"{where}: no picture; expected one of {', '.join(PICTURE_SUFFIXES)}.")


def _write_labels(path: Path, rows: list[Row]) -> None:
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        np.save(file, np.array([row["label"] for row in rows], dtype=np.int64))
