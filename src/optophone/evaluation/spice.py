"""SPICE: agreement of the objects, attributes and relations that a parser finds. Needs Java and Stanford CoreNLP 3.6.0.

The program comes with pycocoevalcap, the parser does not (400 MB). Its two jars are looked for in the folder named by
the environment variable OPTOPHONE_CORENLP, then where pycocoevalcap looks for them.
"""

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from optophone.evaluation.java import NotMeasuredError, coco_folder, java_version, run_java
from optophone.evaluation.ngrams import check_pairs

JAR = "spice-1.0.jar"
CORENLP = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")
FOLDER_VARIABLE = "OPTOPHONE_CORENLP"
# Its libraries are of 2015 and look into the JDK, which Java forbids from version 16 on unless told otherwise.
_OPENED = ("java.base/java.lang", "java.base/java.util", "java.base/java.nio", "java.base/sun.nio.ch")


def spice(captions: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """SPICE of each caption; the score of the set is the mean.

    Args:
        captions: one text per picture.
        references: at least one text per picture.

    Returns:
        (P,) float64 in 0..1; 0 where nothing was found in a caption nor in its references.

    Raises:
        DataError: no captions, or a picture without references.
        NotMeasuredError: Java, pycocoevalcap or CoreNLP is missing, or the program failed.

    Source: Anderson et al. 2016.
    """
    check_pairs(captions, references)
    version, classes = java_version(), _class_path()
    pictures = zip(captions, references, strict=True)
    items = [{"image_id": i, "test": caption, "refs": list(some)} for i, (caption, some) in enumerate(pictures)]
    opened = [f"--add-opens={package}=ALL-UNNAMED" for package in _OPENED] if version >= 9 else []
    with tempfile.TemporaryDirectory(prefix="optophone-spice-") as scratch:
        given, found = Path(scratch) / "given.json", Path(scratch) / "found.json"
        given.write_text(json.dumps(items), encoding="utf-8")
        program = ["-Xmx8G", *opened, "-cp", classes, "edu.anu.spice.SpiceScorer"]
        run_java("SPICE", [*program, str(given), "-out", str(found), "-silent"], "", timeout_s=1800 + 2 * len(items))
        return _read(found, len(items))


def _class_path() -> str:
    """All jars that SPICE needs."""
    folder = coco_folder("spice")
    places = [Path(os.environ[FOLDER_VARIABLE])] if os.environ.get(FOLDER_VARIABLE) else []
    for place in (*places, folder / "lib"):
        if all((place / name).is_file() for name in CORENLP):
            jars = [folder / JAR, *(place / name for name in CORENLP), folder / "lib" / "*"]
            return os.pathsep.join(map(str, jars))
    raise NotMeasuredError(
        f"needs {' and '.join(CORENLP)}, from https://nlp.stanford.edu/software/stanford-corenlp-full-2015-12-09.zip,"
        f" in a folder named by the environment variable {FOLDER_VARIABLE}, or in pycocoevalcap's own spice/lib"
    )


def _read(path: Path, n_captions: int) -> np.ndarray:
    """F scores (P,) from the program's results."""
    try:
        found: list[dict[str, Any]] = json.loads(path.read_bytes())
        scores = {int(item["image_id"]): _score(item["scores"]["All"]["f"]) for item in found}
        return np.array([scores[i] for i in range(n_captions)])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotMeasuredError(f"SPICE left no results that can be read ({type(error).__name__}: {error})") from None


def _score(value: float | str | None) -> float:
    """A score; where neither side has anything to compare the program writes NaN or null."""
    score = float("nan") if value is None else float(value)
    return 0.0 if np.isnan(score) else score
