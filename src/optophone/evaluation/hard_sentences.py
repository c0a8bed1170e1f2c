"""A voice's attention over sentences on which such voices stumble."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from optophone.core.alignment import examine_alignment
from optophone.core.errors import DataError
from optophone.pipelines import Voice

HARD_SENTENCES = Path(__file__).with_name("hard_sentences.txt")


@dataclass(frozen=True)
class Diagnosis:
    """What the attention did over sentences.

    Args:
        n_utterances: pieces that were spoken; long sentences are several.
        spoken_again: pieces that needed a further try.
        faulty: pieces that have a fault after the last try.
        stop_failures, skips, repeats, stuck: pieces with that fault.
        focus, diagonality: means.
        sentences: each faulty piece's text and faults.
    """

    n_utterances: int
    spoken_again: int
    faulty: int
    stop_failures: int
    skips: int
    repeats: int
    stuck: int
    focus: float
    diagonality: float
    sentences: tuple[dict[str, Any], ...]

    def to_mapping(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def read_sentences(path: Path = HARD_SENTENCES) -> list[str]:
    """The lines of a file that are neither blank nor begin with "#".

    Raises:
        DataError: it cannot be read, or has none.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise DataError(f"{path}: cannot read the sentences.") from None
    sentences = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not sentences:
        raise DataError(f"{path}: there are no sentences in it.")
    return sentences


def diagnose(voice: Voice, sentences: Sequence[str], advance: Callable[[], None] = lambda: None) -> Diagnosis | None:
    """Speak `sentences` and look at the attention; None for a voice that shows none."""
    reports, tries, faulty = [], [], []
    spec = voice.acoustic.mel_spec
    for sentence in sentences:
        for ids in voice.spell(sentence):
            spoken = voice.acoustic.mel(ids)
            if spoken.alignment is None:
                return None
            step_s = spoken.mel.shape[1] / len(spoken.alignment) * spec.hop_length / spec.sample_rate
            report = examine_alignment(spoken.alignment, step_s, spoken.stopped)
            reports.append(report)
            tries.append(spoken.n_tries)
            if report.problems:
                text = voice.acoustic.vocabulary.decode(ids)
                faulty.append({"text": text, "problems": list(report.problems)})
        advance()
    return Diagnosis(
        n_utterances=len(reports),
        spoken_again=sum(n > 1 for n in tries),
        faulty=len(faulty),
        stop_failures=sum(not report.stopped for report in reports),
        skips=sum(report.skipped is not None for report in reports),
        repeats=sum("said a part of the text again" in report.problems for report in reports),
        stuck=sum(any(problem.startswith("stood still") for problem in report.problems) for report in reports),
        focus=float(np.mean([report.focus for report in reports])),
        diagonality=float(np.mean([report.diagonality for report in reports])),
        sentences=tuple(faulty),
    )
