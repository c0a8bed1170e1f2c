"""Picture → speech in one network: what a pipeline with a direct model does, and what cannot be asked of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import optophone
from optophone.core.errors import BundleError, ConfigurationError, PictureError, TextError
from optophone.core.griffin_lim import GriffinLim, GriffinLimConfig
from optophone.core.mel import MelSpec
from optophone.core.protocols import Caption, DirectModel, Intention, Judgement, SpokenMel
from optophone.core.search import SearchConfig
from optophone.core.vocabulary import Vocabulary, build_units
from optophone.pipelines import DirectPipeline, VoiceConfig
from tiny_bundles import MEL, picture


class Humming:
    """Says a tone for 20 frames a variant; the brighter the picture, the louder. With units it says three of them."""

    def __init__(self, with_units: bool = False) -> None:
        self.mel_spec: MelSpec = MEL
        self.vocabulary: Vocabulary | None = build_units(9) if with_units else None
        self.search = SearchConfig(beam_size=2)
        self.n_spoken = 0

    def intend(self, picture: np.ndarray, search: SearchConfig | None = None) -> list[Intention]:
        level, found = float(picture.mean()) / 255, []
        for number in range((search or self.search).n_results):
            ids = (3 + number // 2, 5, 7)  # the first two are alike
            caption = Caption(ids, -1.0 - number, 0.5, token_log_probs=(-0.5,) * 4) if self.vocabulary else None
            found.append(Intention((level, number), caption))
        return found

    def mel(self, picture: np.ndarray | Intention) -> SpokenMel:
        return SpokenMel(np.concatenate(list(self.stream(picture)), axis=1), stopped=picture.source[1] == 0)  # type: ignore[union-attr]

    def stream(self, picture: np.ndarray | Intention) -> Iterator[np.ndarray]:
        assert isinstance(picture, Intention)
        level, number = picture.source
        for _ in range(5 * (number + 1)):
            self.n_spoken += 1
            mel = np.full((MEL.n_mels, 4), -9.0, np.float32)
            mel[4] = -3 + 2 * level
            yield mel


class Doubter:
    """Takes every picture for a photograph with that probability."""

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def judge(self, picture: np.ndarray) -> Judgement:
        return Judgement(self.probability, self.probability >= 0.5)


def pipeline(with_units: bool = False, **options: Any) -> DirectPipeline:
    model: DirectModel = Humming(with_units)
    return DirectPipeline(model, GriffinLim(MEL, GriffinLimConfig(n_iterations=2)), **options)


def test_nothing_is_written_where_nothing_is_known_before() -> None:
    direct = pipeline()
    assert direct.writes is None
    spoken = direct(picture())
    assert spoken.text == spoken.said == ""
    assert spoken.confidence is None
    assert spoken.complete
    assert spoken.wave.any()
    assert spoken.sample_rate == direct.sample_rate == 8000
    assert {"caption_s", "voice_s", "total_s"} == spoken.timings.keys()
    record = json.loads(json.dumps(spoken.to_json()))
    assert record["variants"] == [
        {"text": "", "confidence": None, "log_prob": 0.0, "photograph": None, "refused": False}
    ]


def test_units_are_written_where_they_are_chosen_first() -> None:
    direct = pipeline(with_units=True)
    assert direct.writes == "units"
    spoken = direct(picture())
    assert spoken.text == spoken.said == "0 2 4"
    assert spoken.confidence == 0.5
    assert spoken.variants[0].token_log_probs == (-0.5,) * 4


def test_the_picture_is_heard() -> None:
    loud, quiet = (pipeline()(picture(bright)).wave for bright in (True, False))
    assert np.abs(loud).mean() > 1.5 * np.abs(quiet).mean()


def test_variants_are_spoken_one_after_the_other() -> None:
    direct = pipeline(config=VoiceConfig(variant_silence_s=0.25))
    one, two = direct(picture()), direct(picture(), variants=2)
    assert len(two.variants) == 2
    silence = two.wave[len(one.wave) : len(one.wave) + 2000]
    assert not silence.any()
    assert len(two.wave) > 2 * len(one.wave) + 2000
    assert not two.complete, "the second was cut off"
    units = pipeline(with_units=True)(picture(), variants=2)
    assert [variant.text for variant in units.variants] == ["0 2 4", "1 2 4"], "what is alike is said once"
    assert units.said == "0 2 4. 1 2 4"


def test_the_stream_is_the_whole_and_comes_early() -> None:
    direct = pipeline()
    whole = direct(picture(), variants=2).wave
    assert len(np.concatenate(list(direct.stream(picture(), variants=2)))) == len(whole)
    model = direct.model
    assert isinstance(model, Humming)
    model.n_spoken = 0
    long = direct.stream(picture(), variants=9)
    next(long)
    assert model.n_spoken < 40, "of 225"
    faster = np.concatenate(list(direct.stream(picture(), speed=2.0)))
    assert len(faster) == pytest.approx(len(direct(picture()).wave) / 2, abs=400)


def test_what_is_no_photograph_is_told_but_spoken_of() -> None:
    sure, unsure = (pipeline(True, detector=Doubter(p))(picture()) for p in (0.9, 0.2))
    assert (sure.photograph, sure.confidence) == (0.9, 0.5)
    assert (unsure.photograph, unsure.confidence) == (0.2, 0.1)
    assert not unsure.refused
    assert unsure.text == "0 2 4"
    assert pipeline(detector=Doubter(0.2))(picture()).photograph == 0.2


def test_the_volume_can_be_changed_and_no_speaker() -> None:
    direct = pipeline()
    quiet = direct.adjusted(volume=0.5, sentence_silence_s=1.0)
    np.testing.assert_allclose(quiet(picture()).wave, direct(picture()).wave * 0.5, atol=1e-6)
    assert direct.adjusted(speaker=0).sample_rate == direct.sample_rate
    with pytest.raises(ConfigurationError, match="Ann"):
        direct.adjusted(speaker="Ann")


def test_what_is_out_of_range_is_refused(tmp_path: Path) -> None:
    direct = pipeline()
    with pytest.raises(ConfigurationError, match="speed"):
        direct(picture(), speed=9)
    with pytest.raises(ConfigurationError, match="speed"):
        direct.stream(picture(), speed=9)
    with pytest.raises(ConfigurationError, match="variants"):
        direct(picture(), variants=0)
    with pytest.raises(PictureError, match=r"nothing\.jpg"):
        direct(tmp_path / "nothing.jpg")
    with pytest.raises(BundleError, match="vocoder reads"):
        DirectPipeline(Humming(), GriffinLim(MelSpec()))


def test_a_model_that_finds_nothing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    direct = pipeline(with_units=True)
    monkeypatch.setattr(direct.model, "intend", lambda *_: [Intention((0, 0), Caption((), 0.0, 0.0))])
    with pytest.raises(TextError, match="nothing to say"):
        direct(picture())


def test_the_package_has_it_by_one_name() -> None:
    assert optophone.__all__ == ["__version__", "load"]
    assert optophone.load.__annotations__["return"] == "Pipeline"
