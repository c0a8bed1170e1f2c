"""The frame around every preparation: begun once, continued after an interruption, finished with dataset.json."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optophone.core.errors import DataError
from optophone.core.whole_file import collect_unfinished, is_unfinished, why_unwritten, write_whole
from optophone.data.manifest import DATASET_FILE, Dataset, read_dataset, write_dataset

REQUEST_FILE = "preparing.json"


@dataclass(frozen=True)
class Preparation:
    """What was asked for: data set `name` from `source` into `out` with `options` (plain JSON-able values).

    `source` is None where nothing is read because the pictures are drawn.
    """

    name: str
    source: Path | None
    out: Path
    options: Mapping[str, Any]

    def begin(self) -> Dataset | None:
        """Make `out` ready; returns the data set where it is finished already.

        Raises:
            DataError: `source` is no folder, or `out` holds something else: foreign files, another data set, or the
                same one from another source or with other options.
        """
        if self.source is not None and not self.source.is_dir():
            raise DataError(f"{self.source}: not a folder; give the folder of the unpacked {self.name} data set.")
        self._create_folder()
        collect_unfinished(self.out)
        present = {path.name for path in self.out.iterdir() if not is_unfinished(path)}
        if DATASET_FILE in present:
            self._compare(self.out / DATASET_FILE)
            return read_dataset(self.out)
        # A request alone has led to no work yet (a mistyped SOURCE, say), so another one may take its place.
        if present - {REQUEST_FILE}:
            if REQUEST_FILE not in present:
                raise DataError(f"{self.out}: not empty and no prepared data set; choose another folder.")
            self._compare(self.out / REQUEST_FILE)
        write_whole(self.out / REQUEST_FILE, (json.dumps(self._request(), indent=2) + "\n").encode())
        return None

    def finish(
        self, splits: Sequence[str], layout: str, licence: str, roots: Mapping[str, str | Path] | None = None
    ) -> Dataset:
        """Write dataset.json: from now on the folder counts as finished."""
        dataset = write_dataset(
            self.out,
            self.name,
            splits=splits,
            options=self.options,
            source=self._origin(),
            layout=layout,
            licence=licence,
            roots=roots,
        )
        (self.out / REQUEST_FILE).unlink(missing_ok=True)
        return dataset

    def _create_folder(self) -> None:
        if self.out.exists() and not self.out.is_dir():
            raise DataError(f"{self.out}: a file is in the way; choose another folder.")
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{self.out}: cannot make this folder ({why_unwritten(error)}).") from None

    def _request(self) -> dict[str, Any]:
        return {"name": self.name, "source": self._origin(), "options": dict(self.options)}

    def _origin(self) -> str:
        return "drawn" if self.source is None else str(self.source.resolve())

    def _compare(self, path: Path) -> None:
        """Refuse to mix two preparations in one folder; the message names both."""
        try:
            there = json.loads(path.read_bytes())
            found = {"data set": there["name"], "source": there["source"], **there["options"]}
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{path}: damaged; delete the folder and prepare again.") from None
        asked = {"data set": self.name, "source": self._origin(), **self.options}
        differences = [
            f"{key} {_short(found.get(key))} there, {_short(asked.get(key))} asked for"
            for key in dict.fromkeys([*found, *asked])
            if found.get(key) != asked.get(key)
        ]
        if differences:
            raise DataError(f"{self.out}: prepared differently ({'; '.join(differences)}); choose another folder.")


def _short(value: object) -> str:
    """A value for a message; of a long one its beginning and end, between which hundreds of files may stand."""
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:60]} … {text[-50:]}"
