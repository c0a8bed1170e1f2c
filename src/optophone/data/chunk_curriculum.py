"""How long the pieces of utterances are that a training hears."""

from dataclasses import dataclass

from optophone.core.errors import ConfigurationError


@dataclass(frozen=True)
class ChunkCurriculum:
    """Training on random pieces of utterances that grow until they are whole ones: attention is found sooner on short
    texts, and pieces are many.

    The published one begins with 50 units and adds 5 each time that LJSpeech has been heard, in batches of 40.

    Args:
        first: frames of units in a piece of the first step.
        per_1000_steps: how many more there are after so many steps; 0 keeps the pieces short.
    """

    first: int = 50
    per_1000_steps: float = 16.0

    def __post_init__(self) -> None:
        """Refuse pieces of nothing."""
        if self.first < 1 or self.per_1000_steps < 0:
            raise ConfigurationError("data.chunk_curriculum: first is at least 1, per_1000_steps at least 0.")

    def longest(self, step: int) -> int:
        """Frames of units that a piece of `step` has at most."""
        return self.first + int(step * self.per_1000_steps / 1000)
