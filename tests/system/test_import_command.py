"""From public checkpoints to bundles that describe and speak, as users type it."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from torch import Tensor, nn

from optophone.checkpoints import load_reference
from optophone.checkpoints.resnet import resnet_state_dict
from optophone.checkpoints.sat import sat_state_dict
from optophone.checkpoints.tacotron2 import tacotron2_state_dict
from optophone.checkpoints.waveglow import waveglow_state_dict
from optophone.checkpoints.xlan import xlan_state_dict
from optophone.cli.main import run
from optophone.core.bundle import open_bundle
from optophone.core.picture import load_picture, prepare_picture
from optophone.core.regions import load_regions
from optophone.core.search import search
from optophone.models.acoustic.tacotron2 import Tacotron2, Tacotron2Config
from optophone.models.captioners.show_attend_tell import ShowAttendTell, ShowAttendTellConfig
from optophone.models.captioners.xlan import XLan, XLanConfig
from optophone.models.encoders.resnet import ResNet, ResNetConfig
from optophone.models.vocoders.waveglow import WaveGlow, WaveGlowConfig
from optophone.runtime.onnx_captioner import OnnxCaptioner
from tiny_bundles import picture

WORDS = [f"w{i}" for i in range(30)]
DIM = 16  # features a region: 4 · the last width of the encoder
SPECIAL = ("<unk>", "<start>", "<end>")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of the originals, tiny: checkpoints, vocabularies, features, a photo."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    Path("coco_vocabulary.txt").write_text("".join(f"{word}\n" for word in WORDS))
    word_map = {word: number for number, word in enumerate((*WORDS, *SPECIAL), start=1)}
    Path("WORDMAP.json").write_text(json.dumps({**word_map, "<pad>": 0}))
    torch.save(lively(sat_state_dict(ShowAttendTell(ShowAttendTellConfig(34, DIM, 8, 12, 10)))), "sat.pth")
    torch.save(module(lively(xlan_state_dict(XLan(XLanConfig(31, DIM, 16, 2, 2))))), "caption_model.pth")
    torch.save(resnet_state_dict(tiny_resnet()), "resnet.pth")
    generator = np.random.default_rng(0)
    for name, n in (("a.npz", 10), ("b.npz", 23)):
        np.savez(name, feat=np.maximum(generator.standard_normal((n, DIM)), 0).astype(np.float32))
    Image.fromarray(picture(True)).save("photo.jpg")
    return tmp_path


def tiny_resnet() -> ResNet:
    config = ResNetConfig(blocks=(1, 1, 1, 1), bottleneck=True, stem_width=4, widths=(4, 4, 4, 4))
    model = ResNet(config)
    for block in model.modules():
        if isinstance(block, nn.BatchNorm2d):
            nn.init.uniform_(block.weight, 0.5, 1.0)
    return model.eval()


def lively(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Larger weights, so that captions differ from picture to picture."""
    return {name: 2.5 * tensor if tensor.ndim > 1 else tensor for name, tensor in state.items()}


def module(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"module.{name}": tensor for name, tensor in state.items()}


IMPORTS = {
    "sat": ["import", "sat", "sat.pth", "--vocabulary", "WORDMAP.json"],
    "xlan": ["import", "xlan", "caption_model.pth", "--vocabulary", "coco_vocabulary.txt"],
}


@torch.no_grad()
def expected_ids(reference: str, captioner: OnnxCaptioner, regions: np.ndarray) -> tuple[int, ...]:
    """What torch says, one picture alone and without a mask."""
    state = torch.load(IMPORTS[reference][2], weights_only=True)
    model = load_reference(reference, state)
    memory, first = model.begin(torch.from_numpy(regions.copy())[None], None)  # type: ignore[operator]
    n_memory = len(memory)

    def step(ids: np.ndarray, parts: tuple) -> tuple:
        found = model.step(torch.from_numpy(ids), parts[:n_memory], parts[n_memory:])  # type: ignore[operator]
        return found[0].numpy(), found[1].numpy(), (*parts[:n_memory], *found[2])

    assert captioner.start is not None
    assert captioner.end is not None
    parts = (*memory, *first)
    return search(step, parts, captioner.start, captioner.end, captioner.search, 1, n_memory)[0][0].ids


@pytest.mark.parametrize("reference", IMPORTS)
def test_region_features_are_described(reference: str, here: Path, capfd: pytest.CaptureFixture) -> None:
    assert run([*IMPORTS[reference], "-o", "out"]) == 0
    assert "out: written" in capfd.readouterr().out
    bundle = open_bundle("out")
    assert bundle.manifest.picture is None
    assert bundle.manifest.configuration["regions"] == {"dim": DIM}
    assert bundle.manifest.configuration["export"]["difference_from_torch"] <= 1e-4
    card = bundle.file("CARD.md").read_text()
    assert IMPORTS[reference][2] in card
    assert "region features instead of pictures" in card
    assert run(["caption", "a.npz", "b.npz", "-m", "out", "--json"]) == 0
    said = [json.loads(line)["text"] for line in capfd.readouterr().out.splitlines()]
    captioner = OnnxCaptioner(bundle)
    regions = [load_regions(name) for name in ("a.npz", "b.npz")]
    expected = [expected_ids(reference, captioner, one) for one in regions]
    assert said == [captioner.vocabulary.decode(ids) for ids in expected]
    assert [found[0].ids for found in captioner.captions(regions)] == expected  # together, padded and masked
    assert expected[0] != expected[1]


def test_xlan_keeps_its_ids_and_its_search(here: Path) -> None:
    assert run([*IMPORTS["xlan"], "-o", "out"]) == 0
    bundle = open_bundle("out")
    vocabulary = bundle.vocabulary()
    assert (vocabulary.pad, vocabulary.start, vocabulary.end) == (0, 0, 0)
    assert vocabulary.symbols[1] == "w0"
    options = bundle.manifest.configuration["search"]
    assert (options["beam_size"], options["max_length"], options["length_penalty"]) == (3, 17, 0.0)
    assert options["finished"] == "in_beam"
    assert bundle.manifest.cls == "x-lan"


def test_a_photo_where_features_are_needed_says_so(here: Path, capfd: pytest.CaptureFixture) -> None:
    assert run([*IMPORTS["xlan"], "-o", "out"]) == 0
    capfd.readouterr()
    for name, says in (("photo.jpg", "region features (R × 16"), ("none.npz", "cannot be read")):
        assert run(["caption", name, "-m", "out"]) == 2
        err = capfd.readouterr().err
        assert says in err
        assert err.count("\n") == 1
        assert err.startswith(f"optophone: {name}: ")


@pytest.mark.parametrize("form", ["checkpoint", "bundle", "same file"])
@torch.no_grad()
def test_with_an_encoder_photos_are_described(form: str, here: Path, capfd: pytest.CaptureFixture) -> None:
    arguments = [*IMPORTS["sat"], "-o", "out"]
    if form == "checkpoint":
        arguments += ["--encoder", "resnet.pth"]
    elif form == "bundle":
        assert run(["import", "resnet", "resnet.pth", "-o", "encoder"]) == 0
        assert open_bundle("encoder").manifest.kind == "encoder"
        arguments += ["--encoder", "encoder"]
    else:  # as the tutorial names them
        numbers = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}
        encoder = {}
        for name, tensor in torch.load("resnet.pth", weights_only=True).items():
            first, rest = name.split(".", 1)
            encoder[f"resnet.{numbers[first]}.{rest}"] = tensor
        torch.save({"encoder": encoder, "decoder": torch.load("sat.pth", weights_only=True)}, "sat.pth")
    assert run(arguments) == 0
    bundle = open_bundle("out")
    spec = bundle.manifest.picture
    assert spec is not None
    assert (spec.height, spec.width) == (256, 256)
    captioner = OnnxCaptioner(bundle)
    encoder_model = load_reference("resnet", torch.load("resnet.pth", weights_only=True), {"encoded_image_size": 14})
    prepared = prepare_picture(load_picture("photo.jpg"), spec)
    expected = encoder_model(torch.from_numpy(prepared)[None]).numpy()
    assert expected.shape == (1, 196, DIM)
    found = captioner.encode(prepared[None])[0]
    np.testing.assert_allclose(found[0], expected, atol=1e-4 * max(1.0, float(np.abs(expected).max())))
    capfd.readouterr()
    assert run(["caption", "photo.jpg", "-m", "out"]) == 0
    assert capfd.readouterr().out.startswith("w")


def test_xlan_with_a_classifiers_grid_warns(here: Path, capfd: pytest.CaptureFixture) -> None:
    assert run([*IMPORTS["xlan"], "-o", "out", "--encoder", "resnet.pth"]) == 0
    err = capfd.readouterr().err
    assert err.startswith("optophone: warning: ")
    assert err.count("\n") == 1
    assert run(["caption", "photo.jpg", "-m", "out"]) == 0


def test_int8(here: Path, capfd: pytest.CaptureFixture) -> None:
    options = ["--precision", "int8", "-o", "out"]
    assert run([*IMPORTS["sat"], *options, "--encoder", "resnet.pth"]) == 2
    assert "--examples" in capfd.readouterr().err
    assert not Path("out").exists()
    torch.save(sat_state_dict(ShowAttendTell(ShowAttendTellConfig(34, DIM, 8, 12, 10))), "sat.pth")
    assert run([*IMPORTS["sat"], *options, "--examples", "."]) == 0
    measured = open_bundle("out").manifest.configuration["export"]
    assert measured["precision"] == "int8"
    assert measured["n_compared"] == 2
    assert run(["caption", "a.npz", "-m", "out"]) == 0


def tiny_tacotron2(**sizes: int) -> dict[str, Tensor]:
    """The public checkpoint's keys with fewer features, and a gate that opens at the length cap only."""
    torch.manual_seed(0)
    model = Tacotron2(Tacotron2Config(n_symbols=148, **sizes)).eval()
    nn.init.constant_(model.decoder.stop.bias, -9.0)
    return tacotron2_state_dict(model)


TINY_VOICE = {
    "embedding_dim": 16, "encoder_dim": 16, "attention_dim": 8, "attention_rnn_dim": 24, "decoder_rnn_dim": 24,
    "location_filters": 4, "location_kernel_size": 7, "prenet_dims": (12, 12), "postnet_dim": 16,
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:the voice did not find")
def test_a_public_voice_speaks(here: Path, capfd: pytest.CaptureFixture) -> None:
    torch.save({"state_dict": module(tiny_tacotron2(**TINY_VOICE)), "iteration": 3}, "tacotron2.pt")
    Path("hparams.json").write_text(json.dumps({"sampling_rate": 16000, "gate_threshold": 0.4}))
    assert run(["import", "tacotron2", "tacotron2.pt", "-o", "voice", "--config", "hparams.json"]) == 0
    manifest = open_bundle("voice").manifest
    assert manifest.mel is not None
    assert (manifest.mel.sample_rate, manifest.mel.n_mels, manifest.mel.hop_length) == (16000, 80, 256)
    assert manifest.configuration["stop_threshold"] == 0.4
    assert run(["say", "hi.", "-m", "voice", "-o", "hi.wav", "-q"]) == 0
    assert soundfile.info("hi.wav").samplerate == 16000
    assert run([*IMPORTS["xlan"], "-o", "captioner"]) == 0
    assert run(["export", "captioner", "voice", "-o", "system"]) == 0
    Path("parts").mkdir()
    assert run(["speak", "a.npz", "-m", "system", "-q", "-o", "parts/a.wav"]) == 0
    assert soundfile.info("parts/a.wav").frames > 1000


def reduced_waveglow(**sizes: int) -> dict[str, Tensor]:
    """The public checkpoint's keys; flows that do something."""
    torch.manual_seed(0)
    model = WaveGlow(WaveGlowConfig(**sizes))
    for network in model.couplings:
        nn.init.normal_(network.end.weight, std=0.02)
    return waveglow_state_dict(model)


def as_split(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The layout with conditions apart for each layer."""
    found = {}
    for name, tensor in state.items():
        stem, mark, kind = name.partition(".cond_layer.")
        for i, part in enumerate(tensor.chunk(2) if mark else ()):
            found[f"{stem}.cond_layers.{i}.{kind}"] = part.clone()
        if not mark:
            found[name] = tensor
    return found


TINY_WAVEGLOW = {"n_flows": 2, "early_every": 1, "n_layers": 2, "n_channels": 8}


@pytest.mark.filterwarnings("ignore:the voice did not find")
def test_a_public_voice_speaks_with_a_public_vocoder(here: Path, capfd: pytest.CaptureFixture) -> None:
    torch.save({"state_dict": tiny_tacotron2(**TINY_VOICE)}, "tacotron2.pt")
    state = reduced_waveglow(**TINY_WAVEGLOW)
    torch.save({"model": state}, "waveglow.pt")
    options = {"data_config": {"sampling_rate": 16000, "hop_length": 256, "filter_length": 1024}}
    torch.save({"state_dict": module(as_split(state)), "config": options}, "split.pt")
    assert run(["import", "tacotron2", "tacotron2.pt", "-o", "voice"]) == 0
    assert run(["import", "waveglow", "waveglow.pt", "-o", "waveglow", "--sigma", "0.6", "--denoise", "0.1"]) == 0
    manifest = open_bundle("waveglow").manifest
    assert (manifest.kind, manifest.cls, manifest.licence) == ("vocoder", "waveglow", "")
    assert (manifest.configuration["sigma"], manifest.configuration["denoise"]) == (0.6, 0.1)
    assert manifest.configuration["export"]["difference_from_torch"] <= 1e-4
    assert "waveglow.pt" in Path("waveglow/CARD.md").read_text()
    assert run(["say", "hi.", "-m", "voice", "-o", "griffin.wav", "-q"]) == 0
    assert run(["say", "hi.", "-m", "voice", "--vocoder", "waveglow", "-o", "hi.wav", "-q"]) == 0
    assert run(["export", "voice", "waveglow", "-o", "system"]) == 0
    assert run(["say", "hi.", "-m", "system", "-o", "system.wav", "-q"]) == 0
    griffin, separate, together = (soundfile.read(f"{name}.wav")[0] for name in ("griffin", "hi", "system"))
    assert len(separate) == len(griffin)
    np.testing.assert_array_equal(separate, together)
    assert np.abs(separate).max() > 0.01
    assert run([*IMPORTS["sat"], "-o", "captioner"]) == 0
    assert run(["export", "captioner", "voice", "waveglow", "-o", "whole"]) == 0
    assert set(open_bundle("whole").manifest.parts) == {"captioner", "acoustic", "vocoder"}
    assert run(["import", "waveglow", "split.pt", "-o", "split", "--precision", "int8"]) == 0
    measured = open_bundle("split").manifest.configuration["export"]
    assert measured["spectral_error"] < 0.5
    capfd.readouterr()
    for command in (["say", "hi.", "-m", "voice", "--vocoder", "split"], ["export", "voice", "split", "-o", "other"]):
        assert run(command) == 2
        err = capfd.readouterr().err
        assert err.count("\n") == 1
        for words in ("voice makes", "sample_rate=22050", "split takes", "sample_rate=16000"):
            assert words in err


@pytest.mark.filterwarnings("ignore:the voice did not find")
def test_a_public_pair_is_imported_at_once(here: Path) -> None:
    torch.save({"state_dict": tiny_tacotron2(**TINY_VOICE)}, "tacotron2.pt")
    torch.save({"model": reduced_waveglow(**TINY_WAVEGLOW)}, "waveglow.pt")
    command = ["import", "tacotron2", "tacotron2.pt", "--vocoder", "waveglow.pt", "--sigma", "0.5", "-o", "voice"]
    assert run(command) == 0
    system = open_bundle("voice")
    assert set(system.manifest.parts) == {"acoustic", "vocoder"}
    vocoder = open_bundle(system.part("vocoder")).manifest
    assert (vocoder.cls, vocoder.name, vocoder.configuration["sigma"]) == ("waveglow", "waveglow", 0.5)
    assert run(["say", "hi.", "-m", "voice", "-o", "hi.wav", "-q"]) == 0
    assert soundfile.info("hi.wav").frames > 1000


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the voice did not find")
def test_a_public_vocoder_in_full_size_speaks(here: Path) -> None:
    state = reduced_waveglow()
    assert len(state) == 686
    assert sum(tensor.numel() for tensor in state.values()) == 87_879_272
    torch.save(state, "waveglow.pt")
    torch.save({"state_dict": tiny_tacotron2(**TINY_VOICE)}, "tacotron2.pt")
    assert run(["import", "tacotron2", "tacotron2.pt", "--vocoder", "waveglow.pt", "-o", "voice"]) == 0
    assert run(["say", "hi.", "-m", "voice", "-o", "hi.wav", "-q"]) == 0
    assert soundfile.info("hi.wav").frames > 1000


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the voice did not find")
def test_a_public_voice_in_full_size_speaks(here: Path) -> None:
    state = tiny_tacotron2()
    assert len(state) == 84
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    assert sum(tensor.numel() for name, tensor in state.items() if not name.endswith(buffers)) == 28_193_153
    torch.save({"state_dict": state}, "tacotron2_statedict.pt")
    assert run(["import", "tacotron2", "tacotron2_statedict.pt", "-o", "voice"]) == 0
    assert run(["say", "hi.", "-m", "voice", "-o", "hi.wav", "-q"]) == 0
    assert soundfile.info("hi.wav").samplerate == 22050


def pickled_modules() -> None:
    torch.save({"decoder": nn.Linear(2, 2)}, "whole.pth.tar")


@pytest.mark.parametrize(("arguments", "says"), [
    (["xlan", "caption_model.pth"], "xlan needs --vocabulary"),
    (["xlan", "none.pth", "--vocabulary", "coco_vocabulary.txt"], "none.pth: the checkpoint cannot be read"),
    (["xlan", "caption_model.pth", "--vocabulary", "none.txt"], "none.txt: cannot read the vocabulary"),
    (["xlan", "caption_model.pth", "--vocabulary", "short.txt"], "short.txt: 30 symbols, special ones included, but"),
    (["xlan", "caption_model.pth", "--vocabulary", "short.txt"], "has 31"),
    (["xlan", "sat.pth", "--vocabulary", "coco_vocabulary.txt"], "X-LAN checkpoint: missing"),
    (["sat", "sat.pth", "--vocabulary", "coco_vocabulary.txt"], "not the vocabulary of sat"),
    (["sat", "whole.pth.tar", "--vocabulary", "WORDMAP.json"], "weights_only=False"),
    (["sat", "sat.pth", "--vocabulary", "WORDMAP.json", "--config", "short.txt"], "holds no options"),
    (["sat", "sat.pth", "--vocabulary", "WORDMAP.json", "--encoder", "photo.jpg"], "photo.jpg: damaged"),
    (["sat", "sat.pth", "--vocabulary", "WORDMAP.json", "--encoder", "wide.pth"], "32 features a region, but sat.pth"),
    (["sat", "sat.pth", "--vocabulary", "WORDMAP.json", "--examples", "none"], "none: holds no examples"),
    (["sat", "nan.pth", "--vocabulary", "WORDMAP.json"], "nan.pth: fc.weight holds values that are not finite"),
    (["tacotron2", "resnet.pth"], "Tacotron 2 checkpoint: missing"),
    (["tacotron2", "resnet.pth", "--encoder", "resnet.pth"], "--encoder has no meaning for tacotron2"),
    (["waveglow", "sat.pth"], "WaveGlow checkpoint: missing"),
    (["waveglow", "whole.pth.tar"], "c['model'].state_dict()"),
    (["waveglow", "waveglow.pt", "--sigma", "-1"], "sigma: -1 is out of range"),
    (["waveglow", "waveglow.pt", "--examples", "."], "--examples has no meaning for waveglow"),
    (["tacotron2", "resnet.pth", "--denoise", "0"], "--denoise belongs to a vocoder"),
    (["sat", "sat.pth", "--vocoder", "x"], "--vocoder has no meaning for sat, only for tacotron2"),
    (["resnet", "sat.pth"], "ResNet checkpoint: missing"),
    (["resnet", "resnet.pth", "--config", "bad.json"], "bad.json: not valid JSON"),
    (["resnet", "resnet.pth", "-o", "full"], "full exists and is not a bundle"),
])  # fmt: skip
def test_mistakes_are_one_line_and_nothing_is_written(
    here: Path, capfd: pytest.CaptureFixture, arguments: list[str], says: str
) -> None:
    pickled_modules()
    Path("short.txt").write_text("".join(f"{word}\n" for word in WORDS[1:]))
    Path("bad.json").write_text("{")
    Path("full").mkdir()
    Path("full/keep.txt").write_text("mine")
    if "waveglow.pt" in arguments:
        torch.save({"model": reduced_waveglow(**TINY_WAVEGLOW)}, "waveglow.pt")
    if "wide.pth" in arguments:
        config = ResNetConfig(blocks=(1, 1, 1, 1), bottleneck=True, stem_width=4, widths=(4, 4, 4, 8))
        torch.save(resnet_state_dict(ResNet(config)), "wide.pth")
    if "nan.pth" in arguments:
        state = torch.load("sat.pth", weights_only=True)
        state["fc.weight"][3] = torch.nan
        torch.save(state, "nan.pth")
    before = sorted(here.rglob("*"))
    output = [] if "-o" in arguments else ["-o", "out"]
    assert run(["import", *arguments, *output]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert says in err
    assert err.startswith("optophone: ")
    assert err.count("\n") == 1
    assert sorted(here.rglob("*")) == before


def test_a_reference_that_is_none(here: Path, capfd: pytest.CaptureFixture) -> None:
    assert run(["import", "vgg", "x.pth", "-o", "out"]) == 2
    assert "'xlan', 'sat', 'tacotron2', 'waveglow', 'resdavenet-vq', 'resnet'" in capfd.readouterr().err
