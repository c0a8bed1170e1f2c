"""Descriptions in JSON and in conversations."""

import json

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from optophone.pipelines import Description
from optophone.server.openai_shapes import NO_ANSWERS, Message, Part, answer_text, completion_events, picture_of
from optophone.server.options import ServerOptions
from optophone.server.problems import Problem, problem_of, sentence
from optophone.server.shapes import certainty


def described(confidence: float | None, hedge: str = "", refused: bool = False, text: str = "a dog") -> Description:
    return Description(text, confidence, (), -1.0, hedge=hedge, refused=refused)


@pytest.mark.parametrize(
    ("description", "words"),
    [
        (described(0.9), "sure"),
        (described(0.5), "fairly sure"),
        (described(0.3, "Probably: "), "probably"),
        (described(0.1, "I am not sure, but perhaps: "), "i am not sure, but perhaps"),
        (described(0.0, refused=True), "no description"),
        (described(None), None),
    ],
)
def test_confidence_in_words(description: Description, words: str | None) -> None:
    assert certainty(description) == words


def test_follow_ups_get_what_was_not_said_yet() -> None:
    found = [described(0.9, text="a dog"), described(0.3, "Probably: ", text="a cat")]
    assert answer_text(found, 0) == "a dog"
    assert answer_text(found, 1) == f"{NO_ANSWERS} In other words: Probably: a cat"
    assert answer_text(found, 2) == f"{NO_ANSWERS} I have no other words for this picture."
    assert answer_text([described(0.0, refused=True, text="I cannot tell.")], 1) == f"{NO_ANSWERS} I cannot tell."


def test_the_newest_picture_counts() -> None:
    def shown(url: str) -> Message:
        return Message(role="user", content=[Part(type="image_url", image_url=url), Part(type="text", text="?")])

    messages = [shown("data:1"), Message(role="assistant", content="a dog"), shown("data:2"), Message(role="user")]
    assert picture_of(messages) == "data:2"
    with pytest.raises(Problem, match="no picture"):
        picture_of(messages[1:2])


def test_events_carry_every_character() -> None:
    events = list(completion_events("m", "a  dog é", "x", False))
    assert events[-1] == b"data: [DONE]\n\n"
    chunks = [json.loads(event.removeprefix(b"data: ")) for event in events[:-1]]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "a  dog é"
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_sentences() -> None:
    assert sentence("the picture\n is odd") == "The picture is odd."
    assert sentence("why?") == "Why?"


def test_errors_of_ours_have_their_status() -> None:
    from optophone.core.errors import PictureError, PictureFormatError, PictureTooLargeError, TextError

    kinds = {PictureTooLargeError: 413, PictureFormatError: 415, PictureError: 422, TextError: 422}
    for kind, status in kinds.items():
        assert problem_of(kind("x")).status_code == status


@pytest.mark.parametrize("options", [{"workers": 0}, {"queue": -1}, {"timeout_s": 0}, {"port": 70000}, {"max_text": 0}])
def test_options_without_a_meaning(options: dict[str, int]) -> None:
    from optophone.core.errors import ConfigurationError

    with pytest.raises(ConfigurationError):
        ServerOptions(**options)  # type: ignore[arg-type]


def test_nothing_listens_to_the_network_by_default() -> None:
    assert ServerOptions().is_local
    assert not ServerOptions(host="0.0.0.0").is_local
    assert not ServerOptions(host="::").is_local
