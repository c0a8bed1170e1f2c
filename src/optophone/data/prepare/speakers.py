"""Speech of many speakers in folders SUBSET/SPEAKER/CHAPTER: what LibriSpeech and LibriTTS have in common.

Speakers of their training, development and test sets differ, so a set that is there becomes the split of its name. Who
downloaded one set only gets a split of it.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from optophone.core.errors import DataError
from optophone.core.text import clean_text
from optophone.data.manifest import Dataset, Row, write_manifest
from optophone.data.prepare.preparation import Preparation
from optophone.data.prepare.progress import show_progress
from optophone.data.prepare.sound_length import sound_length

SPLITS = ("train", "dev", "test")
SPEAKER_FILES = ("SPEAKERS.TXT", "SPEAKERS.txt")
HELD_BACK_SHARE = 10
_SUBSET = re.compile(r"(train|dev|test)-[a-z]+(-\d+)?")


@dataclass(frozen=True)
class Utterance:
    """One sentence of a chapter: its id, its sound file and what is said, as it is written there."""

    id: str
    sound: Path
    text: str


@dataclass(frozen=True)
class SpeakerCorpus:
    """What differs between the corpora.

    Attributes:
        name: of the data set.
        folders: names of the folder that holds the subsets, where it is not the source itself.
        licence: terms.
        read_chapter: the utterances of a chapter's folder in their order, or a DataError.
    """

    name: str
    folders: tuple[str, ...]
    licence: str
    read_chapter: Callable[[Path], list[Utterance]]


def prepare_speakers(corpus: SpeakerCorpus, source: Path, out: Path, held_back_speakers: int) -> Dataset:
    """Read `corpus` at `source` and write the manifests to `out`; the sound files stay where they are.

    Rows are {"id", "audio", "text", "duration_s", "sample_rate", "speaker", "subset"} and, where SPEAKERS.TXT knows the
    speaker, "sex" ("F" or "M") and "speaker_name". "text" went through `clean_text`; "audio" starts from the folder of
    the subsets. For the splits see `split_speakers`. Does nothing where `out` is finished; an interrupted run starts
    over, since only headers are read.

    Args:
        corpus: which.
        source: the folder with the subsets, or the one above.
        out: the folder to write.
        held_back_speakers: speakers that make up dev where there is no set for it; 0 to hold back a tenth of every
            speaker's utterances instead.

    Raises:
        DataError: the layout is not found, a transcript is missing, a sound file is missing, unreadable, empty or cut
            off, or `out` holds something else.
    """
    preparation = Preparation(corpus.name, source, out, {"held_back_speakers": held_back_speakers})
    finished = preparation.begin()
    if finished:
        return finished
    folder, subsets = _find_subsets(corpus, source)
    known = _read_speakers(folder)
    rows: dict[str, list[Row]] = {}
    seen: dict[str, str] = {}
    for chapter in show_progress(_chapters(folder, subsets), None, f"chapters of {corpus.name}"):
        subset = chapter.parent.parent.name
        for utterance in corpus.read_chapter(chapter):
            row = _row(utterance, folder, known)
            if seen.setdefault(row["id"], row["audio"]) != row["audio"]:
                raise DataError(f"{utterance.sound}: {row['id']} is {seen[row['id']]} already; delete one of them.")
            rows.setdefault(subset, []).append(row)
    splits = split_speakers(corpus.name, rows, held_back_speakers)
    for name, split_rows in splits.items():
        write_manifest(out / f"{name}.jsonl", split_rows)
    layout = f"official folder, {', '.join(subsets)}"
    return preparation.finish(list(splits), layout, corpus.licence, {"audio": folder.resolve()})


def split_speakers(name: str, rows: dict[str, list[Row]], held_back_speakers: int = 0) -> dict[str, list[Row]]:
    """Divide `rows`, subset name ("train-clean-100") to its rows, into train, dev and perhaps test.

    Sets become the splits that their names begin with. Where there is no training set, that of dev is divided, else
    that of test; where there is no development set, that of training is divided:

    - `held_back_speakers` = 0: a tenth of every speaker's utterances is dev, those whose ids have the smallest sha256,
      at least one of every speaker with two. The same voices, other sentences: for a voice with speakers.
    - else so many speakers are dev, those with the smallest sha256 of the id. Other voices.

    Either way a speaker's utterances are divided the same whichever other speakers are there.
    """
    sets = {split: [row for subset in rows if subset.startswith(split) for row in rows[subset]] for split in SPLITS}
    sets = {split: found for split, found in sets.items() if found}
    if not sets:
        raise DataError(f"{name}: no utterances in {', '.join(rows) or 'this folder'}; download it again.")
    if "train" in sets and "dev" in sets:
        if held_back_speakers:
            raise DataError(f"{name}: a development set is here, with speakers of its own; leave out the held-back.")
        return sets
    whole = sets.pop(next(iter(sets)))
    held_back = _speakers_held_back(whole, held_back_speakers) if held_back_speakers else _utterances_held_back(whole)
    train = [row for row in whole if row["id"] not in held_back]
    if not train or not held_back:
        raise DataError(f"{name}: {len(whole)} utterances cannot be divided into train and dev; more are needed.")
    return {"train": train, "dev": [row for row in whole if row["id"] in held_back], **sets}


def _utterances_held_back(rows: list[Row]) -> set[str]:
    held_back: set[str] = set()
    by_speaker: dict[str, list[str]] = {}
    for row in rows:
        by_speaker.setdefault(row["speaker"], []).append(row["id"])
    for ids in by_speaker.values():
        if len(ids) > 1:
            held_back.update(sorted(ids, key=_hash)[: max(1, len(ids) // HELD_BACK_SHARE)])
    return held_back


def _speakers_held_back(rows: list[Row], n_speakers: int) -> set[str]:
    speakers = sorted({row["speaker"] for row in rows}, key=_hash)
    if not 0 < n_speakers < len(speakers):
        raise DataError(f"--held-back-speakers {n_speakers}: {len(speakers)} speakers are here; one must remain.")
    chosen = set(speakers[:n_speakers])
    return {row["id"] for row in rows if row["speaker"] in chosen}


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _find_subsets(corpus: SpeakerCorpus, source: Path) -> tuple[Path, list[str]]:
    for folder in (source, *(source / name for name in corpus.folders)):
        if folder.is_dir():
            subsets = sorted(path.name for path in folder.iterdir() if path.is_dir() and _SUBSET.fullmatch(path.name))
            if subsets:
                return folder, subsets
    raise DataError(
        f"{source}: no {corpus.name} here; expected folders such as train-clean-100 or dev-clean, perhaps in "
        f"{corpus.folders[0]}."
    )


def _chapters(folder: Path, subsets: list[str]) -> Iterator[Path]:
    for subset in subsets:
        for speaker in _sorted_folders(folder / subset):
            yield from _sorted_folders(speaker)


def _sorted_folders(folder: Path) -> list[Path]:
    """The folders in `folder`, those with numbers as names by number."""
    found = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return sorted(found, key=lambda path: (int(path.name) if path.name.isdecimal() else -1, path.name))


def _read_speakers(folder: Path) -> dict[str, dict[str, str]]:
    """Speaker id to sex and name, from lines `ID | SEX | SUBSET | MINUTES | NAME`; nothing where the file is absent."""
    path = next((folder / name for name in SPEAKER_FILES if (folder / name).is_file()), None)
    if path is None:
        return {}
    speakers = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if not line.strip() or line.startswith(";"):
            continue
        fields = [field.strip() for field in line.split("|", 4)]
        if len(fields) != 5 or fields[1] not in ("F", "M"):
            raise DataError(f"{path}:{number}: expected ID | SEX | SUBSET | MINUTES | NAME, found {line[:60]!r}.")
        speakers[fields[0]] = {"sex": fields[1], "speaker_name": fields[4]}
    return speakers


def _row(utterance: Utterance, folder: Path, known: dict[str, dict[str, str]]) -> Row:
    audio = utterance.sound.relative_to(folder)
    text = clean_text(utterance.text)
    if not any(character.isalnum() for character in text):
        raise DataError(f"{utterance.sound}: its transcript holds no words: {utterance.text[:60]!r}.")
    length = sound_length(utterance.sound)
    return {
        "id": utterance.id,
        "audio": audio.as_posix(),
        "text": text,
        "duration_s": length.duration_s,
        "sample_rate": length.sample_rate,
        "speaker": audio.parts[1],
        "subset": audio.parts[0],
        **known.get(audio.parts[1], {}),
    }
