"""``generate`` in ``params.yaml``: what models write once they are trained."""

from typing import Annotated

from pydantic import Field, field_validator

from pipeline.params.section import Count, NonEmpty, Section


class DecodingParams(Section):
    """How the next character is chosen (see :mod:`pipeline.generation.decoding`)."""

    temperature: Annotated[float, Field(ge=0, le=100)] = 0.0
    """0 takes the likeliest character (greedy); 1 draws by the model's probabilities."""

    top_k: Count | None = None
    """Draw among the k likeliest characters."""

    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    """Draw among the likeliest characters whose probabilities sum to p."""

    @field_validator("temperature")
    @classmethod
    def _not_tiny(cls, value: float) -> float:
        if 0 < value < 0.01:
            raise ValueError(f"{value:g} is too near 0 to divide by: 0 is greedy, or 0.01 and more")
        return value


class GenerateParams(Section):
    """What the stage generate writes: each prefix, continued once for each decoding."""

    prefixes: list[NonEmpty] = Field(min_length=1)
    """What the samples begin with."""

    length: Count = 50
    """Characters after the prefix."""

    allow_unk: bool = False
    """Whether a prefix may hold characters outside the vocabulary."""

    decoding: list[DecodingParams] = Field(
        [DecodingParams(temperature=0.0), DecodingParams(temperature=0.8, top_p=0.95)], min_length=1
    )
