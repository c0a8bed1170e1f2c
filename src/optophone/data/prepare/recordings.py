"""Recordings of spoken captions: what the preparations of such corpora share.

The sound files stay where they are; a row says about which picture they speak. Training joins the rows with a prepared
data set of pictures by `picture_id`, split by split, so the splits may be taken from there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from optophone.core.errors import DataError
from optophone.core.text import clean_text
from optophone.core.whole_file import write_whole
from optophone.data.manifest import Dataset, Row, is_inside, read_dataset, write_manifest
from optophone.data.prepare.captions import first_names
from optophone.data.prepare.preparation import Preparation
from optophone.data.prepare.progress import show_progress
from optophone.data.prepare.sound_length import sound_length

DAMAGED_FILE = "damaged.txt"


@dataclass(frozen=True)
class Recording:
    """One spoken caption.

    Attributes:
        id: of the recording.
        picture_id: id of the picture in a prepared data set.
        caption_index: place among the captions of the picture.
        text: what is said, "" where nobody knows.
        sound: path from the root of the recordings, with "/".
        speaker: "" where nobody knows.
    """

    id: str
    picture_id: str
    caption_index: int
    text: str
    sound: str
    speaker: str


@dataclass(frozen=True)
class Recordings:
    """What a corpus holds: the folder that sounds start from, recordings by split, and which layout was read."""

    root: Path
    splits: Mapping[str, list[Recording]]
    layout: str


def prepare_recordings(
    name: str,
    licence: str,
    source: Path,
    out: Path,
    pictures: str | Path | None,
    skip_damaged: bool,
    read: Callable[[Path, Dataset | None], Recordings],
) -> Dataset:
    """Read a corpus of spoken captions and write the manifests to `out`; the sound files stay where they are.

    Rows are {"id", "picture_id", "caption_index", "text", "audio", "duration_s", "sample_rate", "speaker"}; "text" went
    through `clean_text`, and it and "speaker" are absent where nobody knows. Does nothing where `out` is finished; an
    interrupted run starts over, since only headers are read.

    Args:
        name: of the data set.
        licence: terms.
        source: folder of the corpus.
        out: the folder to write.
        pictures: prepared data set of pictures; a recording goes into the split of its picture, or is left out where
            there is none. None for the splits of the corpus.
        skip_damaged: leave out sound files that are missing, unreadable, empty or cut off, and name them in
            damaged.txt, instead of stopping.
        read: the recordings of a source, for these pictures.

    Raises:
        DataError: the layout is not found, a sound file is damaged, no recording is about one of the pictures, or `out`
            holds something else.
    """
    prepared = None if pictures is None else read_dataset(pictures)
    options = {"pictures": prepared.hash() if prepared else None, "skip_damaged": skip_damaged}
    preparation = Preparation(name, source, out, options)
    finished = preparation.begin()
    if finished:
        return finished
    found = read(source, prepared)
    splits = found.splits if prepared is None else split_by_pictures(found.splits, prepared)
    layout = found.layout if prepared is None else f"{found.layout}; splits of {prepared.name}"
    rows = recording_rows(name, found.root, splits, out, skip_damaged)
    for split, split_rows in rows.items():
        write_manifest(out / f"{split}.jsonl", split_rows)
    return preparation.finish(list(rows), layout, licence, {"audio": found.root.resolve()})


def split_by_pictures(splits: Mapping[str, list[Recording]], pictures: Dataset) -> dict[str, list[Recording]]:
    """All recordings again, each in the split that its picture has in `pictures`; others are left out."""
    owner = {row["id"]: split for split in pictures.splits for row in pictures.rows(split)}
    divided: dict[str, list[Recording]] = {split: [] for split in pictures.splits}
    for recordings in splits.values():
        for recording in recordings:
            if recording.picture_id in owner:
                divided[owner[recording.picture_id]].append(recording)
    if not any(divided.values()):
        raise DataError(f"{pictures.folder}: none of the recordings is about one of these pictures; give others.")
    return {split: recordings for split, recordings in divided.items() if recordings}


def recording_rows(
    name: str, root: Path, splits: Mapping[str, list[Recording]], out: Path, skip_damaged: bool
) -> dict[str, list[Row]]:
    """The rows of every split, in the order of the recordings; see `prepare_recordings`."""
    recordings = [(split, recording) for split in splits for recording in splits[split]]
    if not skip_damaged:
        _check_sounds(root, [recording.sound for _, recording in recordings])
    rows: dict[str, list[Row]] = {}
    damaged = []
    for split, recording in show_progress(recordings, len(recordings), f"recordings of {name}"):
        try:
            row = _row(root, recording)
        except DataError as error:
            if not skip_damaged:
                raise DataError(f"{error} Or leave such files out with --skip-damaged.") from None
            damaged.append(str(error))
        else:
            rows.setdefault(split, []).append(row)
    if not rows:
        raise DataError(f"{root}: none of the {len(recordings)} recordings can be read; download them again.")
    if damaged:
        write_whole(out / DAMAGED_FILE, "".join(f"{line}\n" for line in damaged).encode())
    return rows


def find_folder(source: Path, names: tuple[str, ...], expected: tuple[str, ...], corpus: str) -> Path:
    """`source`, or the folder in it with one of `names`, that holds one of the files or folders `expected`."""
    for folder in (source, *(source / name for name in names)):
        if any((folder / name).exists() for name in expected):
            return folder
    raise DataError(f"{source}: no {corpus} here; expected {' or '.join(expected)}, perhaps in {names[0]}.")


def read_lines(path: Path) -> list[str]:
    """The lines of a text file; DataError where it is missing."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot read it ({error.strerror}); download it again.") from None


def _check_sounds(root: Path, sounds: list[str]) -> None:
    """Refuse to begin where sound files are missing, which are counted and named."""
    missing = [sound for sound in sounds if is_inside(sound) and not (root / sound).is_file()]
    if missing:
        raise DataError(
            f"{root}: {len(missing)} of {len(sounds)} sound files are missing: {first_names(missing)}; add them, or "
            "leave them out with --skip-damaged."
        )


def _row(root: Path, recording: Recording) -> Row:
    if not is_inside(recording.sound):
        raise DataError(f"{recording.sound!r}: not a path inside {root}.")
    length = sound_length(root / recording.sound)
    text = clean_text(recording.text)
    known = {"text": text if any(character.isalnum() for character in text) else "", "speaker": recording.speaker}
    return {
        "id": recording.id,
        "picture_id": recording.picture_id,
        "caption_index": recording.caption_index,
        "audio": recording.sound,
        "duration_s": length.duration_s,
        "sample_rate": length.sample_rate,
        **{key: value for key, value in known.items() if value},
    }
