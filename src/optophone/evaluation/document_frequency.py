"""In how many pictures of a set each n-gram comes: what CIDEr and CIDEr-D weigh n-grams by.

Published figures count over the references of the evaluated set, self-critical training over the training set. A
counted set can be kept in a file, so that captions of a few pictures can be scored by the frequencies of a large set.

The file is a NumPy archive (.npz, no pickle) with

- `header`: the bytes of a JSON object: format 1, n_pictures, key (what was counted, any text), tokens (the different
  words, or ids of symbols);
- `ngrams`: (U, 4) int32, places in `tokens` of the tokens of each n-gram, -1 after its end;
- `counts`: (U,) int32, in how many pictures it comes.
"""

import contextlib
import hashlib
import json
import zipfile
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from optophone.core.errors import DataError
from optophone.core.whole_file import whole_file, why_unwritten
from optophone.evaluation.ngrams import MAX_ORDER, TokenIds, Tokens, check_references, list_ngrams, sorted_distinct

FORMAT = 1


@dataclass(frozen=True, eq=False)
class DocumentFrequency:
    """In how many pictures each n-gram comes.

    Args:
        n_pictures: how many pictures were counted.
        tokens: the different tokens.
        ngrams: (U, 4) int32, places in `tokens`, -1 after the end of an n-gram of fewer than four.
        counts: (U,) int32, number of pictures with the n-gram in any reference.
    """

    n_pictures: int
    tokens: tuple[Hashable, ...]
    ngrams: np.ndarray
    counts: np.ndarray

    def count(self, ngram: Tokens) -> int:
        """In how many pictures `ngram`, 1 to 4 tokens, comes; to look at single ones, as it searches through all."""
        if any(token not in self.tokens for token in ngram):
            return 0
        row = [self.tokens.index(token) for token in ngram] + [-1] * (MAX_ORDER - len(ngram))
        return int(self.counts[(self.ngrams == row).all(axis=1)].sum())


def document_frequency(references: Sequence[Sequence[Tokens]]) -> DocumentFrequency:
    """Count in how many pictures of `references` each n-gram comes, to score other captions by it.

    Raises:
        DataError: no pictures, or a picture without references.
    """
    check_references(references)
    ids = TokenIds()
    flat, lengths = ids.flatten([caption for captions in references for caption in captions])
    picture = np.repeat(np.arange(len(references)), [len(captions) for captions in references])
    listed = list_ngrams(flat, lengths)
    keys, first, key_index = np.unique(listed.key, return_index=True, return_inverse=True)
    pairs = sorted_distinct(picture[listed.caption] * len(keys) + key_index)
    counts = np.bincount(pairs % len(keys), minlength=len(keys)) if len(keys) else np.zeros(0)
    place = listed.start[first][:, None] + np.arange(MAX_ORDER)
    inside = np.arange(MAX_ORDER) <= listed.order[first][:, None]
    ngrams = np.where(inside, np.append(flat, np.full(MAX_ORDER, -1))[place], -1)
    return DocumentFrequency(len(references), ids.tokens(), ngrams.astype(np.int32), counts.astype(np.int32))


def save_document_frequency(path: str | Path, frequency: DocumentFrequency, key: str = "") -> None:
    """Write `frequency`, all or nothing; `key` says what was counted.

    Raises:
        DataError: the tokens are neither words nor numbers, or the file cannot be written.
    """
    path = Path(path)
    if not all(type(token) in (str, int) for token in frequency.tokens):
        raise DataError(f"{path}: only n-grams of words or of whole numbers can be saved.")
    header = {"format": FORMAT, "n_pictures": frequency.n_pictures, "key": key, "tokens": frequency.tokens}
    encoded = np.frombuffer(json.dumps(header, ensure_ascii=False).encode(), np.uint8)
    try:
        with whole_file(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, header=encoded, ngrams=frequency.ngrams, counts=frequency.counts)
    except OSError as error:
        raise DataError(f"{path}: cannot write the document frequencies ({why_unwritten(error)}).") from None


def load_document_frequency(path: str | Path, key: str | None = None) -> DocumentFrequency:
    """Read what `save_document_frequency` wrote.

    Args:
        path: the file.
        key: what must have been counted; None for anything.

    Raises:
        DataError: missing, damaged, not such a file, or of something else than `key`.
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            header = json.loads(archive["header"].tobytes())
            ngrams, counts = archive["ngrams"], archive["counts"]
        if header["format"] != FORMAT or (key is not None and header["key"] != key):
            raise ValueError(f"format {header['format']}, of {header['key']!r}")
        frequency = DocumentFrequency(int(header["n_pictures"]), tuple(header["tokens"]), ngrams, counts)
        _check(frequency)
    except OSError as error:
        raise DataError(f"{path}: cannot read the document frequencies ({error.strerror or error}).") from None
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not a file of document frequencies ({type(error).__name__}: {error}).") from None
    return frequency


def cached_document_frequency(
    folder: str | Path, key: str, references: Callable[[], Sequence[Sequence[Tokens]]]
) -> DocumentFrequency:
    """The frequencies kept in `folder` under `key`, or those of `references()`, which are then kept.

    Args:
        folder: where files `document-frequency-*.npz` lie; one that cannot be written to is no error.
        key: names all that decides the counts, such as the data set's hash, the split and the vocabulary's hash.
        references: makes the captions of every picture; called only where nothing is kept, or what is kept is damaged.

    Raises:
        DataError: no pictures, or a picture without references.
    """
    path = Path(folder) / f"document-frequency-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
    if path.is_file():
        with contextlib.suppress(DataError):  # damaged: counted again and replaced
            return load_document_frequency(path, key)
    frequency = document_frequency(references())
    with contextlib.suppress(DataError):  # a data set on a disk that cannot be written to serves too
        save_document_frequency(path, frequency, key)
    return frequency


def _check(frequency: DocumentFrequency) -> None:
    """Refuse arrays that do not fit together."""
    ngrams, counts = frequency.ngrams, frequency.counts
    if frequency.n_pictures < 1 or ngrams.shape != (len(counts), MAX_ORDER) or ngrams.dtype.kind != "i":
        raise ValueError("arrays of the wrong shape")
    if len(ngrams) and not (ngrams.min() >= -1 and ngrams.max() < len(frequency.tokens)):
        raise ValueError("n-grams of unknown tokens")
