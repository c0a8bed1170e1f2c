"""Training of an acoustic model that reads units instead of text."""

from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from optophone.core.configuration import from_mapping
from optophone.core.errors import ConfigurationError
from optophone.core.vocabulary import Vocabulary
from optophone.training.synthesis import SynthesisExperiment, read_units, run_synthesis
from tiny_datasets import write_captioned_pictures, write_spoken_captions
from tiny_textless import N_UNITS, unit_acoustic_experiment, write_unit_column


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    speech = write_spoken_captions(folder / "speech", write_captioned_pictures(folder / "pictures", 16))
    write_unit_column(folder / "units", speech)
    write_unit_column(folder / "others", speech, encoder="other-units")
    return folder


def mapping_of(folder: Path, **data: Any) -> dict[str, Any]:
    mapping = unit_acoustic_experiment(folder / "speech", folder / "units")
    mapping["data"] |= data
    return mapping


@pytest.mark.parametrize("data", [{}, {"chunk_curriculum": {"first": 4}, "run_length": "off"}])
def test_a_run_over_units(data: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    run_synthesis(from_mapping(SynthesisExperiment, mapping_of(folder, **data)), tmp_path)
    assert Vocabulary.load(tmp_path / "vocabulary.json") == Vocabulary.load(folder / "units/vocabulary.json")
    weights = load_file(tmp_path / "acoustic.safetensors")
    assert weights["encoder.embedding.weight"].shape[0] == N_UNITS + 3


def test_data_sets_in_different_units_are_refused(folder: Path) -> None:
    also = {"folder": str(folder / "speech"), "share": 0.5}
    same = from_mapping(SynthesisExperiment, mapping_of(folder, also=[{**also, "units": str(folder / "units")}]))
    assert [units.origin.encoder for units in read_units(same.data)] == ["tiny-units"] * 2
    other = from_mapping(SynthesisExperiment, mapping_of(folder, also=[{**also, "units": str(folder / "others")}]))
    with pytest.raises(ConfigurationError, match="other-units"):
        read_units(other.data)
