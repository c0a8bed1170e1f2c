"""From a folder or a name to a pipeline, and plain words where that cannot be."""

from pathlib import Path

import numpy as np
import pytest

import optophone
from optophone.core.bundle import BundleWriter, open_bundle
from optophone.core.errors import BundleError, ConfigurationError
from optophone.core.griffin_lim import GriffinLim
from optophone.core.mel import MelSpec
from optophone.runtime import load as loading
from tiny_bundles import BRIGHT, MEL, picture, write_captioner, write_system, write_vocoder, write_voice


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_system(tmp_path_factory.mktemp("bundles") / "system")


def test_load_gives_a_pipeline_that_speaks(system: Path) -> None:
    spoken = optophone.load(system, threads=1)(picture())
    assert spoken.text == BRIGHT
    assert spoken.sample_rate == MEL.sample_rate
    assert spoken.wave.dtype == np.float32
    assert len(spoken.wave) > 1000


def test_a_captioner_and_a_voice_can_be_loaded_alone(tmp_path: Path, system: Path) -> None:
    assert loading.load_describer(system).caption(picture())[0].text == BRIGHT
    assert loading.load_describer(write_captioner(tmp_path / "captioner")).caption(picture())[0].text == BRIGHT
    assert loading.load_voice(system).say("hello").complete
    voice = loading.load_voice(write_voice(tmp_path / "voice"))
    assert isinstance(voice.vocoder, GriffinLim)
    assert voice.vocoder.mel_spec == MEL


def test_another_vocoder_may_speak(tmp_path: Path, system: Path) -> None:
    vocoder = write_vocoder(tmp_path / "vocoder")
    for bundle in (system, write_voice(tmp_path / "voice")):
        voice = loading.load_voice(bundle, vocoder=vocoder)
        assert voice.vocoder.config.n_iterations == 4
        assert voice.say("hello").complete
    assert loading.load_voice(tmp_path / "voice", vocoder=system).say("hello").complete
    foreign = write_vocoder(tmp_path / "foreign", MelSpec(n_mels=16))
    with pytest.raises(BundleError, match=r"tiny-voice makes .*8000.* but griffin-lim takes .*22050"):
        loading.load_voice(system, vocoder=foreign)
    with pytest.raises(BundleError, match="a vocoder is needed here, but this is of kind acoustic"):
        loading.load_voice(system, vocoder=tmp_path / "voice")


def test_the_options_of_the_system_reach_its_parts(tmp_path: Path) -> None:
    options = {"hedge": [{"below": 1.0, "say": "perhaps "}], "voice": {"sentence_silence_s": 1.5}}
    describe = loading.load(write_system(tmp_path / "system", options))
    assert describe.voice.config.sentence_silence_s == 1.5
    assert describe(picture()).said == "perhaps " + BRIGHT
    assert describe.voice.vocoder.config.n_iterations == 4  # from the vocoder's own bundle
    options["voice"] = {"silence": 1}
    with pytest.raises(ConfigurationError, match="silence"):
        loading.load(write_system(tmp_path / "misspelt", options))


def test_a_name_finds_an_embedded_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "EMBEDDED", tmp_path)
    monkeypatch.chdir(tmp_path.parent)
    with pytest.raises(BundleError, match="no embedded model"):
        loading.find_bundle(None)
    write_system(tmp_path / "default")
    assert loading.find_bundle(None) == tmp_path / "default"
    assert loading.find_bundle("default") == tmp_path / "default"
    for name in ("nobody", "..", "../default", "default/../default/nobody"):
        if not Path(name).is_dir():
            with pytest.raises(BundleError, match="no bundle of this name"):
                loading.find_bundle(name)
    assert tmp_path / "default" in loading.embedded_bundles()


def test_a_part_alone_is_not_a_system(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="captioner alone"):
        loading.load(write_captioner(tmp_path / "captioner"))


def test_a_system_without_a_voice_says_so(tmp_path: Path) -> None:
    with BundleWriter(
        tmp_path / "system", kind="system", cls="cascade", name="silent", parts={"captioner": "captioner"}
    ) as writer:
        write_captioner(writer.path("captioner"))
    assert loading.load_describer(tmp_path / "system").caption(picture())
    with pytest.raises(BundleError, match="no acoustic"):
        loading.load(tmp_path / "system")


def test_parts_of_the_wrong_kind_or_layout_are_refused(tmp_path: Path) -> None:
    with BundleWriter(
        tmp_path / "swapped", kind="system", cls="cascade", name="swapped", parts={"captioner": "captioner"}
    ) as writer:
        write_voice(writer.path("captioner"))
    with pytest.raises(BundleError, match="of kind acoustic"):
        loading.load_describer(tmp_path / "swapped")
    parts = {kind: kind for kind in ("captioner", "acoustic", "vocoder")}
    with BundleWriter(tmp_path / "other", kind="system", cls="cascade", name="other", parts=parts) as writer:
        write_captioner(writer.path("captioner"))
        write_voice(writer.path("acoustic"))
        write_vocoder(writer.path("vocoder"), MelSpec(n_mels=16))
    with pytest.raises(BundleError, match="equal mel specifications"):
        loading.load(tmp_path / "other")


def test_an_unknown_vocoder_is_named(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "vocoder", kind="vocoder", cls="theremin", name="theremin", mel=MEL):
        pass
    with pytest.raises(BundleError, match="theremin"):
        loading.load_vocoder(open_bundle(tmp_path / "vocoder"))
