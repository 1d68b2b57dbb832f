"""Generated text: the model continues prefixes, character by character.

``python -m pipeline.inference.sampling --model gru --prefix 分开 --length 100 --temperature 0.8``
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import RefrainError

if TYPE_CHECKING:  # torch takes a second to import, and --help should not
    from torch import Tensor

    from pipeline.nn.language_model import CharLM


@dataclass(frozen=True)
class Decoding:
    """How the next character is chosen.

    ``temperature`` divides the logits; 0 takes the likeliest character (greedy). ``top_k`` keeps the k
    likeliest, ``top_p`` the fewest likeliest whose probabilities sum to at least p (nucleus sampling,
    Holtzman et al., 2020).
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
        ranked /= ranked.sum(-1, keepdim=True)
        ranked[ranked.cumsum(-1) - ranked >= decoding.top_p] = 0
    kept = p.new_zeros(p.shape).scatter_(-1, order, ranked)
    return kept / kept.sum(-1, keepdim=True)


def choose(logits: Tensor, decoding: Decoding, uniforms: Tensor) -> Tensor:
    """Ids ``(streams,)`` of the next characters; ``uniforms`` ``(streams,)`` in [0, 1) decide the draw."""
    if decoding.temperature == 0:
        return logits.argmax(-1)
    cumulative = probabilities(logits, decoding).cumsum(-1)
    # Scaled, so that rounding in the sum never leaves the draw past its end.
    draw = (uniforms * cumulative[:, -1]).unsqueeze(-1)
    import torch

    return torch.searchsorted(cumulative, draw, right=True).squeeze(-1)


def generate(
    model: CharLM,
    prefixes: list[list[int]],
    length: int,
    decoding: Decoding,
    seed: int,
    banned: int | None = None,
) -> list[list[int]]:
    """Continue each prefix (ids, at least one) by ``length`` characters and return the new ids.

    All prefixes run in one batch, whatever their lengths: a stream that is still in its prefix is fed
    from it, the others from what they produced. Each draws from a random stream of its own, a function of
    ``seed`` and its place in the list. The id ``banned`` is never produced.
    """
    import torch

    from pipeline import seeds
    from pipeline.inference.stepper import Stepper

    device = model.decoder.weight.device
    streams, lengths = len(prefixes), torch.tensor(list(map(len, prefixes)))
    longest = int(lengths.max())
    padded = torch.tensor([ids + [0] * (longest - len(ids)) for ids in prefixes], device=device).t()
    is_given = (torch.arange(longest).unsqueeze(1) < lengths).to(device)
    uniforms = torch.zeros(longest + length, streams)
    if decoding.temperature:
        for i, ids in enumerate(prefixes):
            draws = torch.rand(length, generator=seeds.generator(seed, "sample", i))
            uniforms[len(ids) : len(ids) + length, i] = draws
    uniforms = uniforms.to(device)
    with torch.inference_mode():
        stepper = Stepper(model)
        states = stepper.initial_states(streams)
        text = [padded[0]]
        for step in range(1, longest + length):
            logits = stepper(text[-1], states)
            if banned is not None:
                logits[:, banned] = -torch.inf
            chosen = choose(logits, decoding, uniforms[step])
            text.append(torch.where(is_given[step], padded[step], chosen) if step < longest else chosen)
        rows = torch.stack(text, 1).tolist()
    return [row[len(ids) : len(ids) + length] for row, ids in zip(rows, prefixes, strict=True)]


def main(
    model: str,
    prefix: list[str],
    length: int,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    seed: int | None,
    allow_unk: bool,
) -> None:
    """Print each prefix with its continuation by a trained model."""
    from pipeline import artifacts
    from pipeline.device import choose_device, set_up
    from pipeline.nn.language_model import load_model
    from pipeline.params import load_params
    from pipeline.text.vocab import read_vocab

    params = load_params()
    if model not in params.models:
        raise RefrainError(f"params.yaml has no model {model!r}; it has {', '.join(params.models)}")
    stored = read_vocab(artifacts.VOCAB)
    device = choose_device(params.device)
    precision = params.train_params(model).precision
    set_up(device, params.threads, precision, params.models[model].hidden_size)
    lm = load_model(artifacts.model_path(model), stored.sha256, device)
    ids = [stored.vocab.encode_prefix(text, allow_unk) for text in prefix]
    decoding = Decoding(temperature, top_k, top_p)
    continued = generate(
        lm, ids, length, decoding, params.seed if seed is None else seed, stored.vocab.unk_id
    )
    for text, new in zip(prefix, continued, strict=True):
        print(text + stored.vocab.decode(new))


def _number(kind: type[int] | type[float], low: float, high: float = float("inf")):  # type: ignore[no-untyped-def]
    def parse(text: str) -> int | float:
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not in [{low:g}, {high:g}]")
        return value

    parse.__name__ = kind.__name__
    return parse


def _temperature(text: str) -> float:
    value = float(_number(float, 0, 100)(text))
    if 0 < value < 0.01:
        raise argparse.ArgumentTypeError("too near 0 to divide by: 0 is greedy, or 0.01 and more")
    return value


if __name__ == "__main__":
    from pipeline.program import run

    parser = argparse.ArgumentParser(prog="python -m pipeline.inference.sampling", description=main.__doc__)
    parser.add_argument("--model", required=True, help="a name under `models` in params.yaml")
    parser.add_argument("--prefix", required=True, action="append", help="may be given several times")
    parser.add_argument("--length", type=_number(int, 1), default=50, help="characters to add (50)")
    parser.add_argument("--temperature", type=_temperature, default=0.0, help="0: greedy (0)")
    parser.add_argument("--top-k", type=_number(int, 1), help="choose among the k likeliest")
    parser.add_argument("--top-p", type=_number(float, 1e-9, 1), help="nucleus sampling")
    parser.add_argument("--seed", type=_number(int, 0), help="instead of the one in params.yaml")
    parser.add_argument(
        "--allow-unk", action="store_true", help="<unk> for characters outside the vocabulary"
    )
    run(main, parser)
