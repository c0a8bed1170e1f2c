"""LibriSpeech: 1,000 hours of audio books read by 2,484 speakers (Panayotov et al. 2015).

The official layout is read: `LibriSpeech/SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER-0000.flac` beside
`SPEAKER-CHAPTER.trans.txt` with lines `ID TEXT`. MP3 and WAV files are taken as well, and so are parts of the corpus.
"""

from pathlib import Path

from optophone.core.errors import DataError
from optophone.data.manifest import Dataset
from optophone.data.prepare.speakers import SpeakerCorpus, Utterance, prepare_speakers

LICENCE = "CC BY 4.0, Vassil Panayotov and others."
SUFFIXES = (".flac", ".mp3", ".wav")


def prepare_librispeech(source: str | Path, out: str | Path, held_back_speakers: int = 0) -> Dataset:
    """Read LibriSpeech at `source` and write the manifests to `out`; see `prepare_speakers`."""
    return prepare_speakers(LIBRISPEECH, Path(source), Path(out), held_back_speakers)


def _read_chapter(folder: Path) -> list[Utterance]:
    sounds = {path.stem: path for suffix in reversed(SUFFIXES) for path in sorted(folder.glob(f"*{suffix}"))}
    transcript = folder / f"{folder.parent.name}-{folder.name}.trans.txt"
    if not transcript.is_file():
        if not sounds:
            return []
        raise DataError(f"{transcript}: missing; it holds what is said in this folder. Download it again.")
    texts = _read_transcript(transcript)
    silent = sorted(set(sounds) - set(texts))
    if silent:
        raise DataError(f"{transcript}: has no line for {sounds[silent[0]].name}; download both again.")
    missing = sorted(set(texts) - set(sounds))
    if missing:
        raise DataError(f"{folder}: {len(missing)} of {len(texts)} sound files are missing, such as {missing[0]}.")
    return [Utterance(name, sounds[name], text) for name, text in texts.items()]


def _read_transcript(path: Path) -> dict[str, str]:
    texts: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        name, _, text = line.strip().partition(" ")
        if not name:
            continue
        if not text.strip() or name in texts:
            problem = "occurs twice" if name in texts else "has no text"
            raise DataError(f"{path}:{number}: {name[:60]} {problem}; expected ID TEXT.")
        texts[name] = text
    return texts


LIBRISPEECH = SpeakerCorpus("librispeech", ("LibriSpeech",), LICENCE, _read_chapter)
