"""The work of `optophone bulk`: what is done with a shard, the same whoever hands the shards out."""

import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from optophone.cli.many_pictures import PICTURES, Speaking, spoken_record
from optophone.cli.messages import printable
from optophone.cli.output_folder import as_line
from optophone.cli.picture_speaker import SpeakOptions
from optophone.core.audio import encode_wave, read_wave
from optophone.core.errors import DataError, OptophoneError
from optophone.core.picture import PictureLimits, load_picture
from optophone.core.whole_file import Unfinished, why_unwritten, write_whole
from optophone.data.shards import Sample, read_samples
from optophone.data.unit_column import RunLength, unit_fields
from optophone.data.unit_extraction import refuse_silence
from optophone.own_parts import is_speech_model, load_unit_encoder

SOUNDS = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff")
MAX_SOUND_BYTES = 64 << 20


class Made(NamedTuple):
    """What became of a sample: what the report says, and a file for the shard beside it (`suffix` "" for none)."""

    record: dict[str, Any]
    content: bytes = b""
    suffix: str = ""


Transform = Callable[[bytes], Made]


class SampleWork(Protocol):
    """What is done with a sample; can be sent to another process, and begins there."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Of the members that are taken from shards."""
        ...

    @property
    def max_bytes(self) -> int:
        """Of such a member."""
        ...

    def begin(self) -> Transform:
        """Load what is needed; what then turns a sample's bytes into something."""
        ...


@dataclass(frozen=True)
class SpeakSamples:
    """Pictures → sounds."""

    options: SpeakOptions
    suffixes: tuple[str, ...] = PICTURES
    max_bytes: int = PictureLimits().max_bytes

    def begin(self) -> Transform:
        """Load the models."""
        speaking, kind = Speaking(self.options), self.options.audio_format or "wav"

        def speak(content: bytes) -> Made:
            found, spoken = speaking.speak(content)
            return Made(spoken_record(found, spoken), encode_wave(spoken.wave, spoken.sample_rate, kind), f".{kind}")

        return speak


@dataclass(frozen=True)
class UnitsOfSamples:
    """Sounds → units."""

    bundle: str
    quantizer: int | None = None
    run_length: RunLength = "lossless"
    suffixes: tuple[str, ...] = SOUNDS
    max_bytes: int = MAX_SOUND_BYTES

    def begin(self) -> Transform:
        """Load the encoder."""
        if is_speech_model(self.bundle):
            import torch

            torch.set_num_threads(1)
        encoder = load_unit_encoder(self.bundle, quantizer=self.quantizer, threads=1)

        def write_down(content: bytes) -> Made:
            wave, _ = read_wave(content, encoder.sample_rate)
            refuse_silence(wave)
            ids = encoder.units(wave)
            fields = unit_fields(ids, encoder.vocabulary, self.run_length)
            return Made({**fields, "unit_s": encoder.unit_s, "n_frames": len(ids)})

        return write_down


@dataclass(frozen=True)
class FeaturesOfSamples:
    """Pictures → region features."""

    detector: str
    n_regions: int = 36
    revision: str | None = None
    suffixes: tuple[str, ...] = PICTURES
    max_bytes: int = PictureLimits().max_bytes

    def begin(self) -> Transform:
        """Load the detector."""
        import torch
        import transformers

        from optophone.adapters.detector import DetectorRegions

        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        torch.set_num_threads(1)
        detector = DetectorRegions(self.detector, self.n_regions, self.revision)

        def find(content: bytes) -> Made:
            seen = detector.regions(load_picture(content))
            file = io.BytesIO()
            seen.write(file)
            return Made({"n_regions": len(seen.features), "labels": list(seen.labels[:3])}, file.getvalue(), ".npz")

        return find


@dataclass(frozen=True)
class ShardWork:
    """What is done with a shard, and the folder that its results go to."""

    samples: SampleWork
    folder: str

    def __call__(self) -> "ShardWorker":
        """Load what is needed, in the process that does it."""
        return ShardWorker(self.samples, self.folder)


@dataclass(frozen=True)
class Counts:
    """How many samples of a shard were done, and how many failed."""

    n_done: int
    n_failed: int


class ShardWorker:
    """Shards → shards.

    Of `x.tar` become `x.jsonl`, a line for each sample, and where files are made a new `x.tar` of them. The lines are
    written last: what has them is done. Both are the same, byte for byte, whoever made them.
    """

    def __init__(self, samples: SampleWork, folder: str) -> None:
        self.samples, self.folder = samples, Path(folder)
        self.transform = samples.begin()

    def __call__(self, shard: str) -> Counts:
        """Do a shard.

        Raises:
            DataError: it cannot be read to its end, or the results cannot be written; nothing is left then.
        """
        archive, report = result_paths(self.folder, shard)
        lines, n_failed, n_files = [], 0, 0
        try:
            with Unfinished(archive) as part:
                with tarfile.open(part.path, "w", format=tarfile.GNU_FORMAT) as made:
                    for sample in read_samples(shard, self.samples.suffixes, self.samples.max_bytes):
                        record = self._do(sample, made)
                        n_failed += "error" in record
                        n_files += "file" in record
                        lines.append(as_line(record))
                if not lines:
                    raise DataError(f"{shard}: holds nothing of {', '.join(self.samples.suffixes[:4])}, ...")
                if n_files:
                    part.put_in_place()
            write_whole(report, b"".join(lines))
        except OSError as error:
            raise DataError(f"{archive}: cannot be written ({why_unwritten(error)}).") from None
        return Counts(len(lines) - n_failed, n_failed)

    def _do(self, sample: Sample, archive: tarfile.TarFile) -> dict[str, Any]:
        key = printable(sample.key)
        if sample.error:
            return {"key": key, "error": sample.error}
        try:
            record, content, suffix = self.transform(sample.content)
        except OptophoneError as error:
            return {"key": key, "error": " ".join(str(error).split())}
        if suffix:
            member = tarfile.TarInfo(key + suffix)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
            record = {**record, "file": member.name}
        return {"key": key, **record}


def result_paths(folder: Path, shard: str) -> tuple[Path, Path]:
    """The archive and the report of a shard."""
    stem = Path(shard).name.removesuffix(".tar")
    return folder / f"{stem}.tar", folder / f"{stem}.jsonl"
