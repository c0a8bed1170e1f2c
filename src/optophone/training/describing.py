"""Captions from a captioner in training, by the same search that the runtime uses."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from optophone.core.search import Hypothesis, SearchConfig, search
from optophone.core.vocabulary import Vocabulary


@torch.no_grad()
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
        config: how to search.
        regions_mask: (B, R) true where valid, or None when all are.

    Returns:
        for each picture its hypotheses, best first.
    """
    assert vocabulary.start is not None
    assert vocabulary.end is not None
    memory, state = decoder.begin(regions, regions_mask)  # type: ignore[operator]
    n_memory = len(memory)

    def step(ids: np.ndarray, parts: tuple[Tensor, ...]) -> tuple[np.ndarray, np.ndarray, tuple[Tensor, ...]]:
        kept, moving = parts[:n_memory], parts[n_memory:]
        log_probs, attention, following = decoder.step(torch.from_numpy(ids).to(regions.device), kept, moving)  # type: ignore[operator]
        return log_probs.cpu().numpy(), attention.float().cpu().numpy(), (*kept, *following)

    special = {i for i in (vocabulary.pad, vocabulary.start, vocabulary.unknown) if i is not None}
    never = replace(config, forbidden=tuple(sorted({*config.forbidden, *special})))
    parts = (*memory, *state)
    return search(step, parts, vocabulary.start, vocabulary.end, never, len(regions), n_memory)
