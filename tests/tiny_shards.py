"""Small WebDataset shards, for tests of who reads them."""

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from optophone.data.manifest import Dataset
from optophone.data.prepare.caption_shards import prepare_caption_shards


def write_shard(path: Path, members: Sequence[tuple[str, bytes]], format: int = tarfile.PAX_FORMAT) -> Path:
    """A tar file of `members`, name and content, in their order."""
    with tarfile.open(path, "w", format=format) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def encoded(picture: np.ndarray, kind: str = "PNG") -> bytes:
    """A picture (H, W, 3) uint8 as a file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, kind)
    return file.getvalue()


def put_into_shards(packed: Dataset, shards: Path, out: Path, n_in_shard: int = 4) -> Dataset:
    """The packed pictures and captions of a data set as shards, and their index: the same rows."""
    shards.mkdir()
    for split in packed.splits:
        rows, pictures = packed.rows(split), packed.array(split, "pictures")
        for first in range(0, len(rows), n_in_shard):
            members = []
            for row, picture in zip(rows[first : first + n_in_shard], pictures[first:], strict=False):
                members.append((f"{row['id']}.png", encoded(np.array(picture))))
                members.append((f"{row['id']}.txt", "\n".join(row["captions"]).encode()))
            write_shard(shards / f"{split}-{first:05d}.tar", members)
    return prepare_caption_shards([shards], out, jobs=1)
