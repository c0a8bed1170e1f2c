"""Flickr Audio Caption Corpus: the 40,000 captions of Flickr8k read aloud by 183 people (Harwath and Glass 2015).

The official layout is read: `flickr_audio/wav2capt.txt` with lines `WAV PICTURE #NUMBER`, `wav2spk.txt` with lines
`WAV SPEAKER`, and `wavs/`. What is said, and the splits, are in Flickr8k itself: either a prepared data set of it, or
its folder `Flickr8k_text` in or beside the corpus.
"""

from pathlib import Path

from optophone.core.errors import DataError
from optophone.data.manifest import Dataset
from optophone.data.prepare.flickr8k import TEXT_FOLDER, TOKEN_FILE, read_captions, read_lists
from optophone.data.prepare.recordings import Recording, Recordings, find_folder, prepare_recordings, read_lines

LICENCE = "CC BY-SA for the recordings; the captions are those of Flickr8k."
CAPTIONS_FILE = "wav2capt.txt"
SPEAKERS_FILE = "wav2spk.txt"


def prepare_flickr8k_audio(
    source: str | Path, out: str | Path, pictures: str | Path | None = None, skip_damaged: bool = False
) -> Dataset:
    """Read the spoken captions of Flickr8k at `source` and write the manifests to `out`; see `prepare_recordings`.

    "picture_id" is the picture's name without its suffix, the id of the rows that `prepare flickr8k` writes.
    """
    return prepare_recordings("flickr8k-audio", LICENCE, Path(source), Path(out), pictures, skip_damaged, _read)


def _read(source: Path, pictures: Dataset | None) -> Recordings:
    folder = find_folder(source, ("flickr_audio",), (CAPTIONS_FILE,), "Flickr Audio Caption Corpus")
    if pictures is not None:
        captions = {row["id"]: row.get("captions", []) for split in pictures.splits for row in pictures.rows(split)}
        return Recordings(folder, {"all": _read_recordings(folder, captions)}, "official folder")
    text_folder = _text_folder(folder)
    captions = {Path(name).stem: texts for name, texts in read_captions(text_folder / TOKEN_FILE).items()}
    owner = {Path(name).stem: split for split, names in read_lists(text_folder).items() for name in names}
    splits: dict[str, list[Recording]] = {}
    for recording in _read_recordings(folder, captions):
        if recording.picture_id in owner:
            splits.setdefault(owner[recording.picture_id], []).append(recording)
    return Recordings(folder, splits, f"official folder, lists of {TEXT_FOLDER}")


def _text_folder(folder: Path) -> Path:
    for place in (folder, folder.parent, folder.parent.parent):
        if (place / TEXT_FOLDER).is_dir():
            return place / TEXT_FOLDER
    raise DataError(f"{folder}: no {TEXT_FOLDER} in or beside it for the splits; give --pictures a prepared flickr8k.")


def _read_recordings(folder: Path, captions: dict[str, list[str]]) -> list[Recording]:
    speakers = _read_speakers(folder / SPEAKERS_FILE) if (folder / SPEAKERS_FILE).is_file() else {}
    recordings = []
    for number, line in enumerate(read_lines(folder / CAPTIONS_FILE), start=1):
        fields = line.split()
        if not fields:
            continue
        index = fields[2].removeprefix("#") if len(fields) == 3 else ""
        if not (index.isascii() and index.isdigit()):
            raise DataError(f"{folder / CAPTIONS_FILE}:{number}: expected WAV PICTURE #NUMBER, found {line[:60]!r}.")
        sound, picture = Path(fields[0]), Path(fields[1]).stem
        texts = captions.get(picture, [])
        text = texts[int(index)] if int(index) < len(texts) else ""
        recordings.append(
            Recording(sound.stem, picture, int(index), text, f"wavs/{sound.name}", speakers.get(sound.name, ""))
        )
    return recordings


def _read_speakers(path: Path) -> dict[str, str]:
    """Name of the sound file to the speaker's number."""
    fields = (line.split() for line in read_lines(path))
    return {field[0]: field[1] for field in fields if len(field) == 2}
