"""Optophone looks at a picture and speaks what is in it, offline and without PyTorch.

    import optophone
    describe = optophone.load()
    describe("photo.jpg").save("photo.wav")

Importing this module is free: NumPy and ONNX Runtime are imported by `load`.
"""

import os
from os import PathLike
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optophone.own_parts import OwnCaptioner, OwnVoice
    from optophone.pipelines import Pipeline

__version__ = "0.1.0"
__all__ = ["__version__", "load"]

# As it is imported, ONNX Runtime gives the machine a number, keeps a data base of events in the user's cache, and may
# send them to its makers, unless this is set. What is said here is offline.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def load(
    bundle: "str | PathLike[str] | None" = None,
    *,
    captioner: "OwnCaptioner | None" = None,
    voice: "OwnVoice | None" = None,
    threads: int | None = None,
) -> "Pipeline":
    """Load a picture-to-speech pipeline.

    Args:
        bundle: the folder of a system bundle or of a direct model, the name of an embedded one, or None for the
            embedded default.
        captioner: another one in the place of the bundle's: "transformers:FOLDER", a bundle, or any object that is a
            `core.protocols.Captioner`.
        voice: another one in the place of the bundle's: "piper:FILE.onnx", "espeak:en-gb", a bundle, or any object that
            is a `core.protocols.Synthesizer`.
        threads: processor threads to use; None takes the physical cores, at most four.

    Returns:
        A callable: `load()("photo.jpg")` is a `Spoken` with text, confidence, wave and sample_rate.

    Raises:
        BundleError: the bundle is missing, damaged, or its parts do not fit together.
        ConfigurationError: a captioner or a voice of your own is missing, damaged or of an unknown kind.
    """
    from optophone.own_parts import load as load_pipeline

    return load_pipeline(bundle, captioner=captioner, voice=voice, threads=threads)
