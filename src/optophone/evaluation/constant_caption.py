"""The one caption that says most about any picture: what a system is worth that does not look."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from optophone.core.errors import DataError
from optophone.evaluation.cider import CiderD
from optophone.evaluation.document_frequency import document_frequency


@dataclass(frozen=True)
class ConstantCaptionConfig:
    """How the caption is sought.

    Args:
        n_candidates: captions that are tried.
        n_pictures: that they are tried on; none of them is one that a candidate was written for.
        n_first: pictures of the first round.
        n_kept: candidates that are left after it.
        seed: of the drawing.
    """

    n_candidates: int = 3000
    n_pictures: int = 1000
    n_first: int = 100
    n_kept: int = 50
    seed: int = 0


@dataclass(frozen=True)
class ConstantCaption:
    """A caption for all pictures.

    Args:
        text: as it was written.
        cider_d: its mean CIDEr-D times 100 on the pictures that it was sought with.
    """

    text: str
    cider_d: float


def constant_caption(
    captions: Sequence[Sequence[str]],
    tokenizer: Callable[[Sequence[str]], list[list[str]]],
    config: ConstantCaptionConfig | None = None,
) -> ConstantCaption:
    """The caption with the highest mean CIDEr-D over pictures that it was not written for.

    Args:
        captions: of each picture of a training set.
        tokenizer: cuts texts into words.
        config: how it is sought: candidates drawn by chance, in two rounds.

    Raises:
        DataError: fewer than two pictures with captions.
    """
    config = config or ConstantCaptionConfig()
    pictures = [list(some) for some in captions if some]
    if len(pictures) < 2:
        raise DataError("A constant caption is sought with the captions of two pictures at least.")
    drawn = np.random.default_rng(config.seed).permutation(len(pictures))
    n_pictures = min(config.n_pictures, len(pictures) // 2)
    references = [tokenizer(pictures[i]) for i in drawn[:n_pictures]]
    texts = [text for i in drawn[n_pictures:] for text in pictures[i]]
    order = np.random.default_rng(config.seed).permutation(len(texts))[: config.n_candidates]
    texts = [texts[i] for i in order]
    words = tokenizer(texts)
    scorer = CiderD(references, document_frequency(references))
    kept = np.arange(len(words))
    for n, n_left in ((min(config.n_first, n_pictures), config.n_kept), (n_pictures, 1)):
        candidates = [words[i] for i in kept for _ in range(n)]
        scores = scorer.score(candidates, np.tile(np.arange(n), len(kept))).reshape(len(kept), n).mean(axis=1)
        best = np.argsort(-scores, kind="stable")[:n_left]
        kept, scores = kept[best], scores[best]
    return ConstantCaption(texts[kept[0]], 100 * float(scores[0]))
