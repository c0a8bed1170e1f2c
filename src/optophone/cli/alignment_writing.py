"""The work of `optophone prepare alignments`."""

from collections import Counter
from functools import partial
from pathlib import Path

from optophone.cli.caption_evaluation import draw
from optophone.core.errors import ConfigurationError, DataError
from optophone.data.alignment_column import AlignmentColumn
from optophone.data.alignment_extraction import AlignmentExtraction
from optophone.data.manifest import read_dataset
from optophone.data.prepare.progress import show_progress
from optophone.evaluation.forced_alignment import align_all
from optophone.evaluation.recognizer import RecognizerConfig

_N_REASONS = 3


def write_alignments(speech: Path, out: Path, splits: tuple[str, ...], limit: int | None, jobs: int) -> AlignmentColumn:
    """Say when each word and phone of a speech data set is said.

    Args:
        speech: folder of the data set.
        out: folder to write.
        splits: which of its splits; none for all.
        limit: utterances of each split, drawn by chance but always the same; None for all.
        jobs: processes.
    """
    dataset = read_dataset(speech)
    wrong = next((split for split in splits if split not in dataset.splits), None)
    if wrong is not None:
        raise ConfigurationError(f"{speech}: no split {wrong!r}; this data set has {', '.join(dataset.splits)}.")
    rows = {split: draw(dataset.rows(split), limit) for split in dataset.splits if not splits or split in splits}
    config = RecognizerConfig()
    aligner = {"name": "pocketsphinx", "level": config.level, "dither": config.dither, "margin_s": config.margin_s}
    request = {"splits": list(rows), "limit": limit, "aligner": aligner}
    extraction = AlignmentExtraction(dataset, out, partial(align_all, config=config, jobs=jobs), rows, request)
    missing = extraction.missing()
    n_rows, n_left = sum(map(len, rows.values())), sum(len(part.rows) for part in missing)
    done = (row for part in missing for row in extraction.write(part))
    for _ in show_progress(done, n_rows, "alignments", n_rows - n_left):
        pass
    column = extraction.finish()
    if not any(split.rows for split in column.dataset.splits.values()):
        raise DataError(f"{out}: nothing could be aligned: {_reasons(column)}.")
    return column


def left_out_line(column: AlignmentColumn) -> str:
    """How many utterances have no alignment, and why."""
    n = sum(len(column.left_out(split)) for split in column.dataset.splits)
    return f"left out: {n} ({_reasons(column)})" if n else "left out: 0"


def _reasons(column: AlignmentColumn) -> str:
    reasons = Counter(
        reason.partition(" of ")[0] for split in column.dataset.splits for reason in column.left_out(split).values()
    )
    return ", ".join(f"{reason} {n}" for reason, n in reasons.most_common(_N_REASONS))
