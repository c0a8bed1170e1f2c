"""Parts composed into something that speaks: picture → symbols → mel → wave.

`Describer` is a captioner with its way of searching, `Voice` an acoustic model with its vocoder, and `TokenPipeline`
joins the two. The same class is the cascade (the captioner writes words, which the voice spells) and the textless way
(both share a vocabulary of units): which of the two it is follows from the vocabularies. A `TextVoice` is a synthesizer
that spells for itself, in the place of a `Voice`. `DirectPipeline` is a direct model with a vocoder. Pipelines are
called alike, and so are voices.
"""

from optophone.pipelines.describer import BLANK, NO_PHOTOGRAPH, Describer, Hedge
from optophone.pipelines.direct_pipeline import DirectPipeline
from optophone.pipelines.results import Description, Spoken
from optophone.pipelines.text_voice import TextVoice
from optophone.pipelines.token_pipeline import TokenPipeline
from optophone.pipelines.voice import MAX_SILENCE_S, SpokenWave, UnspokenWarning, Voice, VoiceConfig, check_speed

Pipeline = TokenPipeline | DirectPipeline
"""What `optophone.load` gives."""

__all__ = [
    "BLANK",
    "MAX_SILENCE_S",
    "NO_PHOTOGRAPH",
    "Describer",
    "Description",
    "DirectPipeline",
    "Hedge",
    "Pipeline",
    "Spoken",
    "SpokenWave",
    "TextVoice",
    "TokenPipeline",
    "UnspokenWarning",
    "Voice",
    "VoiceConfig",
    "check_speed",
]
