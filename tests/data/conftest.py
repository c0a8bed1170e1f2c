"""Small trees in the official layouts of the data sets, made on the spot."""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

WNIDS = ("n01443537", "n01629819", "n01641577")
CAPTIONS = ("A dog runs .", "The brown dog is running .", "A dog .", 'Dog "Rex", running .', "An animal on grass .")


class Trees:
    """Builds source trees below `root`; every picture is of one colour, which tests can recognise."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def picture(self, index: int, size: tuple[int, int] = (64, 64), kind: str = "png") -> bytes:
        """A picture of colour `colour(index)`; size is (width, height)."""
        buffer = io.BytesIO()
        Image.new("RGB", size, self.colour(index)).save(buffer, kind, **({"lossless": True} if kind == "webp" else {}))
        return buffer.getvalue()

    @staticmethod
    def colour(index: int) -> tuple[int, int, int]:
        """The colour of picture `index`."""
        return (10 * index % 256, 255 - 10 * index % 256, 128)

    def flickr8k(self, splits: tuple[str, ...] = ("train", "dev"), n: int = 3) -> Path:
        """`n` pictures a split with five captions each, and one picture more that no list names."""
        source = self.root / "flickr8k"
        (source / "Flicker8k_Dataset").mkdir(parents=True)
        (source / "Flickr8k_text").mkdir()
        lines = []
        for number, split in enumerate((*splits, "unlisted")):
            names = [f"{split}_{i}.jpg" for i in range(1 if split == "unlisted" else n)]
            for i, name in enumerate(names):
                index = number * n + i
                (source / "Flicker8k_Dataset" / name).write_bytes(self.picture(index, (50, 40), "jpeg"))
                lines += [f"{name}#{k}\t{caption}\n" for k, caption in enumerate(CAPTIONS)]
            if split != "unlisted":
                (source / "Flickr8k_text" / f"Flickr_8k.{split}Images.txt").write_text("\n".join(names) + "\n")
        (source / "Flickr8k_text" / "Flickr8k.token.txt").write_text("".join(lines))
        return source

    def tiny_imagenet_folder(self) -> Path:
        """One training picture a class and three validation pictures."""
        source = self.root / "tiny-imagenet-200"
        for label, wnid in enumerate(WNIDS):
            folder = source / "train" / wnid / "images"
            folder.mkdir(parents=True)
            (folder / f"{wnid}_0.JPEG").write_bytes(self.picture(label, kind="jpeg"))
            (source / "train" / wnid / f"{wnid}_boxes.txt").write_text("")
        (source / "val" / "images").mkdir(parents=True)
        annotations = ""
        for i in range(3):
            (source / "val" / "images" / f"val_{i}.JPEG").write_bytes(self.picture(3 + i, kind="jpeg"))
            annotations += f"val_{i}.JPEG\t{WNIDS[2 - i]}\t0\t0\t10\t10\n"
        (source / "val" / "val_annotations.txt").write_text(annotations)
        (source / "wnids.txt").write_text("\n".join(WNIDS) + "\n")
        (source / "words.txt").write_text("".join(f"{wnid}\tname {i}, of it\n" for i, wnid in enumerate(WNIDS)))
        return source

    def tiny_imagenet_shards(self, kind: str = "webp") -> Path:
        """Two training shards and one for validation, each of three pictures."""
        source = self.root / "tiny-imagenet"
        source.mkdir(parents=True)
        for number, name in enumerate(("train-0000", "train-0001", "val-0000")):
            members = {}
            for i in range(3):
                index = 3 * number + i
                members[f"{name[:3]}_{index}.{kind}"] = self.picture(index, kind=kind)
                members[f"{name[:3]}_{index}.cls"] = str((index + 1) % 3).encode()
            self.shard(source / f"{name}.tar.gz", members)
        classes = [{"wnid": wnid, "name": f"name {i}"} for i, wnid in enumerate(WNIDS)]
        (source / "classes.json").write_text(json.dumps(classes))
        return source

    @staticmethod
    def shard(path: Path, members: dict[str, bytes]) -> None:
        """A tar.gz with `members` in their order."""
        with tarfile.open(path, "w:gz") as archive:
            for name, content in members.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))

    def ljspeech(self, n: int = 3, suffix: str = "wav") -> Path:
        """`n` clips of a tenth of a second and more."""
        source = self.root / "LJSpeech-1.1"
        (source / "wavs").mkdir(parents=True)
        lines = []
        for i in range(n):
            wave = (0.1 * np.sin(np.arange(2205 + 441 * i) / 10)).astype(np.float32)
            soundfile.write(source / "wavs" / f"LJ001-{i:04d}.{suffix}", wave, 22050)
            lines.append(f'LJ001-{i:04d}|He said "No, {i}!|He said "No, {i}!\n')
        (source / "metadata.csv").write_text("".join(lines), encoding="utf-8")
        return source

    def librispeech(self, subsets: dict[str, dict[str, int]] | None = None, suffix: str = "flac") -> Path:
        """`subsets` maps a subset to speakers and how many utterances each has; three by two speakers by default."""
        source = self.root / "LibriSpeech"
        for subset, speakers in (subsets or {"dev-clean": {"84": 2, "7": 1}}).items():
            for speaker, count in speakers.items():
                chapter = source / subset / speaker / "121"
                chapter.mkdir(parents=True)
                names = [f"{speaker}-121-{i:04d}" for i in range(count)]
                for i, name in enumerate(names):
                    self.sound(chapter / f"{name}.{suffix}", 1600 + 160 * i)
                text = "".join(f"{name} GO DO YOU HEAR {'A' * (i + 1)}\n" for i, name in enumerate(names))
                (chapter / f"{speaker}-121.trans.txt").write_text(text)
        speakers_text = "; a comment\n;ID  |SEX| SUBSET |MINUTES| NAME\n84   | F | dev-clean | 8.04 | A | B\n"
        (source / "SPEAKERS.TXT").write_text(speakers_text)
        return source

    def libritts(self) -> Path:
        """Three utterances by two speakers."""
        source = self.root / "LibriTTS"
        for speaker, count in (("84", 2), ("7", 1)):
            chapter = source / "train-clean-100" / speaker / "121"
            chapter.mkdir(parents=True)
            for i in range(count):
                name = f"{speaker}_121_000000_{i:06d}"
                self.sound(chapter / f"{name}.wav", 2400 + 240 * i, 24000)
                (chapter / f"{name}.original.txt").write_text(f"Mr. {speaker}, 3!")
                (chapter / f"{name}.normalized.txt").write_text("Mister Bell, three!")
            (chapter / f"{speaker}_121.trans.tsv").write_text("ignored\n")
        return source

    def places_audio(self) -> Path:
        """Two recordings in train, one in val, and their pictures beside the corpus."""
        source = self.root / "PlacesAudio_400k_distro"
        (source / "metadata").mkdir(parents=True)
        for number, split in enumerate(("train", "val")):
            entries = []
            for i in range(2 - number):
                wav, image = f"wavs/{split}/utterance_{i}.wav", f"a/abbey/gsun_{split}_{i}.jpg"
                self.sound(source / wav, 1600 + 160 * i)
                (self.root / "images" / image).parent.mkdir(parents=True, exist_ok=True)
                (self.root / "images" / image).write_bytes(self.picture(5 * number + i, (30, 20), "jpeg"))
                entry = {"uttid": f"A{split}-GSUN_{i}", "speaker": f"A{split}", "asr_text": "an old abbey", "wav": wav}
                entries.append({**entry, "image": image})
            content = {"image_base_path": "/nowhere/images", "audio_base_path": "/nowhere/audio", "data": entries}
            (source / "metadata" / f"{split}.json").write_text(json.dumps(content))
        return source

    def spokencoco(self) -> Path:
        """Two captions of one picture in train, and one caption in val."""
        source = self.root / "SpokenCOCO"
        for split, name, count in (
            ("train", "val2014/COCO_val2014_000000000042", 2),
            ("val", "val2014/COCO_val2014_7", 1),
        ):
            captions = []
            for i in range(count):
                wav = f"wavs/{split}/0/m0-3LU_{split}_{i}.wav"
                self.sound(source / wav, 1600 + 160 * i)
                caption = {"text": f"A URINAL {i}", "speaker": "m0", "uttid": f"m0-3LU_{split}_{i}", "wav": wav}
                captions.append({**caption, "parse_tree": "( a urinal )"})
            content = {"data": [{"image": f"{name}.jpg", "captions": captions}]}
            (source / f"SpokenCOCO_{split}.json").write_text(json.dumps(content))
        return source

    def speechcoco(self) -> Path:
        """Two captions of one picture in train2014, one in val2014, described by JSON files."""
        source = self.root / "CORPUS-MSCOCO"
        for part, picture, captions in (("train2014", 298817, (26763, 26002)), ("val2014", 7, (9,))):
            for i, caption in enumerate(captions):
                name = f"{picture}_{caption}_Phil_None_0-9"
                self.sound(source / part / "wav" / f"{name}.wav", 1600 + 160 * i)
                content = {
                    "duration": 0.1,
                    "speaker": "Phil",
                    "synthesisedCaption": f"A group of turkeys, {i}.",
                    "timecode": [],
                    "speed": 0.9,
                    "wavFilename": f"{name}.wav",
                    "captionID": caption,
                    "imgID": picture,
                    "disfluency": ["None", ""],
                }
                (source / part / "json").mkdir(exist_ok=True)
                (source / part / "json" / f"{name}.json").write_text(json.dumps(content))
        return source

    def flickr8k_audio(self) -> Path:
        """A recording of two captions of a training picture and one of a dev picture; `flickr8k` makes the pictures."""
        source = self.root / "flickr_audio"
        lines = [("train_0", 1, 4), ("train_0", 0, 7), ("dev_0", 2, 4), ("elsewhere", 0, 1)]
        for i, (picture, number, _) in enumerate(lines):
            self.sound(source / "wavs" / f"{picture}_{number}.wav", 1600 + 160 * i)
        captions = "".join(f"{picture}_{number}.wav {picture}.jpg #{number}\n" for picture, number, _ in lines)
        (source / "wav2capt.txt").write_text(captions)
        speakers = "".join(f"{picture}_{number}.wav {speaker}\n" for picture, number, speaker in lines)
        (source / "wav2spk.txt").write_text(speakers)
        return source

    @staticmethod
    def sound(path: Path, n_samples: int, sample_rate: int = 16000) -> None:
        """A tone in a file of the kind that its suffix names."""
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, (0.1 * np.sin(np.arange(n_samples) / 10)).astype(np.float32), sample_rate)


@pytest.fixture
def trees(tmp_path: Path) -> Trees:
    """A builder of source trees below the test's own folder."""
    return Trees(tmp_path / "source")


def _snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, so that two preparations can be compared to the byte."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def snapshot():
    """The function that reads a whole folder."""
    return _snapshot


class Killed(BaseException):
    """Stands for a kill signal: no handler of ours may catch it."""


class Killer:
    """Makes show_progress of a module raise `Killed` after some items, once."""

    killed = Killed

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch

    def arm(self, module: str, after: int) -> None:
        """Let `module`'s loop end with `Killed` after `after` items; the next loop runs through."""
        import importlib

        target = importlib.import_module(module)
        original = target.show_progress

        def dying(items: Iterator, *arguments: object, **options: object) -> Iterator:
            self.monkeypatch.setattr(target, "show_progress", original)
            for number, item in enumerate(items):
                if number == after:
                    raise Killed
                yield item

        self.monkeypatch.setattr(target, "show_progress", dying)


@pytest.fixture
def killer(monkeypatch: pytest.MonkeyPatch) -> Killer:
    """Kills a preparation in the middle."""
    return Killer(monkeypatch)
