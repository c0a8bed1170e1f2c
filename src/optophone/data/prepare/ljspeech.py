"""LJSpeech: 13,100 clips of one voice reading, with text (Keith Ito and Linda Johnson 2017).

The official layout is read: `metadata.csv` (ID|text|normalized text) beside `wavs/`. FLAC files are taken as well, and
so are parts of the data set.
"""

import hashlib
from pathlib import Path

from optophone.core.errors import DataError
from optophone.core.text import clean_text
from optophone.data.manifest import Dataset, Row, write_manifest
from optophone.data.prepare.preparation import Preparation
from optophone.data.prepare.progress import show_progress
from optophone.data.prepare.sound_length import sound_length

LICENCE = "Public domain."
SPEAKER = "LJ"
SUFFIXES = (".wav", ".flac")
N_WHOLE = 13_100
N_TEST = 500
N_DEV = 100


def prepare_ljspeech(source: str | Path, out: str | Path) -> Dataset:
    """Read LJSpeech at `source` and write the manifests to `out`; the clips stay where they are.

    Rows are {"id", "audio", "text", "duration_s", "sample_rate", "speaker"}: "text" is the normalized text after
    `clean_text`, "audio" starts from the folder of metadata.csv. The splits depend on the ids alone, see
    `split_ljspeech`. Does nothing where `out` is finished; an interrupted run starts over, since it takes seconds.

    Raises:
        DataError: the layout is not found, clips are missing or unreadable, or `out` holds something else.
    """
    source, out = Path(source), Path(out)
    preparation = Preparation("ljspeech", source, out, {})
    finished = preparation.begin()
    if finished:
        return finished
    folder = _speech_folder(source)
    texts = _read_texts(folder / "metadata.csv")
    files = _find_clips(folder, list(texts))
    rows = [
        _row(folder, file, clip, texts[clip])
        for clip, file in show_progress(files.items(), len(files), "clips of LJSpeech")
    ]
    splits = split_ljspeech(rows)
    for name, split_rows in splits.items():
        write_manifest(out / f"{name}.jsonl", split_rows)
    return preparation.finish(list(splits), "official folder", LICENCE, {"audio": folder.resolve()})


def split_ljspeech(rows: list[Row]) -> dict[str, list[Row]]:
    """Divide `rows` into train, dev and, when the data set is whole, test.

    Whole (13,100 clips): 12,500 / 100 / 500, the sizes that Tacotron 2 and WaveGlow report on; test and dev are the
    clips whose ids have the smallest sha256, so that they come from all over the books. A part: the last tenth in the
    order of metadata.csv is dev, at least one clip, and there is no test. Every split keeps the order of metadata.csv.
    """
    if len(rows) < 2:
        raise DataError(f"{len(rows)} clips cannot be divided into train and dev; at least 2 are needed.")
    if len(rows) != N_WHOLE:
        n_train = len(rows) - max(1, len(rows) // 10)
        return {"train": rows[:n_train], "dev": rows[n_train:]}
    by_hash = sorted((row["id"] for row in rows), key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    test, dev = set(by_hash[:N_TEST]), set(by_hash[N_TEST : N_TEST + N_DEV])
    return {
        "train": [row for row in rows if row["id"] not in test and row["id"] not in dev],
        "dev": [row for row in rows if row["id"] in dev],
        "test": [row for row in rows if row["id"] in test],
    }


def _speech_folder(source: Path) -> Path:
    for folder in (source, source / "LJSpeech-1.1"):
        if (folder / "metadata.csv").is_file() and (folder / "wavs").is_dir():
            return folder
    raise DataError(f"{source}: no LJSpeech here; expected metadata.csv and wavs/, perhaps in LJSpeech-1.1.")


def _read_texts(path: Path) -> dict[str, str]:
    """Clip id to its cleaned text. Quotation marks are part of the text, so this is not read as CSV."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}).") from None
    texts: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        fields = line.rstrip("\r").split("|")
        clip = fields[0].strip()
        if len(fields) not in (2, 3) or not clip or set(clip) & set("/\\:"):
            raise DataError(f"{path}:{number}: expected ID|text|normalized text, found {line[:60]!r}.")
        if clip in texts:
            raise DataError(f"{path}:{number}: {clip} occurs twice.")
        texts[clip] = clean_text(fields[-1].strip() or fields[1])
        if not texts[clip]:
            raise DataError(f"{path}:{number}: {clip} has no text.")
    if not texts:
        raise DataError(f"{path}: names no clips.")
    return texts


def _find_clips(folder: Path, clips: list[str]) -> dict[str, Path]:
    """Clip id to its file, WAV before FLAC."""
    present = {path.name for path in (folder / "wavs").iterdir()}
    files = {}
    missing = []
    for clip in clips:
        name = next((clip + suffix for suffix in SUFFIXES if clip + suffix in present), None)
        if name is None:
            missing.append(clip)
        else:
            files[clip] = folder / "wavs" / name
    if missing:
        named = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
        raise DataError(f"{folder / 'wavs'}: {len(missing)} of {len(clips)} clips are missing: {named}.")
    return files


def _row(folder: Path, file: Path, clip: str, text: str) -> Row:
    length = sound_length(file)
    return {
        "id": clip,
        "audio": file.relative_to(folder).as_posix(),
        "text": text,
        "duration_s": length.duration_s,
        "sample_rate": length.sample_rate,
        "speaker": SPEAKER,
    }
