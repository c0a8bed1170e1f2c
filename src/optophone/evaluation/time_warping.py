"""How far sequences of frames are apart when time may stretch: many pairs at once, in NumPy."""

from collections.abc import Callable, Sequence

import numpy as np

_CELLS = 1_000_000  # of the padded tables that are in memory at once


def warped_means(costs: np.ndarray, n_first: np.ndarray, n_second: np.ndarray) -> np.ndarray:
    """Mean cost along the cheapest path through each table.

    A path goes from the first pair of frames to the last one, a step at a time in one of the sequences or in both.
    Among equally cheap ways into a cell the diagonal is taken, then a step in the first sequence.

    Args:
        costs: (P, N, M) of each pair of frames, at least 0; what lies beyond the lengths does not matter.
        n_first, n_second: (P,) valid rows and columns of each table, at least 1.

    Returns:
        (P,) sum of the costs along the path over the cells of the path.

    Source: Sakoe and Chiba 1978, symmetric steps with weight 1; normalised as by Schatz et al. 2013.
    """
    n_pairs, n_rows, n_columns = costs.shape
    total = np.empty((n_rows, n_columns, n_pairs))
    steps = np.ones((n_rows, n_columns, n_pairs))
    costs = np.ascontiguousarray(costs.transpose(1, 2, 0))
    total[0] = np.cumsum(costs[0], axis=0)
    steps[0] = np.arange(1, n_columns + 1)[:, None]
    total[:, 0] = np.cumsum(costs[:, 0], axis=0)
    steps[:, 0] = np.arange(1, n_rows + 1)[:, None]
    for i in range(1, n_rows):
        for j in range(1, n_columns):
            best, taken = total[i - 1, j - 1], steps[i - 1, j - 1]
            for other, length in ((total[i - 1, j], steps[i - 1, j]), (total[i, j - 1], steps[i, j - 1])):
                nearer = other < best
                best, taken = np.where(nearer, other, best), np.where(nearer, length, taken)
            np.add(best, costs[i, j], out=total[i, j])
            np.add(taken, 1, out=steps[i, j])
    ends = (n_first - 1, n_second - 1, np.arange(n_pairs))
    return total[ends] / steps[ends]


def unit_distances(units: Sequence[np.ndarray], costs: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(P,) distances of the pairs (`first`, `second`) of sequences of codes.

    Args:
        units: (S,) codes each, S at least 1.
        costs: (K, K) of two codes at the same time, see `different_codes` and `angles`.
        first, second: (P,) which of `units` are compared.
    """

    def table(chosen_first: np.ndarray, chosen_second: np.ndarray) -> np.ndarray:
        return costs[_padded(units, chosen_first)[:, :, None], _padded(units, chosen_second)[:, None, :]]

    return _distances(units, first, second, table)


def vector_distances(frames: Sequence[np.ndarray], first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(P,) distances of the pairs (`first`, `second`) of sequences of vectors, by the angles between these.

    Args:
        frames: (T, D) each, T at least 1.
        first, second: (P,) which of `frames` are compared.
    """
    directions = [_directions(one) for one in frames]

    def table(chosen_first: np.ndarray, chosen_second: np.ndarray) -> np.ndarray:
        cosines = _padded(directions, chosen_first) @ _padded(directions, chosen_second).transpose(0, 2, 1)
        return np.arccos(np.clip(cosines, -1, 1)) / np.pi

    return _distances(directions, first, second, table)


def different_codes(n_codes: int) -> np.ndarray:
    """(K, K) costs: 0 for a code and itself, 1 for two codes."""
    return 1.0 - np.eye(n_codes)


def angles(vectors: np.ndarray) -> np.ndarray:
    """(K, K) angles between `vectors` (K, D), 0 for the same direction and 1 for the opposite one."""
    directions = _directions(np.asarray(vectors, np.float64))
    found = np.arccos(np.clip(directions @ directions.T, -1, 1)) / np.pi
    np.fill_diagonal(found, 0)
    return (found + found.T) / 2


def _distances(
    sequences: Sequence[np.ndarray],
    first: np.ndarray,
    second: np.ndarray,
    table: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    """Pairs of like size together, so that little is computed beyond their ends."""
    lengths = np.array([len(one) for one in sequences])
    n_first, n_second = lengths[first], lengths[second]
    order = np.lexsort((n_second, n_first))
    found = np.empty(len(first))
    start = 0
    while start < len(order):
        most = len(order) - start
        while True:
            chosen = order[start : start + most]
            cells = n_first[chosen].max() * n_second[chosen].max()
            if most == 1 or most * cells <= _CELLS:
                break
            most = max(1, min(most // 2, int(_CELLS // cells) or 1))
        costs = table(first[chosen], second[chosen])
        found[chosen] = warped_means(costs, n_first[chosen], n_second[chosen])
        start += most
    return found


def _padded(sequences: Sequence[np.ndarray], chosen: np.ndarray) -> np.ndarray:
    """The chosen sequences (n, longest, …) one above the other, zeros after their ends."""
    longest = max(len(sequences[i]) for i in chosen)
    together = np.zeros((len(chosen), longest, *sequences[chosen[0]].shape[1:]), sequences[chosen[0]].dtype)
    for row, i in zip(together, chosen, strict=True):
        row[: len(sequences[i])] = sequences[i]
    return together


def _directions(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
