"""What stands beside a system in `optophone evaluate spoken-captions`, as --control says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from optophone.core.errors import ConfigurationError, DataError
from optophone.core.text import spoken_words
from optophone.data.manifest import Dataset, Row, read_dataset
from optophone.data.unit_symbols import UnitSymbols
from optophone.evaluation.spoken_captions import chosen_place

_TAKES = {"speech": "FOLDER", "units": "FOLDER", "cascade": "SYSTEM"}


@dataclass(frozen=True)
class Controls:
    """Which controls there are.

    Args:
        speech: folder of true speech about the pictures.
        units: folder of the units of that speech.
        cascade: another system.
        shuffled: whether what was heard is scored against another picture's captions too.
        constant: whether one caption is scored for all pictures.
    """

    speech: Path | None = None
    units: Path | None = None
    cascade: str | None = None
    shuffled: bool = False
    constant: bool = False


def read_controls(texts: Sequence[str]) -> Controls:
    """The controls that the user named, such as "speech=data/spoken-captions" or "shuffled".

    Raises:
        ConfigurationError: no such control, one twice, or a folder is missing.
    """
    found: dict[str, Any] = {}
    names = [field.name for field in fields(Controls)]
    for text in texts:
        name, _, value = text.partition("=")
        if name not in names or bool(value) != (name in _TAKES):
            known = ", ".join(f"{one}={_TAKES[one]}" if one in _TAKES else one for one in names)
            raise ConfigurationError(f"--control {text}: no such control; there are {known}.")
        if name in found:
            raise ConfigurationError(f"--control {text}: {name} is there already; give each control once.")
        found[name] = (value if name == "cascade" else Path(value)) if value else True
    return replace(Controls(), **found)


@dataclass(frozen=True)
class TrueUtterance:
    """A recording of one of a picture's captions.

    Args:
        row: of the speech data set.
        place: of the caption among the picture's.
        text: what is said.
        units: the units of its column, or None.
    """

    row: Row
    place: int
    text: str
    units: str | None = None


class TrueSpeech:
    """True speech about pictures: one recording of each, by chance but always the same.

    Args:
        dataset: of speech; its rows name their picture.
        split: which part of it.
        references: picture to its captions, one of which every recording says.
        units: of this speech; recordings without units are then left out.

    Raises:
        DataError: nobody speaks about any of the pictures, or somebody says what is none of their captions.
    """

    def __init__(
        self,
        dataset: Dataset,
        split: str,
        references: Mapping[str, Sequence[str]],
        units: UnitSymbols | None = None,
    ) -> None:
        self.dataset = dataset
        if units is not None:
            units.column.check_speech(dataset)
        texts = None if units is None else units.texts(split)
        about: dict[str, list[Row]] = {}
        for row in dataset.rows(split):
            if row.get("picture_id") in references and (texts is None or row["id"] in texts):
                about.setdefault(row["picture_id"], []).append(row)
        self.utterances: dict[str, TrueUtterance] = {}
        for picture, captions in references.items():
            rows = about.get(picture, [])
            if rows and len(captions) > 1:
                row = rows[chosen_place(picture, len(rows))]
                place = _place_of(row, captions, dataset)
                symbols = None if texts is None else texts[row["id"]]
                self.utterances[picture] = TrueUtterance(row, place, row.get("text", captions[place]), symbols)
        if not self.utterances:
            raise DataError(f"{dataset.folder}: no speech of {split} is about one of these pictures.")

    @property
    def texts(self) -> dict[str, str]:
        """Picture to what is said about it."""
        return {picture: one.text for picture, one in self.utterances.items()}

    @property
    def places(self) -> dict[str, int]:
        """Picture to the place of the caption that is said."""
        return {picture: one.place for picture, one in self.utterances.items()}


def open_speech(folder: Path | None, units: UnitSymbols | None) -> Dataset | None:
    """The true speech: as given, else that which the units were made of, else None.

    Raises:
        DataError: it is not there.
    """
    if folder is not None:
        return read_dataset(folder)
    if units is None:
        return None
    column = units.column.dataset
    if not Path(column.source).is_dir():
        raise DataError(
            f"{column.folder}: {column.source}, which it was made of, is gone; give --control speech=FOLDER."
        )
    return read_dataset(column.source)


def _place_of(row: Row, captions: Sequence[str], dataset: Dataset) -> int:
    """Which of the captions the recording says: as its row tells, else the one with the same words."""
    place = row.get("caption_index")
    if isinstance(place, int) and 0 <= place < len(captions):
        return place
    said = spoken_words(row.get("text", ""))
    same = [i for i, caption in enumerate(captions) if spoken_words(caption) == said]
    if not same:
        raise DataError(f"{dataset.folder}: {row['id']} says none of the captions of {row['picture_id']}.")
    return same[0]
