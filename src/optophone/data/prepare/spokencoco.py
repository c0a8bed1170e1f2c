"""SpokenCOCO: the captions of COCO read aloud by many people (Hsu et al. 2020).

The official layout is read: `SpokenCOCO/SpokenCOCO_train.json` and `SpokenCOCO_val.json` beside `wavs/`. The files hold
{"data": [{"image": "val2014/COCO_val2014_000000325114.jpg", "captions": [{"text", "speaker", "uttid", "wav"}]}]}.
"""

import re
from pathlib import Path, PurePosixPath
from typing import Any

from optophone.core.errors import DataError
from optophone.data.manifest import Dataset
from optophone.data.prepare.captions import one_line, read_json
from optophone.data.prepare.recordings import Recording, Recordings, find_folder, prepare_recordings

LICENCE = "As the download page of the recordings states; the captions are COCO's, under CC BY 4.0."
FILES = {"train": "SpokenCOCO_train.json", "dev": "SpokenCOCO_val.json"}
_COCO_NAME = re.compile(r"(?:COCO_\w+_)?0*(\d+)")


def prepare_spokencoco(
    source: str | Path, out: str | Path, pictures: str | Path | None = None, skip_damaged: bool = False
) -> Dataset:
    """Read SpokenCOCO at `source` and write the manifests to `out`; see `prepare_recordings`.

    "picture_id" is COCO's number of the picture, the id of the rows that `prepare coco` and `coco-karpathy` write.
    """
    return prepare_recordings("spokencoco", LICENCE, Path(source), Path(out), pictures, skip_damaged, _read)


def _read(source: Path, _: Dataset | None) -> Recordings:
    folder = find_folder(source, ("SpokenCOCO",), tuple(FILES.values()), "SpokenCOCO")
    splits = {split: _read_file(folder / name) for split, name in FILES.items() if (folder / name).is_file()}
    return Recordings(folder, splits, f"official folder, {' and '.join(FILES[split] for split in splits)}")


def _read_file(path: Path) -> list[Recording]:
    content = read_json(path, _shorten)
    pictures = content.get("data") if isinstance(content, dict) else None
    if not isinstance(pictures, list) or not pictures:
        raise DataError(f'{path}: no list "data"; this is no file of SpokenCOCO.')
    recordings = []
    for number, picture in enumerate(pictures):
        name, captions = (picture.get(key) if isinstance(picture, dict) else None for key in ("image", "captions"))
        identity = _COCO_NAME.fullmatch(PurePosixPath(name).stem) if isinstance(name, str) else None
        if (
            identity is None
            or not isinstance(captions, list)
            or not all(isinstance(one, Recording) for one in captions)
        ):
            raise DataError(f'{path}: entry {number}: expected "image" and "captions" with "uttid" and "wav".')
        recordings += [
            Recording(one.id, identity.group(1), index, one.text, one.sound, one.speaker)
            for index, one in enumerate(captions)
        ]
    return recordings


def _shorten(entry: dict[str, Any]) -> Any:
    """A caption as a recording of no picture yet: the file has 600,000 of them, with parse trees and alignments."""
    if isinstance(entry.get("uttid"), str) and isinstance(entry.get("wav"), str):
        text, speaker = one_line(entry.get("text")), entry.get("speaker")
        return Recording(entry["uttid"].strip(), "", 0, text, entry["wav"], speaker if isinstance(speaker, str) else "")
    return entry
