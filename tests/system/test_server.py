"""The server over real sockets: what it answers, what it refuses, and how it stops."""

import base64
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from tiny_bundles import BRIGHT, DARK, MEL, flat, grainy, picture, write_system

pytest.importorskip("fastapi", reason="the extra serve is not installed")

import optophone
from optophone.core.griffin_lim import GriffinLim, GriffinLimConfig
from optophone.core.protocols import Intention, SpokenMel
from optophone.core.search import SearchConfig
from optophone.pipelines import NO_PHOTOGRAPH, DirectPipeline, TokenPipeline
from optophone.server.openai_shapes import NO_ANSWERS
from served import JSON, Served, form_of, served, wait_until

OPTOPHONE = [sys.executable, "-m", "optophone.cli.main"]


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def jpeg(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


PHOTO, NIGHT = png(picture(True)), png(picture(False))
BASE64 = base64.b64encode(PHOTO).decode()
DATA_URL = f"data:image/png;base64,{BASE64}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_system(tmp_path_factory.mktemp("bundles") / "system")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Served]:
    limits = {"max_bytes": 40_000, "max_pixels": 100_000, "max_text": 200, "max_variants": 3, "timeout_s": 10.0}
    with served(optophone.load(folder, threads=1), **limits) as running:
        yield running


@pytest.fixture
def pipeline(folder: Path) -> TokenPipeline:
    """One to be slowed down by a test."""
    loaded = optophone.load(folder, threads=1)
    assert isinstance(loaded, TokenPipeline)
    return loaded


class Held:
    """Stands before a captioner or a vocoder and waits until it is let go."""

    def __init__(self, part: Any) -> None:
        self.part = part
        self.go = threading.Event()
        self.n_begun = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.part, name)

    def caption(self, *arguments: Any) -> Any:
        self.n_begun += 1
        assert self.go.wait(20)
        return self.part.caption(*arguments)

    def stream(self, mels: Any) -> Iterator[np.ndarray]:
        """The first half of a second at once, the rest when it is let go."""
        self.n_begun += 1
        chunks = self.part.stream(mels)
        yield np.concatenate([next(chunks), np.zeros(4000, np.float32)])
        assert self.go.wait(20)
        yield from chunks


# ---------------------------------------------------------------------------------------------------------------------
# Pictures


def test_a_picture_is_described(server: Served) -> None:
    answer = server.post("/v1/describe", PHOTO)
    assert answer.status == 200
    content = answer.json
    assert content["text"] == content["said"] == BRIGHT
    assert content["confidence"] == pytest.approx(0.95, abs=0.05)
    assert content["certainty"] == "sure"
    assert content["model"] == "tiny"
    assert [variant["text"] for variant in content["variants"]] == [BRIGHT]
    assert "attention" not in content
    assert server.post("/v1/describe", NIGHT, Content_Type="image/png").json["text"] == DARK


def test_a_form_brings_the_picture_and_the_options(server: Served) -> None:
    body, headers = form_of(PHOTO, variants="2", attention="true")
    content = server.ask("POST", "/v1/describe?variants=3", body, headers).json
    assert content["text"] == BRIGHT
    assert len(content["variants"]) == 2  # the form counts
    attention = content["attention"]
    assert attention["words"] == BRIGHT.split()
    assert np.array(attention["weights"]).shape == (6, attention["rows"] * attention["columns"])
    assert np.sum(attention["weights"], axis=1) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("asked", "media_type"),
    [("wav", "audio/wav"), ("ogg", "audio/ogg"), ("mp3", "audio/mpeg"), ("flac", "audio/flac")],
)
def test_a_picture_is_spoken(server: Served, folder: Path, asked: str, media_type: str) -> None:
    by_name = server.post(f"/v1/describe?response_format={asked}", PHOTO)
    by_type = server.post("/v1/describe", PHOTO, Accept=f"text/html;q=.9, {media_type}, */*;q=.1")
    spoken = optophone.load(folder, threads=1)(PHOTO)
    for answer in (by_name, by_type):
        assert answer.status == 200
        assert answer.headers["content-type"] == media_type
        assert answer.headers["optophone-text"] == BRIGHT
        assert float(answer.headers["optophone-confidence"]) > 0.5
        wave, rate = soundfile.read(io.BytesIO(answer.body))
        assert rate == 8000
        assert len(wave) / rate == pytest.approx(spoken.duration_s, abs=0.3)  # MP3 ends with a frame or two of silence


def test_bare_samples_are_those_of_the_file(server: Served) -> None:
    raw = server.post("/v1/describe?response_format=raw&speed=2", PHOTO)
    assert raw.headers["content-type"] == "audio/pcm;rate=8000;channels=1"
    assert server.post("/v1/describe?response_format=wav&speed=2", PHOTO).body[44:] == raw.body
    slow = server.post("/v1/describe?response_format=pcm", PHOTO)
    assert len(slow.body) == pytest.approx(2 * len(raw.body), rel=0.1)


def test_the_first_bytes_come_before_the_last_are_made(pipeline: TokenPipeline) -> None:
    pipeline.voice.vocoder = held = Held(pipeline.voice.vocoder)
    with served(pipeline) as running:
        connection = running.connect()
        connection.request("POST", "/v1/describe", PHOTO, {"Accept": "audio/wav"})
        answer = connection.getresponse()
        first = answer.read(2000)
        assert first.startswith(b"RIFF")
        assert any(first[44:])
        assert not held.go.is_set()
        held.go.set()
        rest = answer.read()
        assert len(rest) > 0
        assert running.post("/v1/describe", PHOTO, Accept="audio/wav").body == first + rest


def test_what_is_no_photograph_is_not_described(tmp_path: Path) -> None:
    system = write_system(tmp_path / "system", refuses_flat=True)
    with served(optophone.load(system, threads=1)) as running:
        content = running.post("/v1/describe?variants=2", png(flat())).json
        assert content["refused"]
        assert content["text"] == NO_PHOTOGRAPH
        assert content["certainty"] == "no description"
        assert running.post("/v1/describe?force=true", png(flat())).json["text"] == BRIGHT
        assert running.post("/v1/describe", png(grainy())).json["text"] == BRIGHT
        assert (
            running.post("/describe", {"image_b64": base64.b64encode(png(flat())).decode()}).json["description"]
            == NO_PHOTOGRAPH
        )


def test_doubt_is_spoken_in_words(tmp_path: Path) -> None:
    system = write_system(tmp_path / "system", {"hedge": [{"below": 1.0, "say": "Probably: "}]})
    with served(optophone.load(system, threads=1)) as running:
        content = running.post("/v1/describe", PHOTO).json
        assert (content["said"], content["certainty"]) == (f"Probably: {BRIGHT}", "probably")
        assert running.post("/v1/describe?hedge=false", PHOTO).json["said"] == BRIGHT
        assert running.post("/describe", {"image_b64": BASE64}).json["description"] == f"Probably: {BRIGHT}"


def test_systems_without_words_speak(tmp_path: Path) -> None:
    system = write_system(tmp_path / "system", units=True)
    with served(optophone.load(system, threads=1)) as running:
        content = running.post("/v1/describe", PHOTO).json
        assert content["writes"] == "units"
        spoken = running.post("/v1/audio/speech", {"input": content["said"], "response_format": "raw"})
        assert running.post("/v1/describe?response_format=raw", PHOTO).body == spoken.body
        refused = running.post("/describe", {"image_b64": BASE64})
        assert refused.status == 422
        assert "without words" in refused.problem


class Humming:
    """A direct model: a tone, and no words."""

    mel_spec, vocabulary, search = MEL, None, SearchConfig()

    def intend(self, picture: np.ndarray, search: SearchConfig | None = None) -> list[Intention]:
        return [Intention(float(picture.mean()), None)]

    def mel(self, picture: Any) -> SpokenMel:
        return SpokenMel(np.concatenate(list(self.stream(picture)), axis=1))

    def stream(self, picture: Any) -> Iterator[np.ndarray]:
        for _ in range(20):
            yield np.full((MEL.n_mels, 4), -2.0, np.float32)


def test_direct_models_speak_about_pictures_alone() -> None:
    direct = DirectPipeline(Humming(), GriffinLim(MEL, GriffinLimConfig(n_iterations=2)))
    with served(direct) as running:
        content = running.post("/v1/describe?attention=true", PHOTO).json
        assert (content["text"], content["confidence"], content["certainty"]) == ("", None, None)
        assert (content["writes"], content["has_voice"], content["attention"]) == (None, False, None)
        sound = running.post("/v1/describe", PHOTO, Accept="audio/wav")
        assert sound.headers["optophone-confidence"] == ""
        assert len(soundfile.read(io.BytesIO(sound.body))[0]) > 4000
        for address, body in (("/v1/audio/speech", {"input": "a"}), ("/describe", {"image_b64": BASE64})):
            assert running.post(address, body).status == 422
        assert running.get("/v1/models").json["data"][0]["voices"] == []


# ---------------------------------------------------------------------------------------------------------------------
# The shapes of others


def test_a_text_is_spoken(server: Served, folder: Path) -> None:
    asked = {"model": "tts-1", "input": "Hello there.", "voice": "alloy", "response_format": "wav", "speed": 2}
    answer = server.post("/v1/audio/speech", asked)
    assert answer.headers["content-type"] == "audio/wav"
    wave, _ = soundfile.read(io.BytesIO(answer.body))
    spoken = optophone.load(folder, threads=1).say("Hello there.", speed=2)
    assert len(wave) == pytest.approx(len(spoken.wave), abs=800)
    assert server.post("/v1/audio/speech", {"input": "Hello."}).headers["content-type"] == "audio/mpeg"


def test_a_text_is_spoken_in_events(server: Served) -> None:
    asked = {"input": "Hello there.", "response_format": "pcm"}
    answer = server.post("/v1/audio/speech", {**asked, "stream_format": "sse"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line.removeprefix("data: ")) for line in answer.body.decode().split("\n\n") if line]
    sound = b"".join(base64.b64decode(one["audio"]) for one in events if one["type"] == "speech.audio.delta")
    assert events[-1]["type"] == "speech.audio.done"
    assert sound == server.post("/v1/audio/speech", asked).body


def conversation(*turns: tuple[str, Any]) -> dict[str, Any]:
    return {"model": "any", "temperature": 1, "messages": [{"role": role, "content": what} for role, what in turns]}


QUESTION = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": DATA_URL}}]


def test_the_picture_of_a_chat_is_described(server: Served) -> None:
    content = server.post("/v1/chat/completions", conversation(("system", "Be brief."), ("user", QUESTION))).json
    assert content["object"] == "chat.completion"
    assert content["choices"][0]["message"] == {"role": "assistant", "content": BRIGHT, "refusal": None}
    assert content["choices"][0]["finish_reason"] == "stop"
    assert content["usage"]["completion_tokens"] == 6
    declared_wrongly = [{"type": "image_url", "image_url": DATA_URL.replace("png", "jpeg")}]
    assert BRIGHT in server.post("/v1/chat/completions", conversation(("user", declared_wrongly))).body.decode()


def test_a_chat_comes_as_events(server: Served) -> None:
    asked = {**conversation(("user", QUESTION)), "stream": True, "stream_options": {"include_usage": True}}
    answer = server.post("/v1/chat/completions", asked)
    assert answer.headers["content-type"].startswith("text/event-stream")
    *events, done, rest = answer.body.decode().split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    chunks = [json.loads(one.removeprefix("data: ")) for one in events]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    assert deltas[0]["role"] == "assistant"
    assert "".join(delta.get("content", "") for delta in deltas) == BRIGHT
    assert chunks[-1]["usage"]["total_tokens"] == 6


def test_a_second_question_gets_another_description_and_the_truth(server: Served) -> None:
    turns = (("user", QUESTION), ("assistant", BRIGHT), ("user", "Is the dog brown?"))
    text = server.post("/v1/chat/completions", conversation(*turns)).json["choices"][0]["message"]["content"]
    assert text.startswith(NO_ANSWERS)
    assert BRIGHT not in text


def test_ai_content_describer_finds_its_providers(server: Served) -> None:
    """What the add-on sends to Seer, Ollama and llama.cpp, and where it looks for the answer."""
    seer = server.post("/describe", {"image_b64": BASE64, "task": "caption"}).json
    assert seer["description"] == BRIGHT
    assert server.get("/api/tags").json["models"][0]["model"] == "tiny"
    message = {"role": "user", "content": "Describe this.", "images": [BASE64]}
    ollama = server.post("/api/chat", {"model": "tiny", "messages": [message], "stream": False}).json
    assert ollama["message"]["content"] == BRIGHT
    prompt = {"prompt": "USER: [img-1]\nDescribe.\nASSISTANT:", "image_data": [{"data": BASE64, "id": 1}]}
    assert server.post("/completion", {**prompt, "stream": False, "n_predict": 50}).json["content"] == BRIGHT


def test_what_is_served_can_be_asked_for(server: Served) -> None:
    model = server.get("/v1/models").json["data"][0]
    assert (model["id"], model["object"]) == ("tiny", "model")
    assert "image" in model["architecture"]["input_modalities"]
    assert server.get("/healthz").json["status"] == "ok"
    server.post("/v1/describe", b"no picture")
    metrics = server.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    text = metrics.body.decode()
    assert 'optophone_requests_total{address="/v1/describe",status="415"}' in text
    assert re.search(r"^process_resident_memory_bytes \d+$", text, re.MULTILINE) or sys.platform != "linux"
    paths = server.get("/openapi.json").json["paths"]
    assert {"/v1/describe", "/v1/audio/speech", "/v1/chat/completions", "/describe", "/v1/models"} <= set(paths)


@pytest.mark.parametrize("address", ["/", "/docs", "/style.css", "/page.js", "/sound.js", "/drawing.js", "/icon.svg"])
def test_pages_load_nothing_from_elsewhere(server: Served, address: str) -> None:
    answer = server.get(address)
    assert answer.status == 200
    elsewhere = re.findall(
        r"""(?:src|href|url\(|from|import|@import)[\s=("']+(?:https?:)?//[^"')\s]+""", answer.body.decode()
    )
    assert elsewhere == []
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


# ---------------------------------------------------------------------------------------------------------------------
# Refusals


LARGE = png(np.random.default_rng(0).integers(0, 256, (130, 130, 3), dtype=np.uint8))  # noise does not shrink
MANY_PIXELS = png(picture(True, 400, 300))
CUT_JPEG = jpeg(np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8))[:900]
FORM, FORM_HEADERS = form_of(PHOTO)


@pytest.mark.parametrize(
    ("status", "body", "headers", "says"),
    [
        (413, LARGE, {}, "larger than"),
        (413, b"x" * 200_000, {}, "larger than"),
        (413, MANY_PIXELS, {}, "too large (300×400 pixels"),
        (413, *form_of(LARGE), "larger than"),
        (415, b"no picture at all", {}, "not a picture"),
        (415, b"%PDF-1.7 ...", {}, "PDF"),
        (415, b"{}", JSON, "application/json"),
        (415, PHOTO, {"Content-Type": "video/mp4"}, "video/mp4"),
        (422, CUT_JPEG, {}, "damaged or cut off"),
        (422, b"", {}, "empty"),
        (422, FORM[:-30], FORM_HEADERS, "form"),
        (422, FORM, {"Content-Type": "multipart/form-data"}, "form is broken"),
        (422, FORM.replace(b'; filename="photo.png"', b""), FORM_HEADERS, "form"),
        (422, b"--no form", FORM_HEADERS, "form"),
        (422, *form_of(b""), "empty"),
        (422, *form_of(PHOTO, colour="red"), "colour"),
        (422, *form_of(PHOTO, variants="many"), "variants"),
    ],
)
def test_bad_pictures_are_refused(server: Served, status: int, body: bytes, headers: dict[str, str], says: str) -> None:
    answer = server.ask("POST", "/v1/describe", body, headers)
    assert (answer.status, says) == (status, says), answer
    assert says in answer.problem


@pytest.mark.parametrize(
    ("options", "status", "says"),
    [
        ("variants=0", 422, "variants"),
        ("variants=4", 422, "1 to 3"),
        ("variants=1e9", 422, "variants"),
        ("speed=9", 422, "speed"),
        ("speed=nan", 422, "speed"),
        ("volume=3", 422, "volume"),
        ("response_format=avi", 422, "'avi'"),
    ],
)
def test_bad_options_are_refused(server: Served, options: str, status: int, says: str) -> None:
    answer = server.post(f"/v1/describe?{options}", PHOTO)
    assert answer.status == status
    assert says in answer.problem
    assert server.post("/v1/describe", PHOTO, Accept="video/mp4").status == 406


@pytest.mark.parametrize(
    ("address", "body", "status", "says"),
    [
        ("/v1/audio/speech", {"input": ""}, 422, "nothing to say"),
        ("/v1/audio/speech", {"input": "a" * 201}, 422, "201 characters"),
        ("/v1/audio/speech", {"input": "a", "voice": "nobody"}, 422, "nobody"),
        ("/v1/audio/speech", {"input": "a", "voice": "7"}, 422, "7"),
        ("/v1/audio/speech", {"input": "a", "speed": 5}, 422, "speed"),
        ("/v1/audio/speech", {"input": "a", "response_format": "aac"}, 422, "'aac'"),
        ("/v1/audio/speech", {"text": "a"}, 422, "input"),
        ("/v1/audio/speech", {"input": ["a"]}, 422, "input"),
        ("/v1/chat/completions", {"messages": []}, 422, "messages"),
        ("/v1/chat/completions", conversation(("user", "Hello?")), 422, "no picture"),
        ("/v1/chat/completions", conversation(("user", [{"type": "image_url"}])), 422, "image_url"),
        (
            "/v1/chat/completions",
            conversation(("user", [{"type": "image_url", "image_url": "data:,x"}])),
            422,
            "base64",
        ),
        ("/describe", {"image_b64": "no base64!"}, 422, "base64"),
        ("/describe", {"image_b64": ""}, 422, "empty"),
        ("/describe", {"image_b64": base64.b64encode(b"no picture").decode()}, 415, "not a picture"),
        ("/describe", {"image_b64": base64.b64encode(LARGE).decode()}, 413, "larger"),
        ("/describe", {}, 422, "image_b64"),
        ("/api/chat", {"messages": [{"role": "user", "content": "Hello?"}]}, 422, "no picture"),
        ("/completion", {"prompt": "Hello?"}, 422, "no picture"),
    ],
)
def test_bad_requests_are_refused(server: Served, address: str, body: dict[str, Any], status: int, says: str) -> None:
    answer = server.post(address, body)
    assert (answer.status, answer.body) == (status, answer.body)
    assert says in answer.problem


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"input": 1e999}'])
@pytest.mark.parametrize("address", ["/v1/audio/speech", "/v1/chat/completions", "/describe"])
def test_what_is_no_request_is_refused(server: Served, address: str, body: bytes) -> None:
    answer = server.post(address, body, Content_Type="application/json")
    assert answer.status in (413, 422)
    assert answer.problem
    other = server.post(address, body or b"x", Content_Type="text/plain")
    assert other.status in (413, 415)
    assert other.problem


def test_pictures_elsewhere_are_never_fetched(server: Served) -> None:
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.2)
        for scheme in ("http", "https", "ftp", "file"):
            url = f"{scheme}://127.0.0.1:{trap.getsockname()[1]}/photo.jpg"
            part = {"type": "image_url", "image_url": {"url": url}}
            answer = server.post("/v1/chat/completions", conversation(("user", [part])))
            assert answer.status == 422
            assert "never fetched" in answer.problem
        with pytest.raises(TimeoutError):
            trap.accept()


def test_strangers_names_and_pages_are_refused(server: Served) -> None:
    assert server.get("/healthz", Host="evil.example").status == 403
    assert "evil.example" in server.get("/healthz", Host="evil.example:80").problem
    assert server.get("/healthz", Host=f"localhost:{server.port}").status == 200
    assert server.get("/healthz", Host="[::1]:80").status == 200
    assert server.post("/v1/describe", PHOTO, Origin="https://evil.example").status == 403
    assert server.post("/v1/describe", PHOTO, Origin="null").status == 403
    own = server.post("/v1/describe", PHOTO, Origin=f"http://{server.host}")
    assert own.status == 200
    assert "access-control-allow-origin" not in own.headers


def test_other_names_and_origins_can_be_allowed(pipeline: TokenPipeline) -> None:
    allowed = {"allowed_hosts": ("pictures.example",), "allowed_origins": ("https://friend.example",)}
    with served(pipeline, **allowed) as running:
        assert running.get("/healthz", Host="pictures.example").status == 200
        assert running.get("/healthz", Host="evil.example").status == 403
        answer = running.post("/v1/describe", PHOTO, Origin="https://friend.example")
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == "https://friend.example"
        assert running.post("/v1/describe", PHOTO, Origin="https://evil.example").status == 403


@pytest.mark.parametrize(
    ("method", "address", "status"),
    [("GET", "/nowhere", 404), ("GET", "/v1/describe", 405), ("DELETE", "/", 405), ("GET", "/../bundle.json", 404)],
)
def test_wrong_addresses_are_refused(server: Served, method: str, address: str, status: int) -> None:
    answer = server.ask(method, address)
    assert answer.status == status
    assert answer.problem


@pytest.mark.parametrize(
    "content",
    [
        b"no HTTP at all\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",  # no host
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"POST /v1/describe HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"POST /v1/describe HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/describe HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http_is_refused(server: Served, content: bytes) -> None:
    answer = server.send(content)
    assert answer.startswith(b"HTTP/1.1 4")
    assert b"Traceback" not in answer
    assert server.get("/healthz").status == 200


def test_a_body_of_unknown_length_is_bounded(server: Served) -> None:
    connection = server.connect()
    chunks = iter([b"x" * 10_000] * 30)
    connection.request("POST", "/v1/describe", chunks, encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    answer = connection.getresponse()
    assert answer.status == 413


@pytest.mark.parametrize(
    ("address", "header", "status"),
    [
        (b"/v1/describe", b"Content-Type: image/png", b"413"),
        (b"/v1/describe", b"Content-Type: video/mp4", b"415"),
        (b"/nowhere", b"Accept: */*", b"404"),
        (b"/v1/describe", b"Origin: http://evil.example", b"403"),
    ],
)
def test_refusals_reach_those_who_still_send(server: Served, address: bytes, header: bytes, status: bytes) -> None:
    head = b"POST %b HTTP/1.1\r\nHost: localhost\r\n%b\r\nTransfer-Encoding: chunked\r\n\r\n" % (address, header)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(head)
        for _ in range(4):
            connection.sendall(b"c350\r\n" + b"x" * 50_000 + b"\r\n")
            time.sleep(0.1)  # time to refuse, and to reset the connection where the server does not read on
        connection.sendall(b"0\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 " + status)


def test_whoever_asks_before_sending_is_refused_at_once(server: Served) -> None:
    head = b"POST /v1/describe HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 9999999\r\n\r\n"
    began = time.monotonic()
    assert server.send(head).startswith(b"HTTP/1.1 413")
    assert time.monotonic() - began < 1.5  # no two seconds' wait for what nobody sends


def test_mistakes_of_ours_are_not_shown(pipeline: TokenPipeline, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        vocabulary = pipeline.describer.captioner.vocabulary

        def caption(self, *arguments: Any) -> None:
            raise KeyError("secret")

    pipeline.describer.captioner = Broken()  # type: ignore[assignment]
    with served(pipeline) as running:
        answer = running.post("/v1/describe", PHOTO)
        assert answer.status == 500
        assert "secret" not in answer.problem
        wait_until(lambda: "KeyError" in caplog.text)


# ---------------------------------------------------------------------------------------------------------------------
# Many at once, slow ones, and those who leave


def in_background(running: Served, n: int, answers: list[Any], **headers: str) -> list[threading.Thread]:
    threads = [
        threading.Thread(target=lambda: answers.append(running.post("/v1/describe", PHOTO, **headers)))
        for _ in range(n)
    ]
    for thread in threads:
        thread.start()
    return threads


def test_too_many_are_refused_and_the_others_are_answered(pipeline: TokenPipeline) -> None:
    pipeline.describer.captioner = held = Held(pipeline.describer.captioner)
    with served(pipeline, workers=2, queue=3) as running:
        answers: list[Any] = []
        threads = in_background(running, 8, answers)
        wait_until(lambda: len(answers) == 3)
        assert {answer.status for answer in answers} == {429}
        assert all(answer.problem and answer.headers["retry-after"] for answer in answers)
        state = running.get("/healthz").json  # answered while all workers are busy
        assert (state["working"], state["waiting"]) == (2, 3)
        held.go.set()
        for thread in threads:
            thread.join()
        assert sorted(answer.status for answer in answers) == [200] * 5 + [429] * 3
        assert running.get("/healthz").json["working"] == 0


def test_waiting_and_working_have_an_end(pipeline: TokenPipeline) -> None:
    pipeline.describer.captioner = held = Held(pipeline.describer.captioner)
    with served(pipeline, workers=1, queue=2, timeout_s=0.4) as running:
        answers: list[Any] = []
        for thread in in_background(running, 2, answers):
            thread.join()
        assert [answer.status for answer in answers] == [503, 503]
        said = " ".join(answer.problem for answer in answers)
        assert "longer than 0.4 seconds" in said
        assert held.n_begun == 1
        assert running.get("/healthz").json["working"] == 1  # the thread is still at it
        held.go.set()
        wait_until(lambda: running.get("/healthz").json["working"] == 0)
        assert running.post("/v1/describe", PHOTO).status == 200


def test_a_request_that_never_ends_is_refused(pipeline: TokenPipeline) -> None:
    with served(pipeline, timeout_s=0.3) as running:
        head = b"POST /v1/describe HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
        answer = running.send(head + b"only the beginning")
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"application/problem+json" in answer


def test_a_connection_without_a_request_is_closed(pipeline: TokenPipeline) -> None:
    head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    with served(pipeline, timeout_s=0.3) as running:
        assert running.send(b"") == b""
        assert running.send(head) == b""
        again = running.send(head + b"\r\n" + head)  # one request, and a second that never ends
        assert again.count(b"HTTP/1.1 200") == 1
        connection = running.connect()
        for _ in range(4):  # whoever keeps asking keeps the connection
            connection.request("GET", "/healthz")
            assert connection.getresponse().read()
            time.sleep(0.25)
        wait_until(lambda: not running.server.server_state.connections)


def test_whoever_leaves_frees_the_worker(pipeline: TokenPipeline) -> None:
    pipeline.voice.vocoder = held = Held(pipeline.voice.vocoder)
    with served(pipeline, workers=1) as running:
        connection = running.connect()
        connection.request("POST", "/v1/describe", PHOTO, {"Accept": "audio/wav"})
        response = connection.getresponse()
        assert response.read(100)
        assert running.get("/healthz").json["working"] == 1
        response.close()
        connection.close()
        time.sleep(0.1)
        held.go.set()
        wait_until(lambda: running.get("/healthz").json["working"] == 0)
        assert running.post("/v1/describe", PHOTO, Accept="audio/wav").status == 200


def test_whoever_leaves_while_waiting_is_not_worked_for(pipeline: TokenPipeline) -> None:
    pipeline.describer.captioner = held = Held(pipeline.describer.captioner)
    with served(pipeline, workers=1) as running:
        answers: list[Any] = []
        (first,) = in_background(running, 1, answers)
        wait_until(lambda: held.n_begun == 1)
        second = running.connect()
        second.request("POST", "/v1/describe", PHOTO)
        wait_until(lambda: running.get("/healthz").json["waiting"] == 1)
        second.close()
        time.sleep(0.1)
        held.go.set()
        first.join()
        wait_until(lambda: running.get("/healthz").json["waiting"] == 0)
        assert answers[0].status == 200
        assert held.n_begun == 1


def test_stopping_finishes_what_was_begun(pipeline: TokenPipeline) -> None:
    pipeline.voice.vocoder = held = Held(pipeline.voice.vocoder)
    with served(pipeline) as running:
        connection = running.connect()
        connection.request("POST", "/v1/describe", PHOTO, {"Accept": "audio/wav"})
        answer = connection.getresponse()
        first = answer.read(1000)
        running.server.should_exit = True
        wait_until(lambda: not is_open(running.port))
        assert running.thread.is_alive()
        held.go.set()
        sound = first + answer.read()
        running.thread.join(10)
        assert not running.thread.is_alive()
    wave, _ = soundfile.read(io.BytesIO(sound))
    assert len(wave) > 8000


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# ---------------------------------------------------------------------------------------------------------------------
# The command


@pytest.fixture(scope="module")
def command() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`optophone serve` with the embedded system."""
    with subprocess.Popen([*OPTOPHONE, "serve", "--port", "0"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        assert found, line
        yield process, int(found[1])
        process.kill()


def test_the_command_serves_the_embedded_system_to_this_machine_only(
    command: tuple[subprocess.Popen[str], int],
) -> None:
    process, port = command
    running = Served(None, port, None)  # type: ignore[arg-type]
    photo = (Path(__file__).resolve().parents[2] / "examples/beach.jpg").read_bytes()
    content = running.post("/v1/describe?variants=2", photo).json
    assert "beach" in content["text"]
    assert content["certainty"]
    assert not content["refused"]
    sound = running.post("/v1/describe", photo, Accept="audio/mpeg")
    assert soundfile.info(io.BytesIO(sound.body)).duration > 1
    if sys.platform == "linux":
        listening = Path(f"/proc/{process.pid}/net/tcp").read_text()
        rows = [line.split() for line in listening.splitlines()[1:]]
        assert [row[1] for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")] == [
            f"0100007F:{port:04X}"
        ]


def test_sigterm_ends_the_command_well(command: tuple[subprocess.Popen[str], int]) -> None:
    process, _ = command
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_the_command_explains_itself(folder: Path) -> None:
    page = subprocess.run([*OPTOPHONE, "serve", "--help"], capture_output=True, text=True, check=True).stdout
    assert "curl" in page
    assert "127.0.0.1" in page
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        asked = [*OPTOPHONE, "serve", "-m", os.fspath(folder), "--port", port]
        done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "--port" in done.stderr
    assert len(done.stderr.splitlines()) == 1
