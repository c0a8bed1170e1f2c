"""Captioners: regions of a picture → symbols (words, characters, phones or units)."""

from optophone.models.captioners.captioner import CaptionDecoder, Captioner, HasAuxiliaryLosses
from optophone.models.captioners.output import CaptionerOutput
from optophone.models.captioners.show_attend_tell import ShowAttendTell, ShowAttendTellConfig
from optophone.models.captioners.transformer import TransformerCaptioner, TransformerCaptionerConfig
from optophone.models.captioners.x_transformer import XTransformer, XTransformerConfig
from optophone.models.captioners.xlan import XLan, XLanConfig

__all__ = [
    "CaptionDecoder",
    "Captioner",
    "CaptionerOutput",
    "HasAuxiliaryLosses",
    "ShowAttendTell",
    "ShowAttendTellConfig",
    "TransformerCaptioner",
    "TransformerCaptionerConfig",
    "XLan",
    "XLanConfig",
    "XTransformer",
    "XTransformerConfig",
]
