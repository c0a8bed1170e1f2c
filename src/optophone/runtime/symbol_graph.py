"""The graph of an acoustic model that reads symbols: `ids` (1, S) and, of several voices, `speaker` (1,)."""

from collections.abc import Sequence

import numpy as np

from optophone.core.errors import BundleError, TextError
from optophone.runtime.session import Graph


def check_speakers(graph: Graph, speakers: Sequence[str]) -> None:
    """Refuse a graph that cannot tell its bundle's `speakers` apart, or would have to.

    Raises:
        BundleError: the graph takes a speaker and there is one, or takes none and there are several.
    """
    takes_speaker = "speaker" in graph.inputs
    if takes_speaker != (len(speakers) > 1):
        takes = "takes a speaker" if takes_speaker else "takes none"
        raise BundleError(f"{graph.path}: the graph {takes} but the bundle names {len(speakers)}; export it again.")


def checked_symbols(ids: np.ndarray) -> np.ndarray:
    """`ids` (S,) as the graph takes them.

    Raises:
        TextError: there are none.
    """
    ids = np.ascontiguousarray(ids, dtype=np.int64)
    if ids.ndim != 1 or not len(ids):
        raise TextError("there is nothing to say: the text has no symbol that the voice knows.")
    return ids


def read_symbols(graph: Graph, ids: np.ndarray, speaker: int) -> dict[str, np.ndarray]:
    """The outputs of the graph for `ids` (S,) by name; the number of the speaker counts where there are several."""
    feeds = {"ids": ids[None]}
    if "speaker" in graph.inputs:
        feeds["speaker"] = np.array([speaker], dtype=np.int64)
    return dict(zip(graph.outputs, graph.run(feeds), strict=True))
