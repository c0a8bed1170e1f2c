"""Tiny prepared data sets and configurations that train on them, for tests of training.

Everything is made from a seed: pictures of one colour each with captions that name it, and tones with texts.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from optophone.core.mel import MelSpec
from optophone.data.manifest import Dataset, write_dataset, write_manifest

COLOURS = {"red": (200, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 200)}
PHRASES = ("a {} square", "the {} square is flat", "it is {}", "a picture of {} paint", "all of it is {}")
MEL = MelSpec(sample_rate=8000, n_fft=256, win_length=256, hop_length=64, n_mels=16, f_max=4000.0)
SPLITS = {"train": 12, "dev": 4}


def write_labelled_pictures(folder: Path, size: int = 16) -> Dataset:
    """12 and 4 coloured pictures (size, size, 3); the colour is the label."""
    for split, n in SPLITS.items():
        labels = np.arange(n) % len(COLOURS)
        _save(folder, split, "pictures", _pictures(labels, size, seed=n))
        _save(folder, split, "labels", labels)
        rows = [{"id": f"{split}{i}", "picture": f"{i}.png", "label": int(label)} for i, label in enumerate(labels)]
        write_manifest(folder / f"{split}.jsonl", rows)
    return _finish(folder)


def write_captioned_pictures(folder: Path, size: int = 32) -> Dataset:
    """12 and 4 coloured pictures (size, size, 3) with five captions each that name the colour."""
    for split, n in SPLITS.items():
        labels = np.arange(n) % len(COLOURS)
        _save(folder, split, "pictures", _pictures(labels, size, seed=n))
        names = [list(COLOURS)[label] for label in labels]
        rows = [
            {"id": f"{split}{i}", "picture": f"{i}.jpg", "captions": [phrase.format(name) for phrase in PHRASES]}
            for i, name in enumerate(names)
        ]
        write_manifest(folder / f"{split}.jsonl", rows)
    return _finish(folder)


def write_speech(
    folder: Path, sample_rate: int = MEL.sample_rate, speakers: Sequence[str] = (), noise: int = 0
) -> Dataset:
    """12 and 4 tones of 0.1 to 0.3 s in packed arrays, each with a text of as many letters as it is long.

    With `speakers`, the rows are theirs in turn. `noise`, of so many steps, makes every moment another one.
    """
    for split, n in SPLITS.items():
        waves, rows, offset = [], [], 0
        for i in range(n):
            n_samples = int(sample_rate * (0.1 + 0.2 * i / n))
            phase = 2 * np.pi * (200 + 100 * (i % 3)) * np.arange(n_samples) / sample_rate
            added = noise * np.random.default_rng(i).normal(size=n_samples) if noise else 0
            waves.append((8000 * np.sin(phase) + added).astype(np.int16))
            place = {"audio": f"{split}.waves.npy", "offset": offset, "n_samples": n_samples}
            spoken = {"text": "abc"[i % 3] * (2 + i), "duration_s": n_samples / sample_rate}
            voice = {"speaker": speakers[i % len(speakers)]} if speakers else {}
            rows.append({"id": f"{split}{i}", **place, "sample_rate": sample_rate, **spoken, **voice})
            offset += n_samples
        _save(folder, split, "waves", np.concatenate(waves))
        write_manifest(folder / f"{split}.jsonl", rows)
    return _finish(folder)


def write_spoken_captions(folder: Path, pictures: Dataset, sample_rate: int = 8000) -> Dataset:
    """Two utterances about each picture of `write_captioned_pictures`: a tone of its own for each colour."""
    for split in SPLITS:
        waves, rows, offset = [], [], 0
        for i, picture in enumerate(pictures.rows(split)):
            colour = next(j for j, name in enumerate(COLOURS) if name in picture["captions"][0])
            for index in range(2):
                n_samples = int(sample_rate * (0.3 + 0.05 * index + 0.01 * i))
                phase = 2 * np.pi * (300 + 900 * colour) * np.arange(n_samples) / sample_rate
                noise = np.random.default_rng((i, index)).normal(0, 200, n_samples)
                waves.append((8000 * np.sin(phase) + noise).astype(np.int16))
                place = {"audio": f"{split}.waves.npy", "offset": offset, "n_samples": n_samples}
                about = {"picture_id": picture["id"], "caption_index": index, "duration_s": n_samples / sample_rate}
                rows.append({"id": f"{picture['id']}-{index}", **place, "sample_rate": sample_rate, **about})
                offset += n_samples
        _save(folder, split, "waves", np.concatenate(waves))
        write_manifest(folder / f"{split}.jsonl", rows)
    return _finish(folder)


def encoder_experiment(data: Path) -> dict[str, Any]:
    """A configuration of kind "encoder" on `write_labelled_pictures`: three steps, one a segment."""
    return {
        "kind": "encoder",
        "name": "tiny-encoder",
        "data": {"folder": str(data), "batch_size": 4, "sizes": [[0, 16]], "dev_size": 16},
        "model": {"widths": [4, 6], "depths": [1, 1]},
        "optimizer": {"name": "sgd", "learning_rate": 0.05, "betas": [0.9, 0.9]},
        "trainer": _three_steps(),
    }


def captioner_experiment(data: Path) -> dict[str, Any]:
    """A configuration of kind "captioner" on `write_captioned_pictures`: three steps, one a segment."""
    options = {"dim": 16, "n_heads": 2, "n_layers": 1, "n_encoder_layers": 1, "feed_forward_dim": 24, "dropout": 0.0}
    return {
        "kind": "captioner",
        "name": "tiny-captioner",
        "data": {
            "folder": str(data),
            "min_count": 1,
            "max_symbols": 8,
            "batch_size": 4,
            "sizes": [[0, 16]],
            "size": 16,
        },
        "encoder": {"widths": [4, 6], "depths": [1, 1]},
        "decoder": {"name": "transformer", "options": options},
        "search": {"beam_size": 2, "max_length": 6, "min_length": 2},
        "optimizer": {"learning_rate": 1e-3},
        "trainer": _three_steps(),
    }


def acoustic_experiment(data: Path) -> dict[str, Any]:
    """A configuration of kind "acoustic" on `write_speech`: three steps, one a segment."""
    return {
        "kind": "acoustic",
        "name": "tiny-acoustic",
        "data": {
            "folder": str(data),
            "frames_per_batch": 150,
            "max_batch": 4,
            "mel": {name: getattr(MEL, name) for name in MEL.__dataclass_fields__},
        },
        "model": {
            "embedding_dim": 8,
            "encoder_dim": 8,
            "encoder_convolutions": 1,
            "attention_dim": 6,
            "location_filters": 2,
            "location_kernel_size": 3,
            "attention_rnn_dim": 10,
            "decoder_rnn_dim": 10,
            "prenet_dims": [6, 6],
            "postnet_dim": 6,
            "postnet_convolutions": 2,
            "reduction_factor": 2,
            "mask_convolutions": True,
            "max_frames": 30,
        },
        "loss": {"distance": "mse+l1", "guide_weight": 1.0},
        "optimizer": {"name": "adam", "learning_rate": 1e-3},
        "trainer": _three_steps(),
    }


def parallel_experiment(data: Path, aligner: Path) -> dict[str, Any]:
    """A configuration of kind "parallel-acoustic" on `write_speech`, aligned by a run of `acoustic_experiment`."""
    return {
        "kind": "parallel-acoustic",
        "name": "tiny-parallel",
        "aligner_from": str(aligner),
        "data": acoustic_experiment(data)["data"],
        "model": {
            "dim": 8,
            "hidden_dim": 12,
            "n_symbol_layers": 1,
            "n_duration_layers": 1,
            "n_pitch_layers": 1,
            "n_frame_layers": 1,
        },
        "optimizer": {"learning_rate": 1e-3},
        "trainer": _three_steps(),
    }


def aligner_experiment(data: Path) -> dict[str, Any]:
    """A configuration of kind "aligner" on `write_speech`: three steps, one a segment."""
    return {
        "kind": "aligner",
        "name": "tiny-aligner",
        "data": acoustic_experiment(data)["data"],
        "model": {"dim": 8, "hidden_dim": 12, "n_layers": 1},
        "optimizer": {"learning_rate": 1e-3},
        "trainer": _three_steps(),
    }


def vocoder_experiment(data: Path) -> dict[str, Any]:
    """A configuration of kind "vocoder" on `write_speech`: three steps, one a segment."""
    return {
        "kind": "vocoder",
        "name": "tiny-vocoder",
        "data": {
            "folder": str(data),
            "segment_samples": 1000,
            "batch_size": 4,
            "dev_samples": 1500,
            "mel": {name: getattr(MEL, name) for name in MEL.__dataclass_fields__},
        },
        "model": {
            "n_flows": 3,
            "early_every": 2,
            "n_layers": 2,
            "n_channels": 6,
            "upsample_kernel_size": 256,
        },
        "optimizer": {"name": "adam", "learning_rate": 1e-3},
        "trainer": _three_steps(),
    }


def vocos_experiment(data: Path) -> dict[str, Any]:
    """A configuration of kind "vocos" on `write_speech`: three steps, one a segment, the last two against judges."""
    return {
        "kind": "vocos",
        "name": "tiny-vocos",
        "data": vocoder_experiment(data)["data"],
        "model": {"dim": 8, "hidden_dim": 12, "n_layers": 2, "kernel_size": 3},
        "discriminators": {
            "periods": [2, 3],
            "period_channels": [3, 4],
            "transforms": [128, 64],
            "transform_channels": 2,
        },
        "spectral": {"transforms": [256, 64]},
        "adversarial": {"from_step": 1},
        "optimizer": {"learning_rate": 1e-3},
        "trainer": _three_steps(),
    }


def units_experiment(pictures: Path, speech: Path) -> dict[str, Any]:
    """A configuration of kind "units" on `write_spoken_captions`: three steps, one a segment."""
    trainer = _three_steps()
    del trainer["average_decay"]
    return {
        "kind": "units",
        "name": "tiny-units",
        "data": {"pictures": str(pictures), "speech": str(speech), "batch_size": 4, "size": 16, "dev_limit": 3},
        "encoder": {"widths": [4, 6], "depths": [1, 1]},
        "model": {
            "blocks": [1, 1, 1, 1],
            "widths": [6, 6, 8, 8, 10],
            "kernel_size": 3,
            "quantizers": [2],
            "n_codes": [8],
            "quantizer": {"revive_below": 0.5},
        },
        "optimizer": {"name": "adam", "learning_rate": 1e-3},
        "trainer": trainer,
    }


def wavenet_units_experiment(*data: Path) -> dict[str, Any]:
    """A configuration of kind "wavenet-units" on `write_speech`: three steps, one a segment."""
    trainer = _three_steps()
    del trainer["average_decay"]
    return {
        "kind": "wavenet-units",
        "name": "tiny-wavenet-units",
        "data": {
            "folders": [str(folder) for folder in data],
            "shares": [1 / len(data)] * len(data),
            "segment_units": 3,
            "batch_size": 4,
            "dev_units": 4,
            "bank": {"sample_rate": 8000, "n_fft": 128, "hop_length": 40, "n_mels": 12},
        },
        "model": {
            "encoder": {"n_coefficients": 6, "width": 8, "n_feed_forward": 1},
            "n_codes": 8,
            "dim": 4,
            "quantizer": {"commitment": 0.25, "revive_below": 0.5},
            "n_mixed": 4,
            "speaker_dim": 2,
            "decoder": {"n_channels": 6, "n_skip": 6, "layers_per_cycle": 3},
        },
        "listen_units": 1,
        "optimizer": {"name": "adam", "learning_rate": 1e-3},
        "trainer": trainer,
    }


def recognizer_experiment(*data: Path) -> dict[str, Any]:
    """A configuration of kind "recognizer" on `write_speech`: three steps, one a segment."""
    return {
        "kind": "recognizer",
        "name": "tiny-recognizer",
        "data": {
            "folders": [str(folder) for folder in data],
            "shares": [1 / len(data)] * len(data),
            "frames_per_batch": 150,
            "max_batch": 4,
            "mel": {name: getattr(MEL, name) for name in MEL.__dataclass_fields__},
        },
        "model": {"dim": 12, "hidden_dim": 16, "n_layers": 2, "kernel_size": 3, "stride": 1, "first_kernel_size": 3},
        "optimizer": {"learning_rate": 1e-3},
        "trainer": _three_steps(),
    }


def write_configuration(path: Path, mapping: dict[str, Any]) -> Path:
    """Write `mapping` as YAML to `path`."""
    path.write_text(yaml.safe_dump(mapping, sort_keys=False), encoding="utf-8")
    return path


def _three_steps() -> dict[str, Any]:
    steps = {"max_steps": 3, "segment_steps": 1, "validate_every": 3, "save_every_s": 0.0}
    return {**steps, "gradient_clip": 1.0, "average_decay": 0.9}


def _pictures(labels: np.ndarray, size: int, seed: int) -> np.ndarray:
    """(n, size, size, 3) uint8: the labels' colours under a little noise, the left half darker."""
    colours = np.array(list(COLOURS.values()))[labels][:, None, None, :]
    noise = np.random.default_rng(seed).integers(-20, 21, (len(labels), size, size, 3))
    shade = np.where(np.arange(size) < size // 2, 10, 30)[None, None, :, None]
    return (colours + noise + shade).clip(0, 255).astype(np.uint8)


def _save(folder: Path, split: str, kind: str, values: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{split}.{kind}.npy", values)


def _finish(folder: Path) -> Dataset:
    here = "made here"
    return write_dataset(folder, "tiny", splits=list(SPLITS), options={}, source=here, layout=here, licence="none")
