"""Where a parallel voice is misheard: by words alone, short and long, known and unknown, with and without true prosody.

    python benchmarks/voice_errors.py work/acoustic-ljspeech-parallel-adversarial [--aligner RUN] [--speaker LJ] \\
        [--texts data/ljspeech] [--phones data/ljspeech-phones] [--pronunciations FILE] [--sentences FILE] [-n 30] \\
        [-o FILE.json]

Recordings of the dev split and as many of train are said by the voice itself, with the durations that its aligner finds
in the recording, and with the recording's pitch too; beside them the recording's own mel, with --phones the text as
that data set spells it (in letters where it does not), and with --pronunciations the text as that dictionary spells it.
A run that has learned the recordings' texts in phones needs --texts, the data set that has them in letters.
One vocoder (Griffin-Lim) and one recogniser (pocketsphinx, the words of these texts, no word order) for all. Of the
sentences of FILE, one a line, words are counted by whether any training text has them. Short words have up to three
letters.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
import torch

from optophone.cli.recognizer_choice import choose_recognizer
from optophone.core.griffin_lim import GriffinLim
from optophone.core.pronouncing_dictionary import read_pronunciations
from optophone.core.pronunciations import Pronunciations
from optophone.core.text import clean_text, end_sentence, spoken_words
from optophone.core.vocabulary import Vocabulary
from optophone.core.whole_file import write_whole
from optophone.data.manifest import Row, read_dataset
from optophone.data.speech import JoinedUtterances, Utterances
from optophone.models.acoustic.parallel import ParallelAcoustic
from optophone.training.aligned_speech import AlignedBatch, AlignedUtterances
from optophone.training.configuration_file import read_configuration
from optophone.training.parallel_synthesis import ParallelExperiment, build_model, read_aligners
from optophone.training.run import build_experiment
from optophone.training.synthesis import WEIGHTS, Speech, read_speech
from optophone.training.weights import load_weights

LONGEST_SHORT = 3
Words = list[str]
Spelled = Mapping[str, Mapping[str, str]]  # texts in phones, by row, by who spelled them


def length_of(word: str) -> str:
    """Short or long."""
    return "short" if len(word) <= LONGEST_SHORT else "long"


class Counts:
    """Words said and misheard, by kind of word."""

    def __init__(self) -> None:
        self.said: dict[str, int] = defaultdict(int)
        self.wrong: dict[str, int] = defaultdict(int)

    def add(self, said: Words, heard: Words, kinds: Sequence[str]) -> None:
        """Count the words of `said` that are not found in their place in `heard`."""
        blocks = SequenceMatcher(None, said, heard, autojunk=False).get_matching_blocks()
        found = {place for block in blocks for place in range(block.a, block.a + block.size)}
        for place, kind in enumerate(kinds):
            self.said[kind] += 1
            self.wrong[kind] += place not in found

    def rates(self) -> dict[str, dict[str, float]]:
        """Share of each kind that was misheard, and of all; insertions do not count."""
        groups = {kind: (self.said[kind], self.wrong[kind]) for kind in sorted(self.said)}
        groups["all"] = (sum(self.said.values()), sum(self.wrong.values()))
        return {kind: {"words": said, "misheard": round(wrong / said, 3)} for kind, (said, wrong) in groups.items()}


@torch.no_grad()
def ways_to_say(model: ParallelAcoustic, batch: AlignedBatch) -> Iterator[tuple[str, np.ndarray]]:
    """The recording's mel (M, T) and those that the voice makes of its text, with more and more of the truth."""
    speech = batch.speech
    yield "recording", speech.mel[0].numpy()
    yield "by itself", model.infer(speech.ids[0], speech.speakers)[0].numpy()
    encoded, _ = model.encode(speech.ids, None, speech.speakers)
    laid_out = model.lay_out(encoded, batch.frames)
    yield "true durations", model.speak(laid_out)[0].numpy()
    yield "true durations and pitch", model.draw(laid_out, batch.prosody, None)[0].numpy()


@torch.no_grad()
def say(model: ParallelAcoustic, vocabulary: Vocabulary, text: str, speaker: torch.Tensor | None) -> np.ndarray:
    """The mel (M, T) of `text`, as the voice says it by itself."""
    return model.infer(torch.tensor(vocabulary.encode(end_sentence(clean_text(text)))), speaker)[0].numpy()


def hear_all(
    said: Mapping[str, Sequence[np.ndarray]], texts: Sequence[Words], rate: int
) -> Iterator[tuple[str, int, Words]]:
    """Way, number of the text and what was heard, of the texts that the recogniser can spell."""
    choice = choose_recognizer("pocketsphinx")
    understood = [number for number, words in enumerate(texts) if choice.understands(words)]
    recognizer = choice.build([texts[number] for number in understood], 1)()
    for way, waves in said.items():
        for number in understood:
            yield way, number, recognizer.hear(waves[number], rate)


def of_recordings(
    model: ParallelAcoustic, speech: Utterances, aligned: AlignedUtterances, plain: Sequence[Row], spelled: Spelled
) -> Any:
    """Rates for every way to say the first texts of `speech`, which `plain` has in letters."""
    texts = [spoken_words(row["text"]) for row in plain]
    vocoder, said = GriffinLim(aligned.spec), defaultdict(list)
    for number, row in enumerate(plain):
        batch = aligned.batch([number])
        for way, mel in ways_to_say(model, batch):
            said[way].append(vocoder.wave(mel))
        for way, texts_of in spelled.items():
            text = texts_of.get(row["id"], row["text"])
            said[way].append(vocoder.wave(say(model, speech.vocabulary, text, batch.speech.speakers)))
    counts: dict[str, Counts] = defaultdict(Counts)
    for way, number, heard in hear_all(said, texts, aligned.spec.sample_rate):
        counts[way].add(texts[number], heard, [length_of(word) for word in texts[number]])
    return {way: one.rates() for way, one in counts.items()}


def spellings(rows: Sequence[Row], phones: Sequence[Row], dictionary: Pronunciations | None) -> Spelled:
    """The texts of `rows` in phones: as their rows in `phones` have them, and as `dictionary` does."""
    found: dict[str, Mapping[str, str]] = {}
    if phones:
        found["by itself, in phones"] = {row["id"]: row["text"] for row in phones}
    if dictionary is not None:
        texts = {row["id"]: dictionary.spell(end_sentence(clean_text(row["text"]))) for row in rows}
        found["by itself, by the dictionary"] = texts
    return found


def of_sentences(model: ParallelAcoustic, speech: Speech, speaker: int, sentences: Mapping[str, str], spec: Any) -> Any:
    """Rates for words that a training text has, and for others, of sentences and how they are spelled."""
    known = {word for part in speech.train.parts for row in part.rows for word in spoken_words(row["text"])}
    texts, vocoder = [spoken_words(sentence) for sentence in sentences], GriffinLim(spec)
    waves = []
    for spelled in sentences.values():
        waves.append(vocoder.wave(say(model, speech.vocabulary, spelled, torch.tensor([speaker]))))
    counts = Counts()
    for _, number, heard in hear_all({"by itself": waves}, texts, spec.sample_rate):
        kinds = [f"{length_of(word)}, {'known' if word in known else 'in no text'}" for word in texts[number]]
        counts.add(texts[number], heard, kinds)
    return counts.rates()


def main() -> None:
    """Measure and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--aligner", help="run that says how long symbols last, instead of the configuration's")
    parser.add_argument("--speaker", default="LJ")
    parser.add_argument("--texts", type=Path, help="the recordings' data set with its texts in letters")
    parser.add_argument("--phones", type=Path, help="the recordings' data set, spelled by optophone prepare phones")
    parser.add_argument("--pronunciations", type=Path, help="dictionary such as CMU's, word PHONE PHONE a line")
    parser.add_argument("--sentences", type=Path)
    parser.add_argument("-n", type=int, default=30, help="recordings of each split")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    path = options.run / "configuration.yaml"
    experiment, _ = build_experiment(read_configuration(path), str(path))
    assert isinstance(experiment, ParallelExperiment)
    speech = read_speech(experiment.data)
    model = build_model(replace(experiment, weights=None), speech.vocabulary, len(speech.speakers)).eval()
    load_weights(model, options.run / WEIGHTS)
    aligner = read_aligners(replace(experiment, aligner_from=options.aligner or experiment.aligner_from), speech)
    dictionary = read_pronunciations(options.pronunciations) if options.pronunciations else None
    spec, found = experiment.data.mel, {}
    for split, part in (("dev", speech.dev), ("train", speech.train.parts[0])):
        assert isinstance(part, Utterances)
        phones = read_dataset(options.phones).rows(split) if options.phones else []
        letters = {row["id"]: row for row in read_dataset(options.texts).rows(split)} if options.texts else {}
        plain = [letters.get(row["id"], row) for row in part.rows[: options.n]]
        spelled = spellings(plain, phones, dictionary)
        aligned = AlignedUtterances(JoinedUtterances([part]), aligner, spec)
        found[split] = of_recordings(model, part, aligned, plain, spelled)
    if options.sentences:
        sentences = [line for line in options.sentences.read_text(encoding="utf-8").splitlines() if line.strip()]
        speaker = speech.speakers.index(options.speaker)
        found["sentences"] = of_sentences(model, speech, speaker, {one: one for one in sentences}, spec)
        if dictionary is not None:
            spelled_out = {one: dictionary.spell(end_sentence(clean_text(one))) for one in sentences}
            found["sentences, by the dictionary"] = of_sentences(model, speech, speaker, spelled_out, spec)
    text = json.dumps({"run": options.run.name, "steps": experiment.trainer.max_steps, **found}, indent=1)
    print(text)
    if options.output:
        write_whole(options.output, (text + "\n").encode())


if __name__ == "__main__":
    main()
