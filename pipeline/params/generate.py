"""``generate`` in ``params.yaml``: what trained models write."""

from typing import Annotated

from pydantic import Field, field_validator

from pipeline.params.section import Count, NonEmpty, Section


class DecodingParams(Section):
    """How the next character is chosen (see :mod:`pipeline.generation.decoding`)."""

    temperature: Annotated[float, Field(ge=0, le=100)] = 0.0
    """0 takes the likeliest character (greedy); 1 draws from the model's own probabilities."""

    top_k: Count | None = None
    """Draw among the k likeliest characters."""

    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    """Draw among the likeliest characters whose probabilities sum to p."""

    @field_validator("temperature")
    @classmethod
    def _not_tiny(cls, value: float) -> float:
        if 0 < value < 0.01:
            raise ValueError(f"{value:g} is too close to 0 to divide by: set 0 (greedy), or at least 0.01")
        return value


class GenerateParams(Section):
    """What the stage generate writes: each prefix, continued once per decoding."""

    prefixes: list[NonEmpty] = Field(min_length=1)
    """What the samples start with."""

    length: Count = 200
    """Characters after the prefix."""

    allow_unk: bool = False
    """Whether a prefix may contain characters outside the vocabulary."""

    decoding: list[DecodingParams] = Field(
        [DecodingParams(temperature=0.0), DecodingParams(temperature=0.8, top_p=0.95)], min_length=1
    )
