"""What a bundle tells of the public checkpoint it came from."""

from dataclasses import dataclass
from typing import Any, ClassVar

REFERENCES = {
    "sat": "Show, Attend and Tell (sgrvinod/a-PyTorch-Tutorial-to-Image-Captioning)",
    "xlan": "X-LAN (JDAI-CV/image-captioning)",
    "resnet": "ResNet (torchvision)",
    "tacotron2": "Tacotron 2 (NVIDIA/tacotron2)",
    "waveglow": "WaveGlow (NVIDIA/waveglow)",
    "resdavenet-vq": "ResDAVEnet-VQ (wnhsu/ResDAVEnet-VQ)",
}


@dataclass(frozen=True)
class ImportFacts:
    """Where imported weights come from.

    Args:
        name: of the bundle.
        reference: whose checkpoint it is, a key of `REFERENCES`.
        file: name of the checkpoint.
        sha256: of the checkpoint.
        encoder: name of the checkpoint that sees, where one was given.
        examples: on what the graphs were compared.
    """

    section: ClassVar[str] = "imported"
    name: str
    reference: str
    file: str
    sha256: str
    encoder: str = ""
    examples: str = "noise"

    @property
    def data_hash(self) -> None:
        """Nothing is known of the data."""
        return None

    def to_mapping(self) -> dict[str, Any]:
        """For the bundle's configuration, under `section`."""
        facts = {"reference": self.reference, "file": self.file, "sha256": self.sha256, "examples": self.examples}
        return {**facts, "encoder": self.encoder} if self.encoder else facts
