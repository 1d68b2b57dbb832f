"""Models with the weights that they have on the page: rounded to float16."""

import torch

from pipeline.nn.language_model import CharLM


@torch.no_grad()
def round_weights(model: CharLM) -> None:
    """Round a model's weights, in place, to numbers of float16. Those above 65,504 become infinite."""
    for weight in model.parameters():
        weight.copy_(weight.half())
