"""Parts put together: the picture is described, hedged, spelled, spoken, and streamed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from optophone.core.errors import BundleError, ConfigurationError, PictureError, TextError
from optophone.core.griffin_lim import GriffinLim
from optophone.core.mel import MelSpec
from optophone.core.search import SearchConfig
from optophone.pipelines import Describer, Hedge, TokenPipeline, Voice, VoiceConfig
from optophone.runtime.load import load
from tiny_bundles import BRIGHT, DARK, GRID, MEL, picture, write_system


@pytest.fixture(scope="module")
def describe(tmp_path_factory: pytest.TempPathFactory) -> TokenPipeline:
    return load(write_system(tmp_path_factory.mktemp("bundles") / "system"), threads=1)


@pytest.fixture(scope="module")
def units(tmp_path_factory: pytest.TempPathFactory) -> TokenPipeline:
    return load(write_system(tmp_path_factory.mktemp("bundles") / "units", units=True), threads=1)


def hedged(describe: TokenPipeline, *hedges: Hedge) -> TokenPipeline:
    describer = Describer(describe.describer.captioner, describe.search, hedges)
    return TokenPipeline(describer, describe.voice)


def test_a_picture_is_spoken_in_any_form_it_comes(describe: TokenPipeline, tmp_path: Path) -> None:
    array = picture(False)
    Image.fromarray(array).save(tmp_path / "photo.png")
    forms = [array, Image.fromarray(array), tmp_path / "photo.png", str(tmp_path / "photo.png")]
    forms.append((tmp_path / "photo.png").read_bytes())
    spoken = [describe(form) for form in forms]
    assert {one.text for one in spoken} == {DARK}
    for one in spoken[1:]:
        np.testing.assert_array_equal(one.wave, spoken[0].wave)


def test_what_is_spoken(describe: TokenPipeline) -> None:
    spoken = describe(picture())
    assert spoken.text == spoken.said == BRIGHT
    assert spoken.confidence is not None
    assert 0 < spoken.confidence < 1
    assert spoken.sample_rate == MEL.sample_rate
    assert spoken.wave.dtype == np.float32
    assert np.abs(spoken.wave).max() <= 1
    assert spoken.duration_s == pytest.approx(len(spoken.wave) / 8000)
    assert spoken.complete
    assert spoken.attention is not None
    assert spoken.attention.shape[1:] == GRID
    assert spoken.timings["total_s"] >= spoken.timings["caption_s"] > 0


def test_saving_follows_the_suffix(describe: TokenPipeline, tmp_path: Path) -> None:
    spoken = describe(picture())
    for suffix in ("wav", "flac"):
        spoken.save(tmp_path / f"photo.{suffix}")
        wave, rate = soundfile.read(tmp_path / f"photo.{suffix}")
        assert rate == 8000
        np.testing.assert_allclose(wave, spoken.wave, atol=1e-4)


def test_json_is_plain(describe: TokenPipeline) -> None:
    record = json.loads(json.dumps(describe(picture(), variants=2).to_json()))
    assert record["text"] == record["variants"][0]["text"] == BRIGHT
    assert len(record["variants"]) == 2
    assert record["complete"] is True


def test_variants_differ_and_are_all_spoken(describe: TokenPipeline) -> None:
    one, three = describe(picture()), describe(picture(), variants=3)
    texts = [variant.text for variant in three.variants]
    assert len(set(texts)) == 3
    assert texts[0] == three.text == one.text
    assert len(three.wave) > len(one.wave) + 2 * describe.voice.config.variant_silence_s * 8000
    for text in texts:
        assert text in three.said


def searched(pipeline: TokenPipeline, monkeypatch: pytest.MonkeyPatch, **options: Any) -> SearchConfig:
    """The search that a call of `caption` with `options` leads to."""
    captioner, seen = pipeline.describer.captioner, []
    original = captioner.caption
    with monkeypatch.context() as patch:
        patch.setattr(captioner, "caption", lambda picture, search: seen.append(search) or original(picture, search))
        pipeline.caption(picture(), **options)
    return seen[0]


def test_variants_in_words_come_from_diverse_beams(
    describe: TokenPipeline, units: TokenPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_beam = SearchConfig(beam_size=5, max_length=9, finished="in_beam")
    found = searched(describe, monkeypatch, variants=3, search=in_beam)
    assert (found.groups, found.beam_size, found.n_results, found.finished) == (3, 6, 6, "aside")
    grouped = SearchConfig(beam_size=4, max_length=9, groups=2)
    found = searched(describe, monkeypatch, variants=5, search=grouped)
    assert (found.groups, found.beam_size, found.n_results) == (2, 10, 10)
    one = searched(describe, monkeypatch, search=in_beam)
    assert (one.groups, one.beam_size, one.n_results, one.finished) == (1, 5, 1, "in_beam")
    plain = {"variants": 3, "search": SearchConfig(beam_size=2, max_length=9, diversity=0.0)}
    for pipeline in (describe, units):
        if pipeline is units:  # no words, whatever the diversity
            plain["search"] = SearchConfig(beam_size=2, max_length=9)
        found = searched(pipeline, monkeypatch, **plain)
        assert (found.groups, found.beam_size, found.n_results) == (1, 6, 6)


def test_sampling_follows_the_seed(describe: TokenPipeline) -> None:
    search = SearchConfig(method="sample", temperature=4.0, max_length=8, min_length=2)
    texts = [describe.caption(picture(), search=search, seed=seed)[0].text for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_words_of_doubt_are_spoken_not_written(describe: TokenPipeline) -> None:
    unsure = hedged(describe, Hedge(1.0, "probably "), Hedge(0.99, "perhaps "), Hedge(0.1, "i am not sure, but "))
    spoken = unsure(picture())
    assert spoken.text == BRIGHT
    assert spoken.said == "perhaps " + BRIGHT  # the lowest threshold that is above the confidence
    assert len(spoken.wave) > len(describe(picture()).wave)
    assert unsure(picture(), hedge=False).said == BRIGHT
    assert hedged(describe, Hedge(0.1, "perhaps "))(picture()).said == BRIGHT


def test_the_stream_is_as_long_as_the_whole_and_begins_early(describe: TokenPipeline) -> None:
    for options in ({}, {"variants": 2}, {"speed": 2.0}):
        spoken = describe(picture(), **options)
        chunks = list(describe.stream(picture(), **options))
        assert all(chunk.dtype == np.float32 for chunk in chunks)
        assert sum(map(len, chunks)) == len(spoken.wave)
        assert len(chunks) > 1


def test_the_first_sound_comes_before_the_voice_is_done(
    describe: TokenPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    graph = describe.voice.acoustic.step_graph
    run = graph.run
    monkeypatch.setattr(graph, "run", lambda feeds: steps.append(1) or run(feeds))
    stream = describe.stream_text("a dog runs on the grass and a cat sleeps in some snow")
    next(stream)
    n_first = len(steps)
    list(stream)
    assert n_first < len(steps) / 2


def test_speed_changes_the_length_alone(describe: TokenPipeline) -> None:
    normal, fast = describe.say("a dog runs"), describe.say("a dog runs", speed=2.0)
    assert len(fast.wave) == pytest.approx(len(normal.wave) / 2, abs=1)
    for speed in (0.1, 5.0, float("nan")):
        with pytest.raises(ConfigurationError, match="speed"):
            describe(picture(), speed=speed)


def test_sentences_are_spoken_one_by_one_with_silence_between(describe: TokenPipeline) -> None:
    spoken = describe.say("Hello. Dr. Smith is here!")
    sentences = ["Hello.", "Dr. Smith is here!"]
    silence = round(describe.voice.config.sentence_silence_s * 8000)
    assert len(spoken.wave) == sum(len(describe.say(sentence).wave) for sentence in sentences) + silence
    assert sum(map(len, describe.stream_text("Hello. Dr. Smith is here!"))) == len(spoken.wave)


def test_long_sentences_are_cut_up(describe: TokenPipeline) -> None:
    voice = Voice(describe.voice.acoustic, describe.voice.vocoder, VoiceConfig(max_characters=20))
    utterances = voice.spell("one dog and another dog and yet another dog run 1,234 times")
    assert len(utterances) > 2
    assert max(map(len, utterances)) <= 20


@pytest.mark.parametrize("text", ["", "   ", "...", "!?", "\n\n"])
def test_nothing_to_say(describe: TokenPipeline, text: str) -> None:
    with pytest.raises(TextError, match="nothing to say"):
        describe.say(text)


def test_bad_pictures_are_plain_errors(describe: TokenPipeline) -> None:
    with pytest.raises(PictureError):
        describe(b"no picture")
    with pytest.raises(PictureError):
        describe.stream("nowhere.jpg")  # at the call, not at the first chunk


@pytest.mark.parametrize("variants", [0, -1])
def test_variants_below_one(describe: TokenPipeline, variants: int) -> None:
    with pytest.raises(ConfigurationError, match="variants"):
        describe(picture(), variants=variants)


def test_units_pass_through_without_text(units: TokenPipeline) -> None:
    assert units.shares_symbols
    spoken = units(picture())
    assert spoken.text == "1 2 3 4 5"
    assert len(spoken.wave) > 0
    doubtful = hedged(units, Hedge(1.0, "probably "))
    assert doubtful(picture()).said == spoken.text  # a voice of units cannot say words


def test_parts_that_do_not_fit_are_refused(describe: TokenPipeline, units: TokenPipeline) -> None:
    with pytest.raises(BundleError, match=r"words.*units"):
        TokenPipeline(describe.describer, units.voice)
    with pytest.raises(BundleError, match=r"units.*characters"):
        TokenPipeline(units.describer, describe.voice)
    with pytest.raises(BundleError, match="n_mels=16"):
        Voice(describe.voice.acoustic, GriffinLim(MelSpec()))


def test_a_voice_of_one_has_one_name_and_one_number(describe: TokenPipeline) -> None:
    class Bare:
        """An acoustic model that tells no speakers apart."""

        vocabulary, mel_spec = describe.voice.acoustic.vocabulary, describe.voice.acoustic.mel_spec
        mel, stream = describe.voice.acoustic.mel, describe.voice.acoustic.stream

    for acoustic, name in ((describe.voice.acoustic, "tiny-voice"), (Bare(), "voice")):
        voice = Voice(acoustic, describe.voice.vocoder, VoiceConfig(volume=0.5))
        assert voice.speakers == (name,)
        for speaker in (name, 0, "0"):
            chosen = voice.adjusted(speaker=speaker)
            assert chosen.config == voice.config
            np.testing.assert_array_equal(chosen.say("a dog").wave, voice.say("a dog").wave)
        with pytest.raises(ConfigurationError, match=f"speaker bob: this voice has one speaker: '{name}'"):
            voice.adjusted(speaker="bob")
