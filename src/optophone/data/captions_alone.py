"""Captions without pictures: what is said, as batches for training."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from optophone.core.errors import ConfigurationError, DataError
from optophone.core.text import clean_text
from optophone.core.vocabulary import Vocabulary
from optophone.data.captioned_pictures import CaptionedPicturesConfig, pad_captions
from optophone.data.manifest import read_dataset
from optophone.data.unit_symbols import read_unit_symbols


class CaptionsAlone:
    """Batches of captions, drawn anew for every step; nothing of them lives in memory only.

    Args:
        captions: encoded, end included.
        vocabulary: theirs.
        longest: symbols after which they are cut.
        seed: of the run.
    """

    def __init__(self, captions: Sequence[Sequence[int]], vocabulary: Vocabulary, longest: int, seed: int) -> None:
        assert captions, "no captions"
        self.captions, self.vocabulary, self.longest, self.seed = captions, vocabulary, longest, seed

    def batch(self, step: int, n: int, use: int) -> tuple[Tensor, Tensor]:
        """Inputs (n, S) and targets (n, S) of `n` captions, none twice as long as there are enough.

        Args:
            step: of the run.
            n: how many.
            use: what they are drawn for; other numbers draw others at the same step.
        """
        rng = np.random.default_rng((self.seed, 3, use, step))
        chosen = rng.choice(len(self.captions), n, replace=n > len(self.captions))
        return pad_captions([self.captions[i] for i in chosen], self.vocabulary, self.longest)

    def __len__(self) -> int:
        return len(self.captions)


def read_other_speech(folder: str, data: CaptionedPicturesConfig, vocabulary: Vocabulary) -> list[list[int]]:
    """What is said in the training split of `folder`, as the captions of `data` are written, end included.

    Args:
        folder: a column in the same units; for words or characters a data set whose rows have "text".
        data: how captions are written.
        vocabulary: theirs.

    Raises:
        DataError: other units, or no text.
        ConfigurationError: captions in phones.
    """
    assert vocabulary.end is not None
    encoded = [vocabulary.encode(text) for text in _texts(folder, data)]
    return [[*ids, vocabulary.end] for ids in encoded if ids]


def _texts(folder: str, data: CaptionedPicturesConfig) -> list[str]:
    if data.symbols == "phones":
        raise ConfigurationError("unpaired.speech: other speech is read as units, words or characters, not as phones.")
    if data.units is not None:
        own, other = (read_unit_symbols(one, data.run_length) for one in (data.units, folder))
        if own.vocabulary.hash != other.vocabulary.hash or not own.origin.agrees_with(other.origin):
            raise DataError(
                f"{folder}: holds units of {other.origin}, not of {own.origin}; make both with the same encoder."
            )
        return list(other.texts("train").values())
    rows = read_dataset(folder).rows("train")
    if not all("text" in row for row in rows):
        raise DataError(f"{folder}: its rows have no text; give a data set of speech with its texts.")
    return [clean_text(row["text"]) if data.symbols == "characters" else row["text"] for row in rows]
