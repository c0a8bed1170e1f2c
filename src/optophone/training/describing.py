"""Captions from a captioner in training, by the same search that the runtime uses."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from optophone.core.search import Hypothesis, SearchConfig, search
from optophone.core.vocabulary import Vocabulary


def regions_of(model: Any, pictures: Tensor) -> Tensor:
    """Regions (B, R, D) of pictures (B, 3, H, W), by the encoder of `model`; regions come back as they are."""
    if pictures.ndim == 3:
        return pictures
    return model.encoder(pictures.to(memory_format=torch.channels_last))


@torch.inference_mode()
def describe(
    decoder: nn.Module,
    regions: Tensor,
    vocabulary: Vocabulary,
    config: SearchConfig,
    regions_mask: Tensor | None = None,
) -> list[list[Hypothesis]]:
    """Captions of pictures whose regions are known.

    Args:
        decoder: a member of the captioner family, in evaluation mode.
        regions: (B, R, D).
        vocabulary: with start and end; start, padding and unknown are never chosen.
        config: how to search; without its guidance, for which a bundle keeps the mean picture.
        regions_mask: (B, R) true where valid, or None when all are.

    Returns:
        for each picture its hypotheses, best first.
    """
    assert vocabulary.start is not None
    assert vocabulary.end is not None
    memory, state = decoder.begin(regions, regions_mask)  # type: ignore[operator]
    remembered = _Memory(memory, len(regions), bool(getattr(decoder, "shares_memory", False)))

    def step(ids: np.ndarray, parts: tuple[Any, ...]) -> tuple[np.ndarray, np.ndarray, tuple[Any, ...]]:
        pictures, moving = parts[0], parts[1:]
        symbols = torch.from_numpy(ids).to(regions.device)
        log_probs, attention, following = decoder.step(symbols, remembered.of(pictures), moving)  # type: ignore[operator]
        return log_probs.cpu().numpy(), attention.float().cpu().numpy(), (pictures, *following)

    special = {i for i in (vocabulary.pad, vocabulary.start, vocabulary.unknown) if i is not None}
    never = replace(config, forbidden=tuple(sorted({*config.forbidden, *special})), guidance=0.0)
    parts = (np.arange(len(regions)), *state)
    return search(step, parts, vocabulary.start, vocabulary.end, never, len(regions), n_memory=1)


class _Memory:
    """What the decoder remembers of the pictures, a row for each sequence; or, where it can do with that, a picture.

    Args:
        parts: memory of `begin`, a row a picture.
        n_pictures: rows of it.
        shared: whether the decoder takes several sequences a row of memory, where every picture has equally many.
    """

    def __init__(self, parts: tuple[Tensor, ...], n_pictures: int, shared: bool) -> None:
        self._all, self._shared = parts, shared
        self._rows = np.arange(n_pictures)
        self._parts = parts

    def of(self, pictures: np.ndarray) -> tuple[Tensor, ...]:
        """The memory of sequences of these `pictures` (N,), those of a picture lying together."""
        rows = pictures
        if self._shared:
            different, n_sequences = np.unique(pictures, return_counts=True)
            if (n_sequences == n_sequences[0]).all():
                rows = different
        if not np.array_equal(rows, self._rows):
            self._rows, self._parts = rows, tuple(part[rows] for part in self._all)
        return self._parts
