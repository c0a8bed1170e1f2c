"""Who speaks about pictures, for `optophone evaluate spoken-captions`: a system, a recording, a voice over units.

A speaker takes the source of an item and gives `Said`. What builds one is pickled, so that every process has its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from optophone.cli.options import SearchOptions
from optophone.core.errors import TextError
from optophone.core.search import SearchConfig
from optophone.data.manifest import Dataset, read_dataset
from optophone.pipelines import Pipeline, Voice
from optophone.runtime.load import load, load_voice


@dataclass(frozen=True)
class Said:
    """What was said.

    Args:
        text: the words, or the units; "" where the captioner found nothing to say.
        wave: (N,) float32.
        sample_rate: Hz.
        complete: whether the voice ended by itself.
        n_symbols: that the captioner wrote; 0 where there is none.
        ended: whether the captioner ended by itself, or None where nobody knows.
    """

    text: str
    wave: np.ndarray
    sample_rate: int
    complete: bool = True
    n_symbols: int = 0
    ended: bool | None = None


Speaker = Callable[[Any], Said]


def build_system(bundle: str, search: SearchOptions) -> Speaker:
    """A system that describes the picture in a file, any picture and without words of doubt."""
    pipeline = load(bundle, threads=1)
    return partial(_describe, pipeline, search.apply(pipeline.search))


def build_recordings(folder: Path) -> Speaker:
    """The recordings of a speech data set; the source is a row of it."""
    return partial(_play, read_dataset(folder))


def build_unit_voice(bundle: str) -> Speaker:
    """The voice of a system over units, without its captioner; the source is {"units": ...}."""
    return partial(_say, load_voice(bundle, threads=1))


def _describe(pipeline: Pipeline, search: SearchConfig, picture: Path) -> Said:
    try:
        spoken = pipeline(picture, search=search, hedge=False, force=True)
    except TextError:  # nothing to say: a caption without symbols, or without any that can be spoken
        return Said("", np.zeros(0, np.float32), pipeline.sample_rate)
    best = spoken.variants[0]
    ended = len(best.token_log_probs) > len(best.ids) if best.token_log_probs else None
    return Said(spoken.text, spoken.wave, spoken.sample_rate, spoken.complete, len(best.ids), ended)


def _play(dataset: Dataset, row: Mapping[str, Any]) -> Said:
    wave, sample_rate = dataset.wave(row)
    return Said(row.get("text", ""), wave, sample_rate)


def _say(voice: Voice, source: Mapping[str, str]) -> Said:
    spoken = voice.say(source["units"])
    return Said(source["units"], spoken.wave, spoken.sample_rate, spoken.complete)
