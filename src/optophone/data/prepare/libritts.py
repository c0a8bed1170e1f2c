"""LibriTTS: 585 hours of audio books with text as it is written, cut at sentences (Zen et al. 2019).

The official layout is read: `LibriTTS/SUBSET/SPEAKER/CHAPTER/` with a `.wav` and a `.normalized.txt` (numbers and
abbreviations spelled out) for each utterance; `.original.txt` is taken where that is absent. LibriTTS-R is laid out so,
too.
"""

from pathlib import Path

from optophone.core.errors import DataError
from optophone.data.manifest import Dataset
from optophone.data.prepare.speakers import SpeakerCorpus, Utterance, prepare_speakers

LICENCE = "CC BY 4.0, Heiga Zen and others."
SUFFIXES = (".wav", ".flac", ".mp3")
TEXT_SUFFIXES = (".normalized.txt", ".original.txt")


def prepare_libritts(source: str | Path, out: str | Path, held_back_speakers: int = 0) -> Dataset:
    """Read LibriTTS at `source` and write the manifests to `out`; see `prepare_speakers`."""
    return prepare_speakers(LIBRITTS, Path(source), Path(out), held_back_speakers)


def _read_chapter(folder: Path) -> list[Utterance]:
    sounds = {path.stem: path for suffix in reversed(SUFFIXES) for path in sorted(folder.glob(f"*{suffix}"))}
    for text_suffix in TEXT_SUFFIXES:
        for path in sorted(folder.glob(f"*{text_suffix}")):
            if path.name.removesuffix(text_suffix) not in sounds:
                raise DataError(f"{path}: its sound file is missing; download it again.")
    return [Utterance(name, sounds[name], _read_text(sounds[name])) for name in sorted(sounds)]


def _read_text(sound: Path) -> str:
    for suffix in TEXT_SUFFIXES:
        path = sound.with_name(sound.stem + suffix)
        if path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace").strip()
            if not text:
                raise DataError(f"{path}: empty; download it again.")
            return text
    raise DataError(f"{sound}: no transcript beside it; expected {sound.stem}{TEXT_SUFFIXES[0]}.")


LIBRITTS = SpeakerCorpus("libritts", ("LibriTTS", "LibriTTS_R"), LICENCE, _read_chapter)
