"""Utterances spoken and heard, one by one, in several processes at once."""

import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optophone.cli.caption_speakers import Speaker
from optophone.cli.options import use_one_numpy_thread
from optophone.core.audio import write_wave
from optophone.core.errors import OptophoneError
from optophone.core.protocols import SpeechRecognizer
from optophone.evaluation.heard_captions import Heard

BuildSpeaker = Callable[[], Speaker]
BuildRecognizer = Callable[[], SpeechRecognizer]


@dataclass(frozen=True)
class Item:
    """Something to be said.

    Args:
        name: of the item; that of the picture, or of a recording of it.
        picture: name of the picture that it is about.
        source: what the speaker is given.
        sample: file that the wave is written to, or None.
    """

    name: str
    picture: str
    source: Any
    sample: Path | None = None


def listen(
    items: Sequence[Item], build_speaker: BuildSpeaker, build_recognizer: BuildRecognizer, jobs: int
) -> Iterator[Heard]:
    """What is heard of every item, in their order, as it comes.

    Args:
        items: what is said.
        build_speaker, build_recognizer: make those who speak and listen, in each process their own; they are pickled.
        jobs: processes; 1 speaks and listens in this one.
    """
    if jobs == 1 or len(items) < 2:
        if items:
            speaker, recognizer = build_speaker(), build_recognizer()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # faults are counted
                for item in items:
                    yield _hear(speaker, recognizer, item)
        return
    use_one_numpy_thread()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(items)), context, _begin, (build_speaker, build_recognizer)) as executor:
        yield from executor.map(_hear_here, items)


def _hear(speaker: Speaker, recognizer: SpeechRecognizer, item: Item) -> Heard:
    said = speaker(item.source)
    words = recognizer.hear(said.wave, said.sample_rate) if len(said.wave) else []
    if item.sample is not None and len(said.wave):
        item.sample.parent.mkdir(parents=True, exist_ok=True)
        write_wave(item.sample, said.wave, said.sample_rate)
    duration_s = round(len(said.wave) / said.sample_rate, 3)
    return Heard(
        item.name, item.picture, said.text, " ".join(words), duration_s, said.complete, said.n_symbols, said.ended
    )


_own: dict[str, Any] = {}  # speaker and recogniser of a process


def _begin(build_speaker: BuildSpeaker, build_recognizer: BuildRecognizer) -> None:
    """Make a process ready; it ends with the one that started it, even where that is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    warnings.simplefilter("ignore")  # faults are counted
    try:
        _own["speaker"], _own["recognizer"] = build_speaker(), build_recognizer()
    except OptophoneError as error:  # an error in here would say no more than that the process ended
        _own["error"] = error


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _hear_here(item: Item) -> Heard:
    if "error" in _own:
        raise _own["error"]
    return _hear(_own["speaker"], _own["recognizer"], item)
