"""METEOR 1.5: unigram matches that also take stems, synonyms and paraphrases. Needs Java.

The jar of pycocoevalcap aligns the words; what it finds of each caption is 23 counts, whose sums decide the score of
any set of captions. So intervals by resampling pictures cost nothing more.
"""

from collections.abc import Sequence

import numpy as np

from optophone.evaluation.java import NotMeasuredError, coco_folder, run_java
from optophone.evaluation.ngrams import Tokens, check_pairs

JAR = "meteor-1.5.jar"
N_COUNTS = 23
# The parameters for English of METEOR 1.5 (Denkowski & Lavie 2014, table 2): exact, stem, synonym, paraphrase matches.
_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75
_WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])


def meteor_statistics(captions: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> np.ndarray:
    """What METEOR needs to know of each picture; sums over pictures are all that `meteor_score` takes.

    Args:
        captions: one per picture, as words.
        references: at least one per picture; the one that gives the best score counts.

    Returns:
        (P, 23) float64: words of caption and reference, function words of both; for each of the four kinds of match
        the content words matched in caption and reference and the function words matched in both; chunks (0 for a
        caption that is matched as a whole, which is not scattered), and all words matched in caption and reference.

    Raises:
        DataError: no captions, or a picture without references.
        NotMeasuredError: Java or the package pycocoevalcap is missing, or the program failed.
    """
    check_pairs(captions, references)
    jar = coco_folder("meteor") / JAR
    if not jar.is_file():
        raise NotMeasuredError(f"needs {JAR} of pycocoevalcap: pip install --force-reinstall pycocoevalcap")
    lines = [
        " ||| ".join(["SCORE", *map(_line, some), _line(caption)])
        for caption, some in zip(captions, references, strict=True)
    ]
    options = ["-", "-", "-stdio", "-l", "en", "-norm"]
    given = "".join(line + "\n" for line in lines)
    arguments = ["-Xmx2G", "-XX:+UseSerialGC", "-Dfile.encoding=UTF-8", "-jar", str(jar), *options]
    found = run_java("METEOR", arguments, given, timeout_s=600 + len(lines) / 2)
    rows = [line.split() for line in found.splitlines() if line.strip()]
    if len(rows) != len(lines) or any(len(row) != N_COUNTS for row in rows):
        raise NotMeasuredError(f"METEOR gave {len(rows)} results for {len(lines)} captions")
    counts = np.array(rows, dtype=np.float64)
    chunks, matched, reference_matched = counts[:, 20:].T
    counts[(chunks == 1) & (matched == counts[:, 0]) & (reference_matched == counts[:, 1]), 20] = 0
    return counts


def meteor_score(totals: np.ndarray) -> np.ndarray:
    """METEOR from summed statistics.

    Args:
        totals: (..., 23) sums of `meteor_statistics` over pictures.

    Returns:
        (...) METEOR in 0..1.

    Source: Denkowski & Lavie 2014, section 2. Proof: tests/data/test_metrics_against_pycocoevalcap.py
    """
    length, reference_length, function, reference_function = (totals[..., i] for i in range(4))
    matches = totals[..., 4:20].reshape(*totals.shape[:-1], 4, 4) * _WEIGHTS[:, None]
    content, reference_content, matched, reference_matched = np.moveaxis(matches.sum(axis=-2), -1, 0)
    precision = _share(content, matched, length, function)
    recall = _share(reference_content, reference_matched, reference_length, reference_function)
    mean = _ratio(precision * recall, _ALPHA * precision + (1 - _ALPHA) * recall)
    chunks, words, reference_words = (totals[..., i] for i in range(20, 23))
    scattered = _ratio(chunks, (words + reference_words) / 2)
    return (1 - _GAMMA * scattered**_BETA) * mean


def _share(content: np.ndarray, function: np.ndarray, length: np.ndarray, n_function: np.ndarray) -> np.ndarray:
    """Weighted matches over weighted words; function words count less than content words."""
    weighted = _DELTA * (length - n_function) + (1 - _DELTA) * n_function
    return _ratio(_DELTA * content + (1 - _DELTA) * function, weighted)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below, and 0 where there is nothing below."""
    return np.divide(above, below, out=np.zeros(np.shape(above)), where=below > 0)


def _line(caption: Tokens) -> str:
    """Words in a row, without what separates captions."""
    return " ".join(word for word in map(str, caption) if "|||" not in word)
