"""Captioned pictures in WebDataset shards: an index of them to train on. The shards stay as they are.

A sample is a picture, `0001.jpg`, beside its captions: `0001.json`, an object with `caption` or `captions` (a text or a
list of texts), `0001.txt`, a caption a line, or both. Source: WebDataset's description of its format; the output of
img2dataset.
"""

import functools
import hashlib
import json
import multiprocessing
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from optophone.core.errors import DataError, PictureError
from optophone.core.picture import PictureLimits, load_picture
from optophone.core.text import tokenize_caption
from optophone.core.whole_file import write_whole
from optophone.data.manifest import SHARDS, Dataset, Row, write_manifest
from optophone.data.prepare.captions import first_names, one_line
from optophone.data.prepare.preparation import Preparation
from optophone.data.prepare.progress import show_progress
from optophone.data.prepare.recordings import DAMAGED_FILE
from optophone.data.shards import Group, Member, list_shards, read_groups

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
MAX_TEXT_BYTES = 1 << 20
LIMITS = {**dict.fromkeys(PICTURES, PictureLimits().max_bytes), ".json": MAX_TEXT_BYTES, ".txt": MAX_TEXT_BYTES}
PARTS_FOLDER = "parts"
LICENCE = "As the shards."
# What a shard is called after: `coco-train-0001.tar`, `val2014/0001.tar`.
_NAMED = re.compile(r"(?<![a-z])(train|dev|val|valid|validation|test)(?![a-z])")
_SPLITS = {"val": "dev", "valid": "dev", "validation": "dev"}


@dataclass(frozen=True)
class ShardIndexing:
    """One shard to be looked through: its file, its name in the index, and the file that its rows go to."""

    path: str
    name: str
    part: Path
    skip_damaged: bool


def prepare_caption_shards(
    places: Sequence[str | os.PathLike[str]],
    out: str | Path,
    patterns: Sequence[tuple[str, str]] = (),
    skip_damaged: bool = False,
    jobs: int | None = None,
) -> Dataset:
    """Look through shards of captioned pictures and write manifests to `out` that say where each picture lies.

    Rows are {"id", "picture", "offset", "n_bytes", "sha256", "captions"}: "picture" is the shard, "id" the key of the
    sample, behind the shard's name where a key occurs in several. The root of the shards is kept relative to `out`
    unless one was given with an absolute path. Does nothing where `out` is finished; an interrupted run continues with
    the first shard that was not looked through.

    With several jobs each shard is read by another process, so a script that calls this needs the usual
    `if __name__ == "__main__":`.

    Args:
        places: shards, and folders of them.
        out: the folder to write.
        patterns: split and glob of names of its shards; a shard belongs to the first that fits. Without them, to the
            split that it or its folder is called after.
        skip_damaged: leave out samples that cannot be learned from, and shards that cannot be read to their end, and
            name them in damaged.txt, instead of stopping.
        jobs: processes at a time; as many as there are processors when None.

    Raises:
        DataError: no shards, one without a split, one that is damaged or has damaged samples; or `out` holds something
            else.
    """
    out, shards = Path(out), list_shards(places)
    root = Path(os.path.commonpath([os.path.dirname(shard) for shard in shards]))
    names = dict(sorted((_name(shard, root), shard) for shard in shards))
    splits = _divide(names, root, patterns)
    sizes = {split: {name: os.path.getsize(names[name]) for name in splits[split]} for split in splits}
    preparation = Preparation("shards", root, out, {SHARDS: sizes, "skip_damaged": skip_damaged})
    finished = preparation.begin()
    if finished:
        return finished
    numbered = {name: out / PARTS_FOLDER / f"{number:06d}.json" for number, name in enumerate(names)}
    work = [ShardIndexing(names[name], name, part, skip_damaged) for name, part in numbered.items()]
    _look_through(work, jobs or os.cpu_count() or 1)
    _write_rows(out, {split: [numbered[name] for name in splits[split]] for split in splits})
    absolute = any(os.path.isabs(place) for place in places)
    kept = root if absolute else Path(os.path.relpath(os.path.realpath(root), os.path.realpath(out)))
    dataset = preparation.finish(list(splits), "WebDataset shards", LICENCE, {"picture": kept.as_posix()})
    shutil.rmtree(out / PARTS_FOLDER, ignore_errors=True)
    return dataset


def index_shard(work: ShardIndexing) -> None:
    """Look through a shard and write its part: {"rows": [...], "damaged": [a line each]}.

    Raises:
        DataError: something of it is damaged, and that is not to be left out.
    """
    rows: list[Row] = []
    damaged: list[str] = []
    try:
        for group in read_groups(work.path, LIMITS):
            try:
                rows.append(_row(group, work.name))
            except (DataError, PictureError) as error:
                line = f"{work.path}: {group.key!a} {error}"
                if not work.skip_damaged:
                    raise DataError(line) from None
                damaged.append(" ".join(line.split()))
        if not rows and not damaged:
            raise DataError(f"{work.path}: holds no pictures ({', '.join(PICTURES)}).")
    except DataError as error:
        if not work.skip_damaged:
            raise DataError(f"{error} Or leave such out with --skip-damaged.") from None
        rows, damaged = [], [str(error)]  # of a damaged shard nobody knows what else is wrong
    write_whole(work.part, json.dumps({"rows": rows, "damaged": damaged}).encode())


def captions_of(members: Sequence[Member]) -> list[str]:
    """The captions beside a picture, each once, in their order; those without a word are left out.

    Raises:
        DataError: a file of them cannot be read, or there is none with a caption.
    """
    texts: list[object] = []
    for member in members:
        if member.suffix == ".json":
            texts += _texts_of_json(member.content)
        elif member.suffix == ".txt":
            texts += _decoded(member.content).splitlines()
    captions = dict.fromkeys(one_line(text) for text in texts)
    found = [caption for caption in captions if tokenize_caption(caption)]
    if not found:
        raise DataError("has no caption beside it, in .json or .txt.")
    if not all(caption.isascii() or _is_text(caption) for caption in found):
        raise DataError("has a caption that is no text.")
    return found


def _row(group: Group, shard: str) -> Row:
    if group.error:
        raise DataError(f"{group.error}.")
    pictures = [member for member in group.members if member.suffix in PICTURES]
    if not group.key or not group.key.isprintable():
        raise DataError("has no name before the first dot, or one that cannot be printed.")
    if len(pictures) != 1:
        raise DataError(f"has {len(pictures) or 'no'} pictures beside its captions, where one belongs.")
    captions, picture = captions_of(group.members), pictures[0]
    load_picture(picture.content)
    return {
        "id": group.key,
        "picture": shard,
        "offset": picture.offset,
        "n_bytes": len(picture.content),
        "sha256": hashlib.sha256(picture.content).hexdigest(),
        "captions": captions,
    }


def _texts_of_json(content: bytes) -> list[object]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"has a .json that is none ({error}).") from None
    if not isinstance(found, dict):
        raise DataError("has a .json that is no object with captions.")
    texts: list[object] = []
    for given in (found.get("caption"), found.get("captions")):
        texts += given if isinstance(given, list) else [given]
    return texts


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"has a .txt that is not UTF-8 ({error.reason} at byte {error.start}).") from None


def _is_text(caption: str) -> bool:
    """Whether it can be written; JSON may hold halves of characters."""
    try:
        caption.encode()
    except UnicodeEncodeError:
        return False
    return True


def _name(shard: str, root: Path) -> str:
    """The shard's path from `root`."""
    name = Path(os.path.relpath(shard, root)).as_posix()
    if not _is_text(name):
        raise DataError(f"{shard!a}: this name is not UTF-8; rename the shard.")
    return name


def _divide(names: Mapping[str, str], root: Path, patterns: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """Split → its shards, in their order.

    Raises:
        DataError: a shard belongs to no split, or a split has no shard.
    """
    splits: dict[str, list[str]] = {}
    for name, shard in names.items():
        split = _split_by_pattern(name, patterns) if patterns else _split_by_name(name, root)
        if split is None:
            reason = "fits no --split; add one that it fits" if patterns else "its name says no split; give --split"
            raise DataError(f"{shard}: {reason}, for instance --split train='{Path(name).name}'.")
        splits.setdefault(split, []).append(name)
    for split, pattern in patterns:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", split):
            raise DataError(f"--split {split}={pattern}: {split!r} is no name for a split; give train, dev or test.")
        if split not in splits:
            raise DataError(f"--split {split}={pattern}: none of the {len(names)} shards is called so.")
    return splits


def _split_by_pattern(name: str, patterns: Sequence[tuple[str, str]]) -> str | None:
    file = Path(name).name
    return next((split for split, glob in patterns if fnmatchcase(name, glob) or fnmatchcase(file, glob)), None)


def _split_by_name(name: str, root: Path) -> str | None:
    """After the file's name, or else the folder's."""
    path = root / name
    for called in (path.name, path.parent.name):
        found = _NAMED.findall(called.lower())
        if found:
            return _SPLITS.get(found[0], found[0])
    return None


def _look_through(work: Sequence[ShardIndexing], jobs: int) -> None:
    """Index the shards that have no part yet, each in one of `jobs` processes."""
    missing = [one for one in work if not one.part.is_file()]
    watch = functools.partial(show_progress, total=len(work), label="shards", start=len(work) - len(missing))
    if missing:
        missing[0].part.parent.mkdir(exist_ok=True)
    if min(jobs, len(missing)) < 2:
        for one in watch(missing):
            index_shard(one)
        return
    executor = ProcessPoolExecutor(min(jobs, len(missing)), mp_context=multiprocessing.get_context("spawn"))
    try:
        for _ in watch(executor.map(index_shard, missing)):
            pass
    except BrokenProcessPool:
        raise DataError("A process was ended from outside; run the same command again to continue.") from None
    finally:
        executor.shutdown(cancel_futures=True)


def _write_rows(out: Path, parts: Mapping[str, Sequence[Path]]) -> None:
    """Join the parts of each split into its manifest, and the damage of all into damaged.txt."""
    found = {split: [json.loads(path.read_bytes()) for path in parts[split]] for split in parts}
    counts = Counter(row["id"] for contents in found.values() for content in contents for row in content["rows"])
    is_ambiguous = counts.total() > len(counts)
    for split, contents in found.items():
        if not any(content["rows"] for content in contents):
            lines = [line for content in contents for line in content["damaged"]]
            raise DataError(f"{split}: nothing of its shards can be learned from: {first_names(lines)}")
        write_manifest(out / f"{split}.jsonl", _joined(contents, is_ambiguous))
    damaged = [line for contents in found.values() for content in contents for line in content["damaged"]]
    if damaged:
        write_whole(out / DAMAGED_FILE, "".join(f"{line}\n" for line in damaged).encode())


def _joined(contents: Sequence[Mapping[str, Any]], is_ambiguous: bool) -> Iterator[Row]:
    for content in contents:
        for row in content["rows"]:
            yield {**row, "id": f"{row['picture']}/{row['id']}"} if is_ambiguous else row
