"""What a voice is compared with: people where there are recordings of them, unless another is asked for."""

from pathlib import Path
from typing import Any

import pytest

from optophone.cli.voice_evaluation import VoiceEvaluationOptions, choose_baseline, is_of_people
from optophone.core.errors import ConfigurationError, DataError
from optophone.data.manifest import Dataset

RECORDED = [{"id": "a", "audio": "a.wav", "text": "a dog runs"}]
SILENT = [{"id": "a", "captions": ["a dog runs"]}]
UNKNOWN = [{"id": "a", "audio": "a.wav"}, {"id": "b", "audio": "b.wav", "text": " "}]


def dataset(name: str = "ljspeech", **options: Any) -> Dataset:
    return Dataset(name, Path("data"), {}, options, "", "", "")


@pytest.mark.parametrize(
    ("rows", "options", "expected"),
    [
        (RECORDED, {}, "recordings"),
        (RECORDED, {"baseline": "espeak-ng"}, "espeak-ng"),
        (RECORDED, {"voice": "en-gb"}, "espeak-ng"),
        (RECORDED, {"speed": 160}, "espeak-ng"),
        ([*SILENT, *RECORDED], {}, "recordings"),
        (SILENT, {}, "espeak-ng"),
        (UNKNOWN, {}, "espeak-ng"),
        (SILENT, {"baseline": "espeak-ng", "voice": "en-gb"}, "espeak-ng"),
    ],
)
def test_people_come_first(rows: list, options: dict, expected: str) -> None:
    assert choose_baseline(dataset(), rows, VoiceEvaluationOptions(**options)) == expected


@pytest.mark.parametrize(
    "spoken",
    [
        dataset("spoken-captions", voice="en-us"),
        dataset("spoken-captions", voices=["en-us:1:2"]),
        dataset("speechcoco"),
    ],
)
def test_a_synthesizer_is_nobody(spoken: Dataset) -> None:
    assert not is_of_people(spoken)
    assert choose_baseline(spoken, RECORDED, VoiceEvaluationOptions()) == "espeak-ng"
    assert choose_baseline(spoken, RECORDED, VoiceEvaluationOptions(baseline="recordings")) == "recordings"


def test_what_does_not_go_together_is_told() -> None:
    with pytest.raises(ConfigurationError, match="--voice"):
        choose_baseline(dataset(), RECORDED, VoiceEvaluationOptions(baseline="recordings", speed=150))
    for rows in (SILENT, UNKNOWN):
        with pytest.raises(DataError, match="--baseline espeak-ng"):
            choose_baseline(dataset(), rows, VoiceEvaluationOptions(baseline="recordings"))
