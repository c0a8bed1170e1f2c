"""What the model of a bundle remembers of pictures on average, for guidance."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from optophone.core.bundle import Bundle
from optophone.core.errors import BundleError, ConfigurationError

MEAN_PICTURE = "mean_picture.npz"


class MeanPicture:
    """The mean memory of many pictures, and the mean first state where it depends on the picture.

    Args:
        path: mean_picture.npz: float32 arrays (1, ...) by the names of the encoder graph's outputs, all of the memory
            and those of the state that are not the same for every picture.
        memory_names, state_names: of the encoder graph.

    Raises:
        BundleError: the file is damaged, or lacks a part of the memory.
    """

    def __init__(self, path: Path, memory_names: Sequence[str], state_names: Sequence[str]) -> None:
        self.path = path
        try:
            with np.load(path, allow_pickle=False) as file:
                self.memory = [file[name] for name in memory_names]
                self.state = [file[name] if name in file.files else None for name in state_names]
        except Exception as error:  # zipfile, zlib and NumPy each raise their own on a stranger's bytes
            raise BundleError(f"{path}: no mean picture ({' '.join(str(error).split())[:100]}).") from None
        arrays = [*self.memory, *(state for state in self.state if state is not None)]
        if any(array.dtype != np.float32 or not np.isfinite(array).all() for array in arrays):
            raise BundleError(f"{path}: has values that are no numbers; export it again.")

    def in_place_of(
        self, memory: Sequence[np.ndarray], state: Sequence[np.ndarray]
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The mean picture in the place of each of B pictures, of which these are memory and first state (B, ...).

        Raises:
            BundleError: the mean is that of another encoder.
        """
        seen = [*zip(self.memory, memory, strict=True)]
        seen += [(mean, own) for mean, own in zip(self.state, state, strict=True) if mean is not None]
        if any(mean.shape != (1, *own.shape[1:]) for mean, own in seen):
            raise BundleError(f"{self.path}: is of another encoder; export it again.")
        return (
            [mean.repeat(len(own), 0) for mean, own in zip(self.memory, memory, strict=True)],
            [own if mean is None else mean.repeat(len(own), 0) for mean, own in zip(self.state, state, strict=True)],
        )


def required(mean_picture: MeanPicture | None, name: str) -> MeanPicture:
    """The mean picture of the bundle `name`, for which guidance was asked.

    Raises:
        ConfigurationError: it has none.
    """
    if mean_picture is None:
        raise ConfigurationError(f"{name}: has no mean picture to be guided by; leave the guidance at 0.")
    return mean_picture


def read_mean_picture(bundle: Bundle, memory_names: Sequence[str], state_names: Sequence[str]) -> MeanPicture | None:
    """The mean picture of a bundle, or None where it has none.

    Raises:
        BundleError: it is damaged.
    """
    if MEAN_PICTURE not in bundle.manifest.files:
        return None
    return MeanPicture(bundle.file(MEAN_PICTURE), memory_names, state_names)
