"""Descriptions as the JSON that our own address answers with."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from optophone.core.vocabulary import Vocabulary
from optophone.pipelines import Description
from optophone.server.describing import Described, Describing

SURE = 0.7  # confidence from which a description is called sure; what is below its own words of doubt is called those


class DescribeOptions(BaseModel):
    """Options of a description, in the address or in the form."""

    model_config = ConfigDict(extra="forbid")

    variants: int = Field(1, ge=1, description="Different descriptions at most.")
    speed: float = Field(1.0, ge=0.25, le=4.0, description="2 speaks twice as fast at the same pitch.")
    hedge: bool = Field(True, description="Whether an unsure description gets words of doubt.")
    force: bool = Field(False, description="Describe even what does not look like a photograph.")
    seed: int | None = Field(None, ge=0, description="Of a sampling search.")
    attention: bool = Field(False, description="Whether the JSON says where each word looked.")
    response_format: str | None = Field(None, description="json, wav, ogg, mp3, flac or raw; else by Accept.")
    model: str | None = Field(None, max_length=200, description="Taken and not looked at: there is one model.")


def certainty(description: Description) -> str | None:
    """How sure a description is, in words; where words of doubt are spoken, in the same ones; None: nobody knows."""
    if description.refused:
        return "no description"
    if description.confidence is None:
        return None
    if description.hedge:
        return description.hedge.strip().rstrip(":").lower()
    return "sure" if description.confidence >= SURE else "fairly sure"


def described_json(described: Described, describing: Describing, with_attention: bool = False) -> dict[str, Any]:
    """The answer of `POST /v1/describe`."""
    best = described.descriptions[0]
    answer: dict[str, Any] = {
        "model": describing.name,
        "writes": describing.pipeline.writes,
        "has_voice": describing.voice is not None,
        **variant_json(best),
        "variants": [variant_json(description) for description in described.descriptions],
        "timings": {"caption_s": round(described.seconds, 4)},
    }
    if with_attention:
        answer["attention"] = attention_json(best, describing.vocabulary)
    return answer


def variant_json(description: Description) -> dict[str, Any]:
    """One description: its words, what is spoken, and how sure it is as a number and in words."""
    return {**description.to_json(), "said": description.said, "certainty": certainty(description)}


def attention_json(description: Description, vocabulary: Vocabulary | None) -> dict[str, Any] | None:
    """Where each word looked: a grid (rows, columns) for each, laid over the picture; None where nothing says it."""
    if description.attention is None or vocabulary is None:
        return None
    _, rows, columns = description.attention.shape
    words = [vocabulary.symbols[symbol] for symbol in description.ids]
    weights = [[round(float(weight), 4) for weight in grid.reshape(-1)] for grid in description.attention]
    return {"words": words, "rows": rows, "columns": columns, "weights": weights}
