"""What it costs to round a model's weights to float16, as the page does."""

from collections.abc import Mapping

from pipeline.arithmetic.rounding import six_digits
from pipeline.data.text import Text
from pipeline.errors import RefrainError
from pipeline.evaluation.perplexity import score
from pipeline.nn.float16 import round_weights
from pipeline.nn.language_model import CharLM


def perplexities_in_float16(model: CharLM, texts: Mapping[str, Text]) -> dict[str, float]:
    """The perplexity by text, for texts of two characters or more. It rounds the model's weights in place.

    Empty if float16 has no such numbers.
    """
    try:
        round_weights(model)
        return {
            name: six_digits(score(model, text).perplexity) for name, text in texts.items() if len(text) > 1
        }
    except RefrainError:
        return {}
