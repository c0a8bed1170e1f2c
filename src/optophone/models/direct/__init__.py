"""Direct models: regions of a picture → speech, in one network.

They are made of layers of the other families, so this is the one family that imports others.
"""

from optophone.models.direct.direct import Direct, PictureSpeaker
from optophone.models.direct.frame_transformer import FrameTransformer, FrameTransformerConfig
from optophone.models.direct.interface import Ends, TrueSpeech
from optophone.models.direct.joint import Joint, JointConfig
from optophone.models.direct.show_and_speak import ShowAndSpeak, ShowAndSpeakConfig

__all__ = [
    "Direct",
    "Ends",
    "FrameTransformer",
    "FrameTransformerConfig",
    "Joint",
    "JointConfig",
    "PictureSpeaker",
    "ShowAndSpeak",
    "ShowAndSpeakConfig",
    "TrueSpeech",
]
