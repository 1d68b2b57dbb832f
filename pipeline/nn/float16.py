"""Models with the weights that they have on the page: rounded to float16."""

import torch

from pipeline.errors import RefrainError
from pipeline.nn.language_model import CharLM


@torch.no_grad()
def round_weights(model: CharLM) -> None:
    """Round a model's weights, in place, to numbers of float16.

    Raises :class:`RefrainError` if one is above 65,504, the largest of them.
    """
    for weight in model.parameters():
        weight.copy_(weight.half())
        if not weight.isfinite().all():
            raise RefrainError(
                "some of the model's weights are too large for float16: lower train.learning_rate"
            )
