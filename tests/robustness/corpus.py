"""Whole samples of all that is read from strangers: a file each, or a folder each for bundles and data sets."""

import io
import json
from pathlib import Path

import numpy as np
import soundfile

from optophone.core.bundle import BundleWriter
from optophone.core.k_means_units import KMeansUnits, KMeansUnitsConfig
from optophone.core.unit_filter_bank import UnitFilterBankConfig
from optophone.core.vocabulary import Vocabulary, build_phones, build_units, build_words, tacotron2_characters
from optophone.data.manifest import write_dataset, write_manifest
from robustness.pictures import pictures
from tiny_bundles import write_system
from tiny_recognizers import write_recognizer


def write_corpus(kind: str, folder: Path) -> Path:
    """Write the whole samples of a `kind` of `KINDS` to `folder`: files, or folders that are one sample each."""
    folder.mkdir(parents=True)
    KINDS[kind](folder)
    return folder


def _write_pictures(folder: Path) -> None:
    for name, content in pictures().items():
        (folder / name).write_bytes(content)


def _write_sounds(folder: Path) -> None:
    wave = 0.4 * np.sin(np.arange(2400) * 0.3).astype(np.float32)
    for name, rate, container, coding in (
        ("plain.wav", 8000, "WAV", "PCM_16"),
        ("float.wav", 8000, "WAV", "FLOAT"),
        ("packed.wav", 8000, "WAV", "IMA_ADPCM"),
        ("extensible.wav", 48000, "WAVEX", "PCM_24"),
        ("plain.flac", 22050, "FLAC", "PCM_16"),
        ("vorbis.ogg", 22050, "OGG", "VORBIS"),
        ("opus.ogg", 24000, "OGG", "OPUS"),
        ("plain.mp3", 22050, "MP3", "MPEG_LAYER_III"),
        ("plain.aiff", 8000, "AIFF", "PCM_16"),
        ("plain.au", 8000, "AU", "ULAW"),
    ):
        stream = io.BytesIO()
        channels = np.stack([wave, -0.5 * wave], 1) if "flac" in name or "vorbis" in name else wave
        soundfile.write(stream, channels, rate, coding, format=container)
        (folder / name).write_bytes(stream.getvalue())


def _write_regions(folder: Path) -> None:
    features = np.random.default_rng(0).normal(size=(5, 12)).astype(np.float32)
    np.save(folder / "plain.npy", features)
    np.save(folder / "grid.npy", np.asfortranarray(features.reshape(5, 3, 4)))
    np.savez(folder / "plain.npz", feat=features, bbox=np.zeros((5, 4)))
    np.savez_compressed(folder / "packed.npz", features=features.astype(np.float16))
    np.save(folder / "objects.npy", np.array([{"a": 1}], dtype=object))


def _write_vocabularies(folder: Path) -> None:
    for name, vocabulary in _vocabularies().items():
        vocabulary.save(folder / f"{name}.json")


def _vocabularies() -> dict[str, Vocabulary]:
    return {
        "words": build_words(["a dog's ball", "an isn't", "café two"]),
        "characters": tacotron2_characters(),
        "phones": build_phones(["HH AW1 | Z"]),
        "units": build_units(12),
    }


def _write_bundles(folder: Path) -> None:
    write_system(folder / "words", {"hedge": [{"below": 0.5, "say": "probably "}]}, refuses_flat=True)
    write_system(folder / "units", {"voice": {"max_characters": 40}}, units=True)
    write_recognizer(folder / "recognizer")
    config = KMeansUnitsConfig(UnitFilterBankConfig(sample_rate=8000, n_fft=128, hop_length=40, n_mels=12))
    centres = np.random.default_rng(1).normal(size=(6, 12 * config.frames_per_unit)).astype(np.float32)
    units = KMeansUnits(centres, config)
    with BundleWriter(
        folder / "k-means", kind="units", cls="k-means", name="k", vocabulary=units.vocabulary, licence="CC0-1.0"
    ) as writer:
        units.save(writer.path("k-means.npz"))


def _write_datasets(folder: Path) -> None:
    """A data set of speech, and the column of its units; `dataset.json` with its manifests."""
    place = {"source": "made here", "layout": "made here", "licence": "none"}
    speech = folder / "speech"
    speech.mkdir()
    rows = [
        {"id": f"u{i}", "audio": "train.waves.npy", "offset": 40 * i, "n_samples": 40, "sample_rate": 8000}
        | {"text": "two dogs", "duration_s": 0.005, "speaker": "LJ", "picture_id": f"p{i // 2}", "caption_index": i % 2}
        for i in range(4)
    ]
    np.save(speech / "train.waves.npy", np.arange(160, dtype=np.int16))
    write_manifest(speech / "train.jsonl", rows)
    made = write_dataset(speech, "tiny", splits=["train"], options={}, **place)
    for run_length in ("collapsed", "lossless", "off"):
        column = folder / run_length
        column.mkdir()
        build_units(9).save(column / "vocabulary.json")
        units = {"units": "3 3 8"} if run_length == "off" else {"units": "3 8 1"}
        lengths = {"lengths": [2, 1, 4]} if run_length == "lossless" else {}
        write_manifest(column / "train.jsonl", [{"id": row["id"], **units, **lengths} for row in rows])
        options = {"run_length": run_length, "unit_s": 0.02, "quantizer": None, "encoder": "k", "content": "0"}
        write_dataset(column, "units", splits=["train"], options={**options, "speech": made.hash()}, **place)


def reseal(folder: Path) -> None:
    """Make the manifests of the bundle or data set in `folder` say again what its files hold, as far as they parse."""
    from hashlib import sha256

    for manifest in sorted(folder.rglob("bundle.json"), key=lambda path: -len(path.parts)):
        content = _parsed(manifest)
        files = content.get("files") if isinstance(content, dict) else None
        for name, record in files.items() if isinstance(files, dict) else ():
            path = manifest.parent / name if "\x00" not in name and name.isascii() and len(name) < 200 else folder
            if isinstance(record, dict) and path.is_file():
                record.update(sha256=sha256(path.read_bytes()).hexdigest(), bytes=path.stat().st_size)
        _write_parsed(manifest, content)
    dataset = folder / "dataset.json"
    content = _parsed(dataset) if dataset.is_file() else None
    splits = content.get("splits") if isinstance(content, dict) else None
    if isinstance(splits, dict) and isinstance(splits.get("train"), dict):
        splits["train"]["sha256"] = sha256((folder / "train.jsonl").read_bytes()).hexdigest()
        _write_parsed(dataset, content)


def _parsed(path: Path) -> object:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None


def _write_parsed(path: Path, content: object) -> None:
    if content is not None:
        path.write_bytes(json.dumps(content).encode())


KINDS = {
    "pictures": _write_pictures,
    "sounds": _write_sounds,
    "regions": _write_regions,
    "vocabularies": _write_vocabularies,
    "bundles": _write_bundles,
    "datasets": _write_datasets,
}
