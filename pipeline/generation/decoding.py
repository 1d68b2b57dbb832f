"""Text generation: a model continues prefixes, character by character."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline import seeds
from pipeline.generation.stepper import Stepper
from pipeline.nn.language_model import CharLM


@dataclass(frozen=True)
class Decoding:
    """How the next character is chosen.

    ``temperature`` divides the logits; 0 takes the likeliest character (greedy). ``top_k`` keeps the k
    likeliest characters. ``top_p`` keeps the smallest number of likeliest characters whose probabilities sum
    to at least p (nucleus sampling, Holtzman et al., 2020).
    """

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None


def probabilities(logits: Tensor, decoding: Decoding) -> Tensor:
    """Probabilities to draw from, ``(streams, vocab_size)``, for a temperature above 0."""
    p = (logits / decoding.temperature).softmax(-1)
    nucleus = decoding.top_p is not None and decoding.top_p < 1
    if decoding.top_k is None and not nucleus:
        return p
    ranked, order = p.sort(stable=True, dim=-1, descending=True)
    if decoding.top_k is not None:
        ranked[:, decoding.top_k :] = 0
    if decoding.top_p is not None and nucleus:
        ranked /= _sums(ranked)
        ranked[ranked.cumsum(-1) - ranked >= decoding.top_p] = 0
    kept = p.new_zeros(p.shape).scatter_(-1, order, ranked)
    return kept / _sums(kept)


def _sums(p: Tensor) -> Tensor:
    # The order in which sum() adds up a single row depends on the number of threads.
    return p.cumsum(-1)[:, -1:]


def choose(logits: Tensor, decoding: Decoding, uniforms: Tensor) -> Tensor:
    """Ids ``(streams,)`` of the next characters. ``uniforms`` ``(streams,)``, in [0, 1), decide the draws."""
    if decoding.temperature == 0:
        return logits.argmax(-1)
    cumulative = probabilities(logits, decoding).cumsum(-1)
    # Scaled by the actual sum, because rounding may leave it below 1 and the draw must not exceed it.
    draw = (uniforms * cumulative[:, -1]).unsqueeze(-1)
    return torch.searchsorted(cumulative, draw, right=True).squeeze(-1)


def generate(
    model: CharLM,
    prefixes: list[list[int]],
    length: int,
    decoding: Decoding,
    seed: int,
    banned: int | None = None,
) -> list[list[int]]:
    """Continue each prefix (at least one id) by ``length`` characters and return the new ids.

    All prefixes run in one batch, whatever their lengths: a stream reads its prefix first and then the
    characters that it has produced. Each stream has its own random generator, which depends on ``seed`` and
    on the position of the prefix in the list. The id ``banned`` is never produced.
    """
    device = model.device
    streams, lengths = len(prefixes), torch.tensor(list(map(len, prefixes)))
    longest = int(lengths.max())
    padded = torch.tensor([ids + [0] * (longest - len(ids)) for ids in prefixes], device=device).t()
    is_given = (torch.arange(longest).unsqueeze(1) < lengths).to(device)
    uniforms = torch.zeros(longest + length, streams)
    if decoding.temperature:
        for i, ids in enumerate(prefixes):
            draws = torch.rand(length, generator=seeds.generator(seed, "sample", i))
            uniforms[len(ids) : len(ids) + length, i] = draws
    uniforms_of_steps = uniforms.to(device).unbind()
    with torch.inference_mode():
        stepper = Stepper(model, streams)
        text = [padded[0]]
        for step in range(1, longest + length):
            logits = stepper(text[-1])
            if banned is not None:
                logits[:, banned] = -torch.inf
            chosen = choose(logits, decoding, uniforms_of_steps[step])
            text.append(torch.where(is_given[step], padded[step], chosen) if step < longest else chosen)
        rows = torch.stack(text, 1).tolist()
    return [row[len(ids) : len(ids) + length] for row, ids in zip(rows, prefixes, strict=True)]
