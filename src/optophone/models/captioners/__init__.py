"""Captioners: regions of a picture → symbols (words, characters, phones or units)."""

from optophone.models.captioners.adaptive_attention import AdaptiveAttention, AdaptiveAttentionConfig
from optophone.models.captioners.attention_on_attention import AttentionOnAttention, AttentionOnAttentionConfig
from optophone.models.captioners.captioner import CaptionDecoder, Captioner, HasAuxiliaryLosses
from optophone.models.captioners.hard_attend_tell import HardAttendTell, HardAttendTellConfig
from optophone.models.captioners.look_back_predict_forward import LookBackPredictForward, LookBackPredictForwardConfig
from optophone.models.captioners.output import CaptionerOutput
from optophone.models.captioners.semantic_attention import SemanticAttention, SemanticAttentionConfig
from optophone.models.captioners.show_and_tell import ShowAndTell, ShowAndTellConfig
from optophone.models.captioners.show_attend_tell import ShowAttendTell, ShowAttendTellConfig
from optophone.models.captioners.top_down import TopDown, TopDownConfig
from optophone.models.captioners.transformer import TransformerCaptioner, TransformerCaptionerConfig
from optophone.models.captioners.x_transformer import XTransformer, XTransformerConfig
from optophone.models.captioners.xlan import XLan, XLanConfig

__all__ = [
    "AdaptiveAttention",
    "AdaptiveAttentionConfig",
    "AttentionOnAttention",
    "AttentionOnAttentionConfig",
    "CaptionDecoder",
    "Captioner",
    "CaptionerOutput",
    "HardAttendTell",
    "HardAttendTellConfig",
    "HasAuxiliaryLosses",
    "LookBackPredictForward",
    "LookBackPredictForwardConfig",
    "SemanticAttention",
    "SemanticAttentionConfig",
    "ShowAndTell",
    "ShowAndTellConfig",
    "ShowAttendTell",
    "ShowAttendTellConfig",
    "TopDown",
    "TopDownConfig",
    "TransformerCaptioner",
    "TransformerCaptionerConfig",
    "XLan",
    "XLanConfig",
    "XTransformer",
    "XTransformerConfig",
]
