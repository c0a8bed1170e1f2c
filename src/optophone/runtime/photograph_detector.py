"""Is a picture a photograph at all? A small network in NumPy over statistics of the picture."""

import math
from pathlib import Path

import numpy as np

from optophone.core.errors import BundleError
from optophone.core.picture_statistics import far_view, picture_statistics
from optophone.core.protocols import Judgement

PHOTOGRAPH_FILE = "photograph.npz"
_ARRAYS = ("mean", "scale", "limit", "threshold", "first.weight", "first.bias", "second.weight", "second.bias")
_BLANK_RANGE = 16  # levels of 256 between the 1st and the 99th percentile


class NumpyPhotographDetector:
    """Picture → photograph or not (a `PhotographDetector`), from a file that `optophone train` wrote.

    Args:
        path: photograph.npz of a captioner's bundle.

    Raises:
        BundleError: the file is damaged or was written for other statistics.
    """

    def __init__(self, path: Path) -> None:
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in _ARRAYS}
            numbers = all(value.dtype.kind in "fiu" and np.isfinite(value).all() for value in arrays.values())
            self.threshold = float(arrays["threshold"])
        except Exception as error:  # zipfile, zlib and NumPy each raise their own on a stranger's bytes
            raise BundleError(f"{path}: no detector of photographs ({' '.join(str(error).split())[:100]}).") from None
        self.arrays = arrays
        n_statistics = len(picture_statistics(np.zeros((8, 8, 3), np.uint8)))
        n_hidden = len(arrays["first.weight"]) if arrays["first.weight"].ndim else 0
        shapes = {
            "mean": (n_statistics,), "scale": (n_statistics,), "limit": (), "threshold": (),
            "first.weight": (n_hidden, n_statistics), "first.bias": (n_hidden,),
            "second.weight": (1, n_hidden), "second.bias": (1,),
        }  # fmt: skip
        if not numbers or any(arrays[name].shape != shape for name, shape in shapes.items()):
            raise BundleError(f"{path}: made for other statistics of pictures than this version's; train it again.")

    def judge(self, picture: np.ndarray) -> Judgement:
        """Judge `picture` (H, W, 3) uint8 RGB."""
        far = far_view(picture)
        probability = self.probability(picture_statistics(picture, far))
        is_blank = looks_blank(far)
        return Judgement(probability, probability >= self.threshold and not is_blank, is_blank)

    def probability(self, statistics: np.ndarray) -> float:
        """0..1 of statistics (D,)."""
        arrays, limit = self.arrays, self.arrays["limit"]
        standard = np.clip((statistics - arrays["mean"]) / arrays["scale"], -limit, limit)
        hidden = np.maximum(arrays["first.weight"] @ standard + arrays["first.bias"], 0)
        logit = float(arrays["second.weight"][0] @ hidden + arrays["second.bias"][0])
        return 1 / (1 + math.exp(-max(min(logit, 60.0), -60.0)))


def looks_blank(far: np.ndarray) -> bool:
    """Whether a picture is all of one colour, given its `far_view`: the same in nearly all of its pixels."""
    low, high = np.quantile(far.reshape(-1, 3), (0.01, 0.99), axis=0)
    return bool((high - low).max() < _BLANK_RANGE)
