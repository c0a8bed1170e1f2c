"""Spoken words: random sequences of dictionary words, said by espeak-ng.

Captions hold some thousand different words, and an acoustic model that hears no others guesses at the sound of the
rest. A pronouncing dictionary teaches it letters to sounds far beyond them. Its pronunciations are not read: the voice
says the words as it does in captions.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from optophone.core.errors import DataError
from optophone.core.espeak import EspeakConfig
from optophone.core.text import clean_text
from optophone.data.manifest import Dataset, Row
from optophone.data.prepare.packed_speech import DEFAULT_VOICE, forget_lengths, pack_speech
from optophone.data.prepare.preparation import Preparation

LONGEST_WORD = 16
SINGLE_LETTERS = ("a", "i")
COMMENT = ";;;"
LICENCE = "The words are those of the dictionary; the speech is synthetic."
_WORD = re.compile(r"[a-z][a-z']*")


@dataclass(frozen=True)
class SpokenWordsConfig:
    """What is said.

    Args:
        utterances: of the training split.
        dev: utterances of the dev split; its words are drawn first, so train says them only if it needs the whole
            dictionary.
        seed: another number draws other sequences.
        fewest_words: of an utterance.
        most_words: of an utterance; all numbers between are as likely.
        comma: share of the inner words that a comma follows, which is where a voice pauses.
        question: share of the utterances that end with a question mark; the others end with a full stop.
    """

    utterances: int = 6000
    dev: int = 100
    seed: int = 0
    fewest_words: int = 2
    most_words: int = 7
    comma: float = 0.15
    question: float = 0.05

    def __post_init__(self) -> None:
        if self.utterances < 1 or self.dev < 1:
            raise DataError(f"{self.utterances} utterances, {self.dev} of dev: each split needs at least 1.")
        if self.seed < 0:
            raise DataError(f"seed {self.seed}: use 0 or more.")
        if not 1 <= self.fewest_words <= self.most_words:
            raise DataError(f"{self.fewest_words} to {self.most_words} words: use 1 or more, the fewest first.")
        if not (0 <= self.comma <= 1 and 0 <= self.question <= 1):
            raise DataError(f"comma {self.comma}, question {self.question}: shares are 0 to 1.")


DEFAULT_WORDS = SpokenWordsConfig()


def prepare_spoken_words(
    source: str | Path,
    out: str | Path,
    config: SpokenWordsConfig = DEFAULT_WORDS,
    voice: EspeakConfig = DEFAULT_VOICE,
    margin_ms: int = 50,
    utterances_per_shard: int = 1000,
    jobs: int | None = None,
) -> Dataset:
    """Speak random words of the dictionary `source` and write `out`: manifests and packed audio.

    Rows are {"id", "text", "audio", "offset", "n_samples", "sample_rate", "duration_s", "speaker"}, as those of
    spoken captions and with the same speaker, so that both can train one voice. The dictionary is gone through in a
    random order, word by word; no word comes a second time before all others came once.
    Does nothing where `out` is finished; an interrupted run continues with the first missing array.

    Each array is spoken by a process of its own, so a script that calls this needs the usual
    `if __name__ == "__main__":`.

    Args:
        source: a pronouncing dictionary or word list, see `read_words`; or a folder with one `*.dict` file in it.
        out: the folder to write.
        config: what is said.
        voice: how espeak-ng speaks.
        margin_ms: silence at both ends; the rest of it is cut.
        utterances_per_shard: utterances an array.
        jobs: processes at a time; as many as there are processors when None.

    Raises:
        DataError: `source` holds no usable words, espeak-ng is missing or lacks the voice, or `out` holds something
            else.
    """
    out = Path(out)
    if not 0 <= margin_ms <= 1000 or utterances_per_shard < 1:
        raise DataError(f"margin {margin_ms} ms, {utterances_per_shard} utterances a shard: use 0 to 1000, 1 or more.")
    dictionary = _dictionary_file(Path(source))
    words = read_words(dictionary)
    options = {
        **asdict(config),
        **asdict(voice),
        "margin_ms": margin_ms,
        "utterances_per_shard": utterances_per_shard,
        "dictionary": dictionary.name,
        "words": hashlib.sha256("\n".join(words).encode()).hexdigest(),
    }
    preparation = Preparation("spoken-words", dictionary.parent, out, options)
    finished = preparation.begin()
    if finished:
        return finished
    rows = draw_utterances(words, config)
    version = pack_speech(out, rows, (voice,), margin_ms, utterances_per_shard, jobs, "spoken words")
    layout = f"{len(words)} words of {dictionary.name}, spoken by espeak-ng {version}"
    dataset = preparation.finish(list(rows), layout, LICENCE)
    forget_lengths(out)
    return dataset


def read_words(path: Path) -> list[str]:
    """The words of a dictionary or word list, lower case, each once, in its order.

    The first thing on a line is the word; pronunciations after it, lines beginning with ";;;" and alternatives such as
    "word(2)" are passed over. So are words with anything but letters and apostrophes or without a letter in front,
    single letters but "a" and "i", words of more than 16 characters, and those that `clean_text` would rewrite at the
    end of a sentence, such as "mr".

    Raises:
        DataError: the file cannot be read or no word remains.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot read the dictionary ({error.strerror}).") from None
    first = (line.split(maxsplit=1)[0].lower() for line in lines if line.strip() and not line.startswith(COMMENT))
    words = [word for word in dict.fromkeys(first) if _is_usable(word)]
    if not words:
        raise DataError(f"{path}: no usable words; expected a dictionary or list with one entry a line, word first.")
    return words


def draw_utterances(words: list[str], config: SpokenWordsConfig) -> dict[str, list[Row]]:
    """Rows {"id", "text"} of train and dev. They depend on the words, their order and `config` alone."""
    rng = np.random.default_rng(config.seed)
    stream = _endless_words(words, rng)
    # Dev comes first: while the first pass through the dictionary lasts, train says none of its words.
    rows = {
        split: [{"id": f"{split}-{i:06d}", "text": _utterance(stream, rng, config)} for i in range(count)]
        for split, count in (("dev", config.dev), ("train", config.utterances))
    }
    return {"train": rows["train"], "dev": rows["dev"]}


def _dictionary_file(source: Path) -> Path:
    if source.is_file():
        return source
    found = sorted(source.glob("*.dict"))
    if len(found) != 1:
        problem = f"{len(found)} *.dict files in this folder" if source.is_dir() else "no such file or folder"
        raise DataError(f"{source}: {problem}; give the file of a pronouncing dictionary or a list of words.")
    return found[0]


def _is_usable(word: str) -> bool:
    if not _WORD.fullmatch(word) or len(word) > LONGEST_WORD or (len(word) == 1 and word not in SINGLE_LETTERS):
        return False
    return clean_text(f"{word}.") == f"{word}."


def _endless_words(words: list[str], rng: np.random.Generator) -> Iterator[str]:
    while True:
        for index in rng.permutation(len(words)):
            yield words[index]


def _utterance(stream: Iterator[str], rng: np.random.Generator, config: SpokenWordsConfig) -> str:
    words = list(islice(stream, int(rng.integers(config.fewest_words, config.most_words + 1))))
    for index in range(len(words) - 1):
        if rng.random() < config.comma:
            words[index] += ","
    return " ".join(words) + ("?" if rng.random() < config.question else ".")
