"""Speech data set → column of units, part by part, so that it may be killed and may run on several machines.

While it is being made, a column is a folder with `units.json`, which says what was asked for, and with `parts/`: files
of some hundred rows, each there as a whole or not at all. A process takes the parts of its share that are not there
yet. Joining them is the last step, taken by whoever has the whole share and finds all parts; it may be taken twice.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from optophone.core.audio import resample
from optophone.core.errors import AudioError, ConfigurationError, DataError
from optophone.core.protocols import UnitEncoder
from optophone.core.whole_file import collect_unfinished, why_unwritten, write_whole
from optophone.data.manifest import (
    DATASET_FILE,
    Dataset,
    Row,
    read_dataset,
    read_manifest,
    write_dataset,
    write_manifest,
)
from optophone.data.unit_column import NAME, VOCABULARY, RunLength, UnitColumn, read_unit_column, unit_fields

REQUEST_FILE = "units.json"
PARTS_FOLDER = "parts"


@dataclass(frozen=True)
class Share:
    """Which of several machines this is: `number` of `count`, from 1."""

    number: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        """Refuse a machine that there is not."""
        if not 1 <= self.number <= self.count:
            raise ConfigurationError(f"shard {self.number}/{self.count}: give I/N, I from 1 to N.")


@dataclass(frozen=True)
class Part:
    """Some rows of a split, and the file that their units go to."""

    path: Path
    split: str
    rows: tuple[Row, ...]


class UnitExtraction:
    """The making of a column.

    Args:
        speech: a prepared speech data set.
        out: the folder to write, new or left by an interrupted run with the same arguments.
        encoder: which units.
        origin: what is recorded of the encoder: {"encoder", "content", "quantizer", "unit_s"}.
        run_length: how runs are written.
        rows_per_part: utterances that a kill loses at most.

    Raises:
        DataError: `out` holds something else, or was begun with other arguments.
    """

    def __init__(
        self,
        speech: Dataset,
        out: Path,
        encoder: UnitEncoder,
        origin: Mapping[str, Any],
        run_length: RunLength = "lossless",
        rows_per_part: int = 200,
    ) -> None:
        assert rows_per_part > 0
        self.speech, self.out, self.encoder, self.run_length = speech, out, encoder, run_length
        self.options = {"run_length": run_length, **origin, "speech": speech.hash(), "rows_per_part": rows_per_part}
        self.is_finished = self._begin()
        self.parts = [] if self.is_finished else self._all_parts(rows_per_part)

    def missing(self, share: Share | None = None) -> list[Part]:
        """The parts of `share` (of all, when None) that nobody has written yet."""
        share = share or Share()
        mine = self.parts[share.number - 1 :: share.count]
        return [part for part in mine if not part.path.is_file()]

    def write(self, part: Part, skip_bad: bool = False) -> Iterator[tuple[Row, AudioError | None]]:
        """Write a part down: each of its rows with the error it made, or None, as soon as it is done.

        The file is written once all rows have been taken. With a bad row it is not, unless `skip_bad` leaves such rows
        out.
        """
        found: list[dict[str, Any]] = []
        for row in part.rows:
            try:
                fields = self._units(row)
            except AudioError as error:
                yield row, error
                continue
            about = {"picture_id": row["picture_id"]} if "picture_id" in row else {}
            found.append({"id": row["id"], **fields, **about})
            yield row, None
        if skip_bad or len(found) == len(part.rows):
            _write_whole(part.path, "".join(json.dumps(row) + "\n" for row in found))

    def finish(self) -> UnitColumn:
        """Join the parts, which must all be there; from now on the folder counts as finished."""
        if not self.is_finished:
            for split in self.speech.splits:
                rows = [row for part in self.parts if part.split == split for row in read_manifest(part.path)]
                write_manifest(self.out / f"{split}.jsonl", rows)
            self.encoder.vocabulary.save(self.out / VOCABULARY)
            write_dataset(
                self.out,
                NAME,
                splits=list(self.speech.splits),
                options=self.options,
                source=str(self.speech.folder.resolve()),
                layout=f"units of {self.speech.name}",
                licence=self.speech.licence,
            )
            self.is_finished = True
        shutil.rmtree(self.out / PARTS_FOLDER, ignore_errors=True)
        (self.out / REQUEST_FILE).unlink(missing_ok=True)
        return read_unit_column(self.out)

    def _units(self, row: Row) -> dict[str, Any]:
        wave, sample_rate = self.speech.wave(row)
        refuse_silence(wave)
        units = self.encoder.units(resample(wave, sample_rate, self.encoder.sample_rate))
        return unit_fields(units, self.encoder.vocabulary, self.run_length)

    def _all_parts(self, size: int) -> list[Part]:
        parts = []
        for split in self.speech.splits:
            rows = self.speech.rows(split)
            silent = next((row["id"] for row in rows if "audio" not in row), None)
            if silent is not None:
                raise DataError(f"{self.speech.folder}: {silent} of {split} has no audio; give a speech data set.")
            for number, first in enumerate(range(0, len(rows), size)):
                path = self.out / PARTS_FOLDER / f"{split}-{number:05d}.jsonl"
                parts.append(Part(path, split, tuple(rows[first : first + size])))
        return parts

    def _begin(self) -> bool:
        """Make the folder ready; whether the column is finished already."""
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            present = {path.name for path in self.out.iterdir()}
            if DATASET_FILE in present:
                self._compare(read_dataset(self.out).options)
                return True
            if REQUEST_FILE in present:
                self._compare(self._request())
            elif any(not name.startswith(".") for name in present):
                raise DataError(f"{self.out}: not empty and no column of units; choose another folder.")
            # The request first: a folder with anything else and without it is taken for a stranger's.
            _write_whole(self.out / REQUEST_FILE, json.dumps(self.options, indent=2) + "\n")
            (self.out / PARTS_FOLDER).mkdir(exist_ok=True)
            collect_unfinished(self.out)
        except OSError as error:
            raise DataError(f"{self.out}: cannot be written ({why_unwritten(error)}).") from None
        return False

    def _request(self) -> Any:
        try:
            return json.loads((self.out / REQUEST_FILE).read_bytes())
        except ValueError:
            raise DataError(f"{self.out / REQUEST_FILE}: damaged; delete the folder and begin again.") from None

    def _compare(self, found: Any) -> None:
        """Refuse to mix the units of two requests in one folder."""
        found = found if isinstance(found, Mapping) else {}
        told = [
            f"{name} {_short(found.get(name))} there, {_short(self.options.get(name))} asked for"
            for name in dict.fromkeys([*found, *self.options])
            if found.get(name) != self.options.get(name)
        ]
        if told:
            raise DataError(f"{self.out}: holds other units ({'; '.join(told)}); choose another folder.")


def refuse_silence(wave: np.ndarray) -> None:
    """Refuse a wave (N,) without any sound: its loudest cell is nothing, and its units mean nothing.

    Raises:
        AudioError: all samples are alike.
    """
    if len(wave) and wave.min() == wave.max():
        raise AudioError("is silent (all samples are alike): record it again")


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 24 else f"{text[:12]}…"


def _write_whole(path: Path, text: str) -> None:
    """Write a file that is there as a whole or not at all, also where several processes write it at the same time."""
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({why_unwritten(error)}).") from None
