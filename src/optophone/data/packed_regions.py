"""Region features of many pictures in one memory-mapped array, found by the pictures' ids.

A folder that `optophone prepare region-features` wrote is a data set with the single split "all": its rows say which
rows of `all.regions.npy` (total, D) belong to a picture.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from optophone.core.errors import DataError
from optophone.data.manifest import Dataset, Row

SPLIT = "all"
REGIONS_FILE = f"{SPLIT}.regions.npy"


class PackedRegions:
    """The regions of a prepared data set.

    Args:
        dataset: of `optophone prepare region-features`.

    Raises:
        DataError: the data set has no regions, or its rows do not fit the array.
    """

    def __init__(self, dataset: Dataset) -> None:
        path = dataset.folder / REGIONS_FILE
        if not path.is_file():
            raise DataError(f"{dataset.folder}: no region features; make them with optophone prepare region-features.")
        try:
            self.array = np.load(path, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read ({error}); prepare the region features again.") from None
        self.folder = dataset.folder
        self.places: dict[str, tuple[int, int]] = {}
        total = len(self.array) if self.array.ndim == 2 else 0
        for row in dataset.rows(SPLIT):
            first, n_regions = row.get("offset", -1), row.get("n_regions")
            if not (isinstance(n_regions, int) and 0 <= first < first + n_regions <= total):
                raise DataError(f"{path}: does not hold the regions of {row['id']}; prepare the region features again.")
            self.places[row["id"]] = (first, n_regions)

    @property
    def dim(self) -> int:
        """D, features per region."""
        return self.array.shape[1]

    def __getitem__(self, picture: str) -> np.ndarray:
        """(R, D) float32 of the picture with that id."""
        first, n_regions = self.places[picture]
        return np.asarray(self.array[first : first + n_regions], np.float32)

    def ids_of(self, rows: Sequence[Row]) -> list[str]:
        """Under which id the picture of each of `rows`, of a caption data set, is found here.

        Raises:
            DataError: pictures without regions; the first are named.
        """
        found = [next((key for key in picture_keys(row) if key in self.places), None) for row in rows]
        missing = [row["id"] for row, key in zip(rows, found, strict=True) if key is None]
        if missing:
            names = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
            raise DataError(f"{self.folder}: no regions of {len(missing)} of {len(rows)} pictures: {names}.")
        return [key for key in found if key is not None]


def picture_keys(row: Mapping[str, Any]) -> list[str]:
    """Ids that extractors give the picture of a row: the row's own, its file's name, COCO's number without zeros."""
    keys = [row["id"]]
    if "picture" in row:
        keys.append(PurePosixPath(row["picture"]).stem)
    numbers = [re.fullmatch(r"(?:COCO_[a-z]+\d{4}_)?0*(\d+)", key) for key in keys]
    return [*keys, *(match[1] for match in numbers if match)]
