"""Alignments of speech without words: made up, so that nothing needs to be recognised."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from optophone.core.audio import write_wave
from optophone.core.spans import Span, SpokenSpans
from optophone.data.alignment_column import AlignmentColumn
from optophone.data.alignment_extraction import AlignmentExtraction
from optophone.data.manifest import Dataset, write_dataset, write_manifest

RATE = 16000
PHONE_S = 0.08
PHONES = {"A": 300.0, "E": 700.0, "I": 1200.0, "O": 2000.0, "U": 3300.0}  # phone → Hz of its tone
WORDS = ("AEI", "OUA", "EOI", "UIA", "AOE")
AT_FRONT_S = 0.1


def sing_words(words: list[str], speaker: int) -> np.ndarray:
    """(N,) a tone for each phone, with some noise, after silence; speaker 1 sings higher."""
    time = np.arange(round(PHONE_S * RATE)) / RATE
    quiet = np.zeros(round(AT_FRONT_S * RATE))
    tones = [np.sin(2 * np.pi * PHONES[phone] * 1.15**speaker * time) for word in words for phone in word]
    wave = np.concatenate([quiet, *tones, quiet])
    noise = np.random.default_rng(len(words)).normal(0, 0.003, len(wave))
    return (0.3 * wave + noise).astype(np.float32)


def write_singers(folder: Path, n: int = 24) -> Dataset:
    """A speech data set whose split "dev" has `n` utterances of two speakers."""
    (folder / "audio").mkdir(parents=True)
    random = np.random.default_rng(3)
    rows = []
    for i in range(n):
        words = [str(word) for word in random.choice(WORDS, 6)]
        write_wave(folder / f"audio/{i}.wav", sing_words(words, i % 2), RATE)
        text, speaker = " ".join(words), f"speaker {i % 2}"
        rows.append({"id": f"u{i}", "audio": f"audio/{i}.wav", "text": text, "speaker": speaker, "duration_s": 1.64})
    write_manifest(folder / "dev.jsonl", rows)
    here = "made here"
    return write_dataset(folder, "singers", splits=["dev"], options={}, source=here, layout=here, licence="none")


def known_spans(text: str) -> SpokenSpans:
    """When the words of `sing_words` are sung."""
    words, phones, at = [], [], AT_FRONT_S
    for word in text.split():
        start = at
        for phone in word:
            phones.append(Span(phone, round(at, 3), round(at + PHONE_S, 3)))
            at += PHONE_S
        words.append(Span(word, round(start, 3), round(at, 3)))
    return SpokenSpans(tuple(words), tuple(phones))


def align_known(items: Iterable[tuple[np.ndarray, int, str]]) -> Iterator[SpokenSpans | str]:
    """What `align_all` does, but from the text alone; words with an X are unknown."""
    for _, _, text in items:
        yield "no pronunciation of 'X'" if "X" in text else known_spans(text)


def write_alignments(speech: Dataset, folder: Path) -> AlignmentColumn:
    """The alignments of `write_singers`."""
    rows = {split: speech.rows(split) for split in speech.splits}
    made = AlignmentExtraction(speech, folder, align_known, rows, {"aligner": {"name": "known"}})
    for part in made.missing():
        list(made.write(part))
    return made.finish()
