"""A stream that is refined in chunks is what it would be as a whole."""

from collections.abc import Iterator

import numpy as np
import pytest

from optophone.runtime.prenet_masks import prenet_masks
from optophone.runtime.refined_stream import ChunkConfig, refine_stream


def spread_out(x: np.ndarray, context: int, ratio: int) -> np.ndarray:
    """Each place the sum of those within `context`, `ratio` times."""
    padded = np.pad(x, ((0, 0), (context, context)))
    summed = sum(padded[:, i : i + x.shape[1]] for i in range(2 * context + 1))
    return np.repeat(summed, ratio, axis=1)


@pytest.mark.parametrize("context", [0, 1, 5])
@pytest.mark.parametrize("ratio", [1, 3])
@pytest.mark.parametrize("n_places", [1, 4, 9, 40])
@pytest.mark.parametrize("piece", [1, 3, 100])
def test_the_chunks_are_the_whole(context: int, ratio: int, n_places: int, piece: int) -> None:
    x = np.random.default_rng(n_places).integers(0, 9, (2, n_places))
    pieces = (x[:, first : first + piece] for first in range(0, n_places, piece))
    chunks = list(refine_stream(pieces, lambda one: spread_out(one, context, ratio), ChunkConfig(context, 2, 4), ratio))
    np.testing.assert_array_equal(np.concatenate(chunks, axis=1), spread_out(x, context, ratio))
    assert all(chunk.shape[1] for chunk in chunks)


def test_a_chunk_comes_as_soon_as_its_context_is_there() -> None:
    asked = []

    def pieces() -> Iterator[np.ndarray]:
        for i in range(30):
            asked.append(i)
            yield np.full((1, 1), i)

    stream = refine_stream(pieces(), lambda one: one, ChunkConfig(context=3, first=2, later=6))
    assert next(stream).tolist() == [[0, 1]]
    assert len(asked) == 5
    assert next(stream).tolist() == [[2, 3, 4, 5, 6, 7]]
    assert len(asked) == 11


def test_nothing_is_kept_that_is_not_needed() -> None:
    widths = []

    def refine(one: np.ndarray) -> np.ndarray:
        widths.append(one.shape[1])
        return one

    x = np.zeros((1, 200))
    list(refine_stream((x[:, i : i + 1] for i in range(200)), refine, ChunkConfig(3, 2, 6)))
    assert max(widths) == 6 + 2 * 3


def test_masks_come_from_their_seed() -> None:
    first, again, other = ([next(masks) for _ in range(70)] for masks in (prenet_masks(5, seed) for seed in (1, 1, 2)))
    assert all(
        np.array_equal(a, b) for one, two in zip(first, again, strict=True) for a, b in zip(one, two, strict=True)
    )
    assert not all(np.array_equal(one[0], two[0]) for one, two in zip(first, other, strict=True))
    assert set(np.concatenate([one[1].ravel() for one in first]).tolist()) == {0.0, 2.0}
    assert next(prenet_masks(4, 0, dropout=False))[0].tolist() == [[1.0] * 4]
