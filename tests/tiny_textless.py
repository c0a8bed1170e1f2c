"""Units of tiny speech, written by hand, and configurations that train on them.

Every colour of `write_spoken_captions` has three units of its own, which take turns and last one, two and three frames.
"""

from pathlib import Path
from typing import Any

import numpy as np

from optophone.core.vocabulary import Vocabulary, build_units
from optophone.data.manifest import Dataset, write_dataset, write_manifest
from optophone.data.unit_column import RunLength, UnitColumn, read_unit_column, unit_fields
from tiny_datasets import SPLITS, acoustic_experiment, captioner_experiment

UNIT_S = 0.02
N_UNITS = 9


def frames_of(row: dict[str, Any], vocabulary: Vocabulary) -> np.ndarray:
    """The ids (S,) of an utterance about a picture of `write_captioned_pictures`, one for every `UNIT_S`."""
    colour = int("".join(filter(str.isdecimal, row["picture_id"]))) % 3
    runs = np.tile([3 * colour, 3 * colour + 1, 3 * colour + 1, *[3 * colour + 2] * 3], 100)
    units = runs[row.get("caption_index", 0) :][: int(row["duration_s"] / UNIT_S)]
    return units + vocabulary.encode("0")[0]


def write_unit_column(
    folder: Path,
    speech: Dataset,
    run_length: RunLength = "lossless",
    encoder: str = "tiny-units",
    n_units: int = N_UNITS,
) -> UnitColumn:
    """The units of a data set of `write_spoken_captions`."""
    vocabulary = build_units(n_units)
    folder.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        rows = [
            {
                "id": row["id"],
                **unit_fields(frames_of(row, vocabulary), vocabulary, run_length),
                "picture_id": row["picture_id"],
            }
            for row in speech.rows(split)
        ]
        write_manifest(folder / f"{split}.jsonl", rows)
    vocabulary.save(folder / "vocabulary.json")
    origin = {"encoder": encoder, "content": encoder.ljust(64, "0"), "quantizer": None, "unit_s": UNIT_S}
    options = {"run_length": run_length, **origin, "speech": speech.hash()}
    here = "made here"
    write_dataset(folder, "units", splits=list(SPLITS), options=options, source=here, layout=here, licence="none")
    return read_unit_column(folder)


def unit_captioner_experiment(pictures: Path, units: Path) -> dict[str, Any]:
    """A configuration of kind "captioner" over units: three steps, one a segment."""
    mapping = captioner_experiment(pictures)
    mapping["data"] |= {"symbols": "units", "units": str(units), "max_symbols": 60, "captions_per_picture": 2}
    mapping["search"] = {"beam_size": 2, "max_length": 60}
    return mapping


def unit_acoustic_experiment(speech: Path, units: Path) -> dict[str, Any]:
    """A configuration of kind "acoustic" over units: three steps, one a segment."""
    mapping = acoustic_experiment(speech)
    mapping["data"] |= {"symbols": "units", "units": str(units)}
    return mapping


def unit_to_mel_experiment(speech: Path, units: Path) -> dict[str, Any]:
    """A configuration of kind "unit-to-mel": three steps, one a segment."""
    mapping = unit_acoustic_experiment(speech, units)
    layers = {"n_symbol_layers": 1, "n_duration_layers": 1, "n_frame_layers": 1}
    return {
        **mapping,
        "kind": "unit-to-mel",
        "name": "tiny-unit-to-mel",
        "model": {"prosody": False, "dim": 8, "hidden_dim": 12, **layers},
        "loss": {"distance": "mse+l1"},
    }
