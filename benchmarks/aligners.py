"""How far the words' ends that aligners find are from those of forced alignment.

    optophone prepare alignments data/ljspeech data/ljspeech-alignments
    python benchmarks/aligners.py data/ljspeech-alignments work/aligner-ljspeech work/acoustic-ljspeech

Each RUN is the folder of a finished training of kind "aligner" or "acoustic"; the speech is the main data set of its
configuration. Only utterances whose words are the same on both sides count. The two kinds put a border at different
moments of a sound, so the mean difference is printed by itself, and the spread is around it.
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from optophone.core.spans import SpokenSpans
from optophone.data.alignment_column import read_alignment_column
from optophone.data.manifest import read_dataset
from optophone.training.aligners import Aligner, read_aligner
from optophone.training.configuration_file import read_configuration
from optophone.training.run import build_experiment
from optophone.training.synthesis import Speech, read_speech

_WORD = re.compile(r"[a-z']+")


def borders(durations: np.ndarray, text: str, frame_s: float) -> list[tuple[str, float, float]]:
    """The words of `text`, one character a symbol, with their beginnings and ends in seconds."""
    ends = np.cumsum(durations) * frame_s
    starts = ends - durations * frame_s
    return [(one.group(), starts[one.start()], ends[one.end() - 1]) for one in _WORD.finditer(text)]


def differences(speech: Speech, aligner: Aligner, known: dict[str, SpokenSpans], frame_s: float) -> np.ndarray:
    """Seconds (N, 2) by which the beginnings and ends of words come later than in forced alignment."""
    found = []
    for index, row in enumerate(speech.dev.rows):
        if row["id"] not in known:
            continue
        batch = speech.dev.batch([index])
        text = "".join(speech.vocabulary.symbols[symbol] for symbol in batch.ids[0].tolist())
        words = borders(aligner.durations(batch)[0], text, frame_s)
        spans = known[row["id"]].words
        pairs = list(zip(words, spans, strict=False))
        if [word for word, _, _ in words] == [span.label for span in spans]:
            found += [(start - span.start_s, end - span.end_s) for (_, start, end), span in pairs]
    return np.array(found).reshape(-1, 2)


def measure(run: Path, column: Path) -> dict[str, Any]:
    """What is found of a run: mean and spread of the differences in milliseconds."""
    path = run / "configuration.yaml"
    experiment, _ = build_experiment(read_configuration(path), str(path))
    speech, alignments = read_speech(experiment.data), read_alignment_column(column)
    alignments.check_speech(read_dataset(experiment.data.folder))
    spec = experiment.data.mel
    aligner = read_aligner(run, speech.vocabulary, speech.speakers)
    found = 1000 * differences(speech, aligner, alignments.spans("dev"), spec.hop_length / spec.sample_rate)
    measures: dict[str, Any] = {"run": run.name, "kind": experiment.kind, "words": len(found)}
    for name, values in zip(("beginnings", "ends"), found.T, strict=True):
        spread = np.abs(values - np.median(values))
        measures[name] = {
            "median_ms": round(float(np.median(values)), 1),
            "mean_spread_ms": round(float(spread.mean()), 1),
            "spread_90_percent_ms": round(float(np.quantile(spread, 0.9)), 1),
        }
    return measures


def main() -> None:
    """Measure every run and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("alignments", type=Path, help="made by optophone prepare alignments, of the dev split")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = [measure(run, options.alignments) for run in options.runs]
    text = json.dumps(found, indent=2)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
