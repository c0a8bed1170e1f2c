"""Statistics of pictures, plain and with a history, computed once and kept beside the run."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from optophone.core.errors import DataError
from optophone.core.picture import load_picture
from optophone.core.picture_statistics import picture_statistics
from optophone.core.whole_file import whole_file
from optophone.data.manifest import Dataset, Row
from optophone.data.picture_history import with_history
from optophone.data.prepare.progress import show_progress

_BETWEEN_SAVES = 200


@dataclass(frozen=True)
class PictureViews:
    """Pictures whose statistics are wanted, each once as it is and `n_histories` times with a history.

    Args:
        dataset: with picture files, or with packed pictures.
        split: of it.
        n_pictures: evenly spread over the split; 0 for all.
        n_histories: further views of each.
        are_photographs: see `with_history`.
    """

    dataset: Dataset
    split: str
    n_pictures: int
    n_histories: int
    are_photographs: bool

    def rows(self) -> list[Row]:
        """The rows that are taken."""
        rows = self.dataset.rows(self.split)
        if not rows:
            raise DataError(f"{self.dataset.folder}: {self.split} has no pictures.")
        n = min(self.n_pictures or len(rows), len(rows))
        return [rows[i * len(rows) // n] for i in range(n)]

    def statistics(self, path: Path) -> np.ndarray:
        """(pictures, 1 + n_histories, D) float32, kept in `path`; an interrupted call goes on where it was.

        Raises:
            DataError: a picture cannot be found.
            PictureError: a picture cannot be read.
        """
        rows = self.rows()
        done = _kept(path, len(rows), 1 + self.n_histories)
        found = list(done)
        for views in show_progress(self._views(rows[len(found) :]), len(rows), path.stem, len(found)):
            found.append(views)
            if len(found) % _BETWEEN_SAVES == 0:
                _keep(path, np.stack(found))
        if len(found) > len(done):
            _keep(path, np.stack(found))
        return np.stack(found)

    def _views(self, rows: Sequence[Row]) -> Iterator[np.ndarray]:
        packed = None
        if not self.dataset.path("picture", rows[0] if rows else self.rows()[0]).is_file():
            packed = self.dataset.array(self.split, "pictures")
            places = {row["id"]: i for i, row in enumerate(self.dataset.rows(self.split))}
        for row in rows:
            if packed is None:
                picture = load_picture(self.dataset.path("picture", row))
            else:
                picture = np.array(packed[places[row["id"]]])
            views = [picture_statistics(picture)]
            for number in range(self.n_histories):
                generator = np.random.default_rng([zlib.crc32(row["id"].encode()), number])
                aged = with_history(Image.fromarray(picture), generator, self.are_photographs)
                views.append(picture_statistics(np.asarray(aged)))
            yield np.stack(views)


def _kept(path: Path, n_pictures: int, n_views: int) -> np.ndarray:
    """What an earlier call left in `path`; empty where it left nothing that fits."""
    if path.is_file():
        kept = np.load(path)
        if kept.ndim == 3 and kept.shape[1] == n_views and len(kept) <= n_pictures:
            return kept
    return np.zeros((0, n_views, 1), np.float32)


def _keep(path: Path, statistics: np.ndarray) -> None:
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        np.save(file, statistics.astype(np.float32))
