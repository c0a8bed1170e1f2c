"""`optophone prepare` as a user types it."""

import inspect

import pytest
from click.testing import CliRunner

from optophone.cli.prepare import prepare
from optophone.core.errors import ConfigurationError, DataError
from optophone.core.espeak import EspeakConfig
from optophone.data.prepare.flickr8k import prepare_flickr8k
from optophone.data.prepare.spoken_captions import prepare_spoken_captions
from optophone.data.prepare.spoken_words import SpokenWordsConfig


def _run(*arguments):
    result = CliRunner().invoke(prepare, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_says_ready_and_then_nothing_to_do(trees, tmp_path):
    source = trees.flickr8k()
    result = _run("flickr8k", source, tmp_path / "out", "--size", 16)
    assert result.output == f"{tmp_path / 'out'}: flickr8k is ready (3 train, 3 dev)\n"
    result = _run("flickr8k", source, tmp_path / "out", "--size", 16)
    assert "was prepared already, nothing to do (3 train, 3 dev)" in result.output
    with pytest.raises(DataError, match="size 16 there, 192 asked for"):
        _run("flickr8k", source, tmp_path / "out")


@pytest.mark.parametrize(
    ("dataset", "layout"),
    [
        ("tiny-imagenet", "tiny_imagenet_shards"),
        ("ljspeech", "ljspeech"),
        ("librispeech", "librispeech"),
        ("libritts", "libritts"),
        ("places-audio", "places_audio"),
        ("spokencoco", "spokencoco"),
        ("speechcoco", "speechcoco"),
    ],
)
def test_the_other_downloads(trees, tmp_path, dataset, layout):
    assert f"{dataset} is ready" in _run(dataset, getattr(trees, layout)(), tmp_path / "out").output


def test_an_option_of_another_data_set_is_refused(trees, tmp_path):
    with pytest.raises(ConfigurationError, match=r"--speed is .* spoken-captions, spoken-words, not of flickr8k"):
        _run("flickr8k", trees.flickr8k(), tmp_path / "out", "--speed", 100)
    assert not (tmp_path / "out").exists()


def test_an_impossible_option_is_refused(trees, tmp_path):
    with pytest.raises(DataError, match="size 0"):
        _run("flickr8k", trees.flickr8k(), tmp_path / "out", "--size", 0)


def test_the_defaults_are_those_of_the_functions():
    given = {option.name: option.default for option in prepare.params}
    voice = EspeakConfig()
    assert (given["voices"], given["speed"], given["pitch"]) == ((voice.voice,), voice.speed, voice.pitch)
    assert given["size"] == inspect.signature(prepare_flickr8k).parameters["size"].default
    words = SpokenWordsConfig()
    assert (given["utterances"], given["dev"], given["seed"]) == (words.utterances, words.dev, words.seed)
    assert given["margin"] == inspect.signature(prepare_spoken_captions).parameters["margin_ms"].default
