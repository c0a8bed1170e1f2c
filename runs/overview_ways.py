"""What a way from picture to speech says of the example pictures, and what it costs. Used by runs/overview.py.

A way is called after its result file: `cascade`, `textless/CAPTIONER-UNITS`, `direct/MEMBER`. What is found lies in
ways/WAY.json (a dash for the slash) of the folder of results, its figures and sounds in figures/ and audio/.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from overview_figure import Part, spoken_figure
from PIL import Image

import optophone
from optophone.core.audio import write_wave
from optophone.core.bundle import Bundle, open_bundle
from optophone.core.mel import MelSpec
from optophone.core.whole_file import write_whole
from optophone.export.results import content_hash
from optophone.pipelines import Description, DirectPipeline, Pipeline, Voice
from optophone.runtime.load import find_bundle, open_part

_MOST_LOOKS = 12  # so many small pictures; more symbols are put together
_LONGEST_STEP_S = 600.0  # a longer time between two logged steps was a pause
_NO_WEIGHT = ("_scale", "_zero_point")  # how initialisers of quantized graphs end that only say how others are meant
_COUNTED = ("FLOAT", "FLOAT16", "BFLOAT16", "INT8", "UINT8", "INT32")  # types that weights have; not those of shapes


@dataclass(frozen=True)
class Way:
    """Something that speaks about pictures.

    Args:
        name: `cascade`, `textless/CAPTIONER-UNITS` or `direct/MEMBER`.
        bundle: folder or name of a bundle that `optophone speak` takes.
        runs: folders of the trainings that it came from.
        recorded: further trainings that it came from, as the file of another way has them: name to hours and steps.
    """

    name: str
    bundle: str
    runs: tuple[Path, ...] = ()
    recorded: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stem(self) -> str:
        """Of the files that are about it."""
        return self.name.replace("/", "-")


def show(way: Way, pictures: Sequence[Path], results: Path, again: bool = False) -> Path:
    """Bring ways/WAY.json and all that it names up to date; what fits the bundle and the pictures stays as it is."""
    path = results / "ways" / f"{way.stem}.json"
    old = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    opened = open_bundle(find_bundle(way.bundle))
    hashes = {picture.name: hashlib.sha256(picture.read_bytes()).hexdigest() for picture in pictures}
    facts = {"name": opened.manifest.name, "class": opened.manifest.cls, "parts": contents(opened)}
    same = old.get("bundle") == facts and [one["sha256"] for one in old["examples"]] == list(hashes.values())
    there = same and all((results / one[kind]).is_file() for one in old["examples"] for kind in ("figure", "audio"))
    trained = dict(way.recorded)
    trained |= {f"{run.parent.name}/{run.name}".removeprefix("work/"): training(run) for run in way.runs}
    if not trained and old.get("bundle") == facts:
        trained = old["training"]
    record = {
        "way": way.name,
        "bundle": facts,
        "parameters": parameters(opened),
        "training": trained,
        "examples": old["examples"] if there and not again else examples(way, pictures, hashes, results),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode())
    return path


# ------------------------------------------------------------------------------------------------------------- examples


def examples(way: Way, pictures: Sequence[Path], hashes: dict[str, str], results: Path) -> list[dict[str, Any]]:
    """What is said of every picture, with the figure and the sound."""
    pipeline = optophone.load(way.bundle, threads=1)
    for folder in ("figures", "audio"):
        (results / folder).mkdir(parents=True, exist_ok=True)
    return [
        {"picture": picture.name, "sha256": hashes[picture.name], **example(way, pipeline, picture, results)}
        for picture in pictures
    ]


def example(way: Way, pipeline: Pipeline, picture: Path, results: Path) -> dict[str, Any]:
    """Speak about one picture."""
    spoken = pipeline(picture)
    parts = parts_of(pipeline, spoken.variants[0])
    figure, audio = f"figures/{way.stem}-{picture.stem}.svg", f"audio/{way.stem}-{picture.stem}.mp3"
    title = f"{picture.stem}, {way.name}"
    spec = MelSpec(sample_rate=spoken.sample_rate, f_max=min(MelSpec.f_max, spoken.sample_rate / 2))
    if pipeline.writes in ("words", "characters"):
        title += f": “{spoken.said}”"
    with Image.open(picture) as opened:
        text = spoken_figure(title, opened, spoken.wave, spec, parts)
    write_whole(results / figure, text.encode())
    write_wave(results / audio, spoken.wave, spoken.sample_rate)
    found = spoken.to_json()
    kept = ("text", "said", "confidence", "refused", "duration_s", "complete", "problems")
    return {**{key: found[key] for key in kept}, "writes": pipeline.writes, "figure": figure, "audio": audio}


def parts_of(pipeline: Pipeline, description: Description) -> list[Part]:
    """Words, or units put together where they are many: when each is spoken, where the model looked for it."""
    if not description.ids:
        return []
    words = pipeline.writes in ("words", "characters")
    labels = description.text.split()
    attention = description.attention
    # Characters are looked for one by one, and phones have no words: only whole symbols are shown.
    if attention is not None and len(attention) < len(labels):
        attention = None
    times = spoken_times(pipeline, description, len(labels), words)
    if words:
        return [Part(label, times[i], None if attention is None else attention[i]) for i, label in enumerate(labels)]
    return [_group(labels, times, attention, begin, end) for begin, end in _groups(len(labels))]


def _groups(n_symbols: int) -> Iterator[tuple[int, int]]:
    bounds = np.linspace(0, n_symbols, min(n_symbols, _MOST_LOOKS) + 1).round().astype(int)
    yield from ((int(begin), int(end)) for begin, end in pairwise(bounds))


def _group(
    labels: Sequence[str],
    times: Sequence[tuple[float, float] | None],
    attention: np.ndarray | None,
    begin: int,
    end: int,
) -> Part:
    spans = [span for span in times[begin:end] if span is not None]
    label = labels[begin] if end - begin == 1 else f"{labels[begin]} … {labels[end - 1]}"
    span = (spans[0][0], spans[-1][1]) if spans else None
    return Part(label, span, None if attention is None else attention[begin:end].mean(axis=0))


def spoken_times(
    pipeline: Pipeline, description: Description, n_labels: int, words: bool
) -> list[tuple[float, float] | None]:
    """From when to when each word or unit of the description is spoken, as the voice's own attention has it."""
    nowhere: list[tuple[float, float] | None] = [None] * n_labels
    if isinstance(pipeline, DirectPipeline):
        assert description.intention is not None
        mel, ids = pipeline.model.mel(description.intention), np.array(description.ids)
        spec, spelling = pipeline.model.mel_spec, None
    else:
        utterances, voice = pipeline.utterances(description), pipeline.voice
        if len(utterances) != 1 or not isinstance(voice, Voice):
            return nowhere
        ids, spec = utterances[0], voice.acoustic.mel_spec
        spelling = None if pipeline.shares_symbols else voice.acoustic.vocabulary
        mel = voice.acoustic.mel(ids)
    if mel.alignment is None or mel.alignment.shape[1] != len(ids):
        return nowhere
    seconds = mel.mel.shape[1] * spec.hop_length / spec.sample_rate / len(mel.alignment)
    spans = [(i, i + 1) for i in range(len(ids))]
    if words and spelling is not None:
        spans = word_spans([spelling.symbols[one] for one in ids])
    if len(spans) < n_labels:
        return nowhere
    # What is said before the description are words of doubt.
    return [_span(mel.alignment.argmax(axis=1), begin, end, seconds) for begin, end in spans[len(spans) - n_labels :]]


def word_spans(spelled: Sequence[str]) -> list[tuple[int, int]]:
    """Where words stand in single characters and phones (@AH0), without the signs around them."""
    spans, at = [], 0
    for letter, group in groupby(spelled, key=lambda symbol: symbol.removeprefix("@").isalnum()):
        n = len(list(group))
        if letter:
            spans.append((at, at + n))
        at += n
    return spans


def _span(read: np.ndarray, begin: int, end: int, seconds: float) -> tuple[float, float] | None:
    """When the voice read the symbols from `begin` to `end`; `read` (T',) is the symbol of each of its steps."""
    steps = np.flatnonzero((read >= begin) & (read < end))
    return (float(steps[0] * seconds), float((steps[-1] + 1) * seconds)) if len(steps) else None


# ----------------------------------------------------------------------------------------------------------------- cost


def parts_in(opened: Bundle) -> list[Bundle]:
    """The parts of a system, or the bundle alone."""
    return [open_part(opened, kind) for kind in opened.manifest.parts] or [opened]


def contents(opened: Bundle) -> dict[str, str]:
    """Kind of every part to its content hash, as result files have them."""
    return {part.manifest.kind: content_hash(part.manifest) for part in parts_in(opened)}


def parameters(opened: Bundle) -> dict[str, int]:
    """Weights of every part of a bundle, counted in its graphs; one that several graphs share counts once."""
    return {part.manifest.kind: graph_weights(part) for part in parts_in(opened)}


def graph_weights(part: Bundle) -> int:
    """Numbers in the initialisers of all graphs of a part; an algorithm has none."""
    import onnx

    found: dict[str, int] = {}
    for name in part.manifest.files:
        if not name.endswith(".onnx"):
            continue
        for one in onnx.load(part.file(name)).graph.initializer:
            type_name = onnx.TensorProto.DataType.Name(one.data_type)
            if one.dims and type_name in _COUNTED and not one.name.endswith(_NO_WEIGHT):
                values = onnx.numpy_helper.to_array(one)
                key = hashlib.sha256(f"{type_name}{values.shape}".encode() + values.tobytes()).hexdigest()
                found[key] = math.prod(one.dims)
    return sum(found.values())


def training(run: Path) -> dict[str, Any]:
    """Hours and steps of a training, from its curves; pauses of a run that was stopped and resumed do not count."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "curves"), size_guidance={"scalars": 0})
    events.Reload()
    logged = [event for tag in events.Tags()["scalars"] for event in events.Scalars(tag)]
    times = sorted(event.wall_time for event in logged)
    seconds = sum(gap for gap in (b - a for a, b in pairwise(times)) if gap < _LONGEST_STEP_S)
    return {"hours": round(seconds / 3600, 2), "steps": max(event.step for event in logged) + 1}
