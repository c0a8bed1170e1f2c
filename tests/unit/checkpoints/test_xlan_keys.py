"""The key map of the original X-LAN: what fits, and what is refused by name."""

import pytest
import torch
from torch import Tensor

from optophone.checkpoints import load_reference
from optophone.checkpoints.xlan import load_xlan, xlan_state_dict
from optophone.core.errors import BundleError, ConfigurationError
from optophone.models.captioners.xlan import XLan, XLanConfig

CONFIG = XLanConfig(
    9, 7, dim=6, n_heads=3, n_encoder_blocks=3, n_decoder_blocks=2, encoder_mid_dim=4, decoder_mid_dim=5
)


@pytest.fixture
def model() -> XLan:
    torch.manual_seed(0)
    return XLan(CONFIG).eval()


@pytest.fixture
def original(model: XLan) -> dict[str, Tensor]:
    return xlan_state_dict(model)


def test_there_and_back(model, original):
    again = load_xlan({f"module.{name}": x for name, x in original.items()})
    assert again.config == model.config
    assert not again.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


@pytest.mark.parametrize("config", [XLanConfig(5, 3, 4, 1, 0, 1), XLanConfig(5, 3, 4, 4, 1, 3, 2, 7)])
def test_other_depths_and_heads(config: XLanConfig):
    torch.manual_seed(1)
    model = XLan(config).eval()
    again = load_reference("xlan", {name: x.numpy() for name, x in xlan_state_dict(model).items()})
    regions, ids = torch.randn(2, 3, 3), torch.tensor([[0, 2, 4], [0, 1, 1]])
    assert torch.equal(again(regions, None, ids).logits, model(regions, None, ids).logits)


def test_the_published_checkpoint_has_145_tensors():
    with torch.device("meta"):
        model = XLan(XLanConfig(n_symbols=9488))
    original = xlan_state_dict(model)
    assert len(original) == 145
    assert sum(tensor.numel() for tensor in original.values()) == 75_189_781
    assert original["att_lstm.weight_ih"].shape == (4096, 2048)
    assert original["encoder_layers.proj.weight"].shape == (1024, 5120)
    assert original["encoder_layers.layers.3.encoder_attn.attn_net.attention_last2.weight"].shape == (128, 64)


def test_loaded_weights_are_our_own(original):
    model = load_xlan(original)
    original["word_embed.0.weight"].zero_()
    assert model.embedding.weight.abs().max() > 0


def test_both_biases_of_the_lstm_count(original):
    original["att_lstm.bias_hh"] += 2
    model = load_xlan(original)
    torch.testing.assert_close(model.gates_from_symbol.bias, original["att_lstm.bias_ih"] + 2)


def test_options_of_the_original(original):
    bilinear = {"ENCODE_ATT_MID_DROPOUT": 0.0, "ELU_ALPHA": 1.1, "ENCODE_ATT_MID_DIM": [2, 4, 2], "HEAD": 3}
    model = load_xlan(original, {"MODEL": {"SEQ_LEN": 17, "DROPOUT_LM": 0.2, "BILINEAR": bilinear}, "SEED": 1})
    assert (model.config.dropout, model.config.encoder_mid_dropout, model.config.alpha) == (0.2, 0.0, 1.1)
    assert model.config.decoder_mid_dropout == 0.1
    with pytest.raises(ConfigurationError, match=r"unknown option 'BILINEAR\.HEADS'"):
        load_xlan(original, {"BILINEAR": {"HEADS": 3}})
    with pytest.raises(ConfigurationError, match="VOCAB_SIZE is 9, the checkpoint's tensors say 8"):
        load_xlan(original, {"VOCAB_SIZE": 9})
    with pytest.raises(ConfigurationError, match="WORD_EMBED_ACT is 'RELU'; only 'CELU' can be loaded"):
        load_xlan(original, {"MODEL": {"WORD_EMBED_ACT": "RELU"}})


def test_missing_and_unexpected_keys_are_named(original):
    original["extra.weight"] = original.pop("att2ctx.0.bias")
    with pytest.raises(BundleError, match=r"missing att2ctx\.0\.bias; unexpected extra\.weight"):
        load_xlan(original)


def test_a_missing_block_is_named(original):
    original = {name: x for name, x in original.items() if not name.startswith("encoder_layers.layers.1.")}
    with pytest.raises(BundleError, match=r"missing encoder_layers\.layers\.1\.encoder_attn\.in_proj_q"):
        load_xlan(original)


def test_a_checkpoint_of_something_else_is_refused():
    with pytest.raises(BundleError, match=r"missing word_embed\.0\.weight"):
        load_xlan({"conv1.weight": torch.zeros(3)})
    with pytest.raises(BundleError, match=r"missing word_embed\.0\.weight"):
        load_xlan({})


def test_unexpected_keys_alone_are_named(original):
    original["encoder_layers.layers.0.encoder_attn.attn_net.attention_basic.3.weight"] = torch.zeros(4, 4)
    with pytest.raises(BundleError, match=r"unexpected .*attention_basic\.3\.weight"):
        load_xlan(original)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("word_embed.0.weight", (54,)),
        ("att_lstm.weight_ih", (24, 11)),
        ("logit.bias", (8,)),
        ("encoder_layers.proj.weight", (6, 18)),
        ("attention.layers.1.encoder_attn.attn_net.attention_basic.0.weight", (4, 2)),
        ("attention.layers.0.encoder_attn.in_proj_v2.2.weight", (5,)),
    ],
)
def test_wrong_shapes_are_named(original, name: str, shape: tuple[int, ...]):
    original[name] = torch.zeros(shape)
    with pytest.raises(BundleError, match=name):
        load_xlan(original)


def test_heads_that_do_not_divide_are_refused(original):
    name = "attention.layers.0.encoder_attn.attn_net.attention_last2.weight"
    original[name] = torch.zeros(4, 5)
    with pytest.raises(BundleError, match="heads of 4 features do not divide 6"):
        load_xlan(original)


def test_what_the_original_cannot_hold_is_refused():
    with pytest.raises(ConfigurationError, match="tied_embeddings"):
        xlan_state_dict(XLan(XLanConfig(9, 7, 6, 3, 1, tied_embeddings=True)))
