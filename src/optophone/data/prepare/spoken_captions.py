"""Spoken captions: every caption of a prepared caption data set, said by espeak-ng.

Speech for pictures needs pairs of picture and speech; Wang et al. 2021 made theirs with one synthetic speaker as well.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from optophone.core.errors import DataError
from optophone.core.espeak import EspeakConfig
from optophone.core.text import clean_text
from optophone.data.manifest import Dataset, Row, read_dataset
from optophone.data.prepare.packed_speech import DEFAULT_VOICE, forget_lengths, pack_speech
from optophone.data.prepare.preparation import Preparation


def prepare_spoken_captions(
    source: str | Path,
    out: str | Path,
    voice: EspeakConfig | Sequence[EspeakConfig] = DEFAULT_VOICE,
    margin_ms: int = 50,
    captions_per_shard: int = 1000,
    jobs: int | None = None,
    share: float = 1.0,
) -> Dataset:
    """Speak every caption of the prepared data set `source` and write `out`: manifests and packed audio.

    Rows are {"id", "picture_id", "caption_index", "text", "audio", "offset", "n_samples", "sample_rate", "duration_s",
    "speaker"}. "text" went through `clean_text`; the wave is `n_samples` from `offset` on in the int16 array "audio",
    and `Dataset.wave` reads it. Each wave begins and ends with exactly `margin_ms` of silence.
    Does nothing where `out` is finished; an interrupted run continues with the first missing array, and the result is
    the same to the sample.

    Each array is spoken by a process of its own, so a script that calls this needs the usual
    `if __name__ == "__main__":`.

    Args:
        source: a folder written by `optophone prepare flickr8k`, or any data set whose rows have captions.
        out: the folder to write.
        voice: how espeak-ng speaks; several voices say the captions in turn, and "speaker" tells which said what.
        margin_ms: silence at both ends; the rest of it is cut.
        captions_per_shard: captions an array.
        jobs: processes at a time; as many as there are processors when None.
        share: of the captions of every split, evenly spread; 1 for all of them.

    Raises:
        DataError: no voice is given, or one twice; `source` is no finished data set with captions, espeak-ng is missing
            or lacks the voice, a caption comes out silent, or `out` holds something else.
    """
    out = Path(out)
    if not 0 <= margin_ms <= 1000 or captions_per_shard < 1:
        raise DataError(f"margin {margin_ms} ms, {captions_per_shard} captions a shard: use 0 to 1000, and 1 or more.")
    voices = (voice,) if isinstance(voice, EspeakConfig) else tuple(voice)
    options = {**_voice_options(voices), "margin_ms": margin_ms, "captions_per_shard": captions_per_shard}
    if not 0 < share <= 1:
        raise DataError(f"share {share}: give more than 0, at most 1.")
    if share < 1:
        options["share"] = share
    captions = read_dataset(source)
    preparation = Preparation("spoken-captions", Path(source), out, {**options, "captions": captions.hash()})
    finished = preparation.begin()
    if finished:
        return finished
    rows = {split: _spread(_caption_rows(captions, split), share) for split in captions.splits}
    version = pack_speech(out, rows, voices, margin_ms, captions_per_shard, jobs, "spoken captions")
    layout = f"captions of {captions.name}, spoken by espeak-ng {version}"
    dataset = preparation.finish(list(rows), layout, f"As the captions of {captions.name}: {captions.licence}")
    forget_lengths(out)
    return dataset


def _voice_options(voices: Sequence[EspeakConfig]) -> dict[str, Any]:
    if not voices or len(set(voices)) < len(voices):
        raise DataError("spoken captions need at least one voice, and each only once.")
    if len(voices) == 1:
        return asdict(voices[0])
    return {"voices": [f"{one.voice}:{one.speed}:{one.pitch}" for one in voices]}


def _spread(rows: list[Row], share: float) -> list[Row]:
    """The `share` of `rows`, at least one, evenly spread."""
    n = max(1, round(share * len(rows)))
    return [rows[i * len(rows) // n] for i in range(n)]


def _caption_rows(captions: Dataset, split: str) -> list[Row]:
    rows: list[Row] = []
    for picture in captions.rows(split):
        if "captions" not in picture:
            raise DataError(f"{captions.folder}: rows of {split} have no captions; prepare flickr8k first and give it.")
        for index, caption in enumerate(picture["captions"]):
            text = clean_text(caption)
            if not any(character.isalnum() for character in text):
                raise DataError(
                    f"{captions.folder}: caption {index} of {picture['id']} has no words: {caption[:60]!r}."
                )
            rows.append(
                {"id": f"{picture['id']}-{index}", "picture_id": picture["id"], "caption_index": index, "text": text}
            )
    return rows
