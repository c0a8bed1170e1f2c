"""Direct models from bundles: which class runs which."""

from collections.abc import Callable

from optophone.core.bundle import Bundle
from optophone.core.errors import BundleError
from optophone.core.protocols import DirectModel
from optophone.runtime.onnx_frame_transformer import OnnxFrameTransformer
from optophone.runtime.onnx_joint import OnnxJoint
from optophone.runtime.onnx_show_and_speak import OnnxShowAndSpeak
from optophone.runtime.session import resolve_threads

JOINT = "joint"  # the class of those that have a captioner and a voice inside
CLASSES: dict[str, Callable[[Bundle, int], DirectModel]] = {
    JOINT: OnnxJoint,
    "show-and-speak": OnnxShowAndSpeak,
    "transformer": OnnxFrameTransformer,
}


def load_direct(bundle: Bundle, threads: int | None = None) -> DirectModel:
    """The direct model of a bundle of kind "direct".

    Raises:
        BundleError: a class this version does not know, or a graph that is missing or not as documented.
    """
    build = CLASSES.get(bundle.manifest.cls)
    if build is None:
        known = ", ".join(CLASSES)
        raise BundleError(
            f"{bundle.folder}: unknown direct model {bundle.manifest.cls!r}; this version knows: {known}."
        )
    return build(bundle, resolve_threads(threads))
