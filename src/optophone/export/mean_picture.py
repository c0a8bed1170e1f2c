"""What a model remembers of pictures on average: what guidance leads away from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from optophone.core.bundle import BundleWriter
from optophone.core.picture import PictureSpec, prepare_picture
from optophone.runtime.mean_picture import MEAN_PICTURE


@torch.no_grad()
def write_mean_picture(model: Any, picture: PictureSpec, pictures: Sequence[np.ndarray], writer: BundleWriter) -> None:
    """Write the means over `pictures` (H, W, 3) uint8, at least one, as `MeanPicture` reads them.

    Args:
        model: with `begin`, (B, 3, H, W) → memory and first state.
        picture: what it takes.
        pictures: of the training.
        writer: of the bundle.
    """
    seen = [model.begin(torch.from_numpy(prepare_picture(shown, picture)[None])) for shown in pictures]
    means = {f"memory.{i}": _mean(parts) for i, parts in enumerate(zip(*(memory for memory, _ in seen), strict=True))}
    for i, parts in enumerate(zip(*(state for _, state in seen), strict=True)):
        if any(not torch.equal(part, parts[0]) for part in parts):
            means[f"state.{i}"] = _mean(parts)
    np.savez(writer.path(MEAN_PICTURE), allow_pickle=False, **means)


def _mean(parts: Sequence[torch.Tensor]) -> np.ndarray:
    total = parts[0].double()
    for part in parts[1:]:
        total = total + part
    return (total / len(parts)).float().numpy()
