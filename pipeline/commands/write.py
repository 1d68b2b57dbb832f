"""Continue prefixes with a trained model, as in `refrain write --model gru --prefix 分开 --length 100`."""

import argparse
import math
import os
from collections.abc import Callable
from contextlib import suppress

from pipeline.errors import RefrainError
from pipeline.params.load import load_params
from pipeline.visible import visible


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``refrain write``."""
    parser.add_argument("--model", required=True, help="a name under `models` in params.yaml")
    parser.add_argument(
        "--prefix", type=_utf8, required=True, action="append", help="text to continue; may be repeated"
    )
    parser.add_argument("--length", type=_number(int, 1), help="characters to add (default: generate.length)")
    parser.add_argument("--temperature", type=_temperature, default=0.0, help="0, the default, is greedy")
    parser.add_argument("--top-k", type=_number(int, 1), help="draw among the k likeliest characters")
    parser.add_argument(
        "--top-p", type=_number(float, 1e-9, 1), help="draw among the likeliest whose probabilities sum to p"
    )
    parser.add_argument("--seed", type=_number(int, 0), help="use this seed, not the one in params.yaml")
    parser.add_argument(
        "--float16", action="store_true", help="as on the page: float16 weights, float64 arithmetic"
    )
    parser.add_argument("--allow-unk", action="store_true", help="read unknown characters as <unk>")


def main(
    model: str,
    prefix: list[str],
    length: int | None,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    seed: int | None,
    float16: bool,
    allow_unk: bool,
) -> None:
    """Print each prefix with its continuation, and an empty line between two."""
    if temperature == 0 and (top_k or top_p):
        raise RefrainError("--top-k and --top-p choose what to draw from: give --temperature above 0, too")
    params = load_params()

    # Imported here: PyTorch takes a second to load, and --help and parameter errors should not wait for it.
    from pipeline.generation.decoding import Decoding, generate
    from pipeline.nn.float16 import round_weights
    from pipeline.nn.weights import open_model

    lm, stored = open_model(model, params)
    if float16:
        lm.cpu().double()  # not all other devices have float64
        round_weights(lm)
    prefixes = [stored.vocab.encode_prefix(text, allow_unk) for text in prefix]
    decoding, seed = Decoding(temperature, top_k, top_p), params.seed if seed is None else seed
    texts = generate(lm, prefixes, length or params.generate.length, decoding, seed, stored.vocab.unk_id)
    written = (
        visible(text + stored.vocab.decode(continuation), keep_lines=True)
        for text, continuation in zip(prefix, texts, strict=True)
    )
    print("\n\n".join(written))


def _utf8(argument: str) -> str:
    """An argument's bytes as UTF-8, else as Python has decoded them, by the locale, which may be ASCII."""
    with suppress(UnicodeError):
        return os.fsencode(argument).decode()
    try:
        argument.encode()
        return argument
    except UnicodeError:
        raise argparse.ArgumentTypeError(f"{argument!r} is not UTF-8") from None


def _number(kind: type[int] | type[float], low: float, high: float = math.inf) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of type {kind.__name__}") from None
        if not low <= value <= high:
            allowed = f"{low:g} to {high:g}" if math.isfinite(high) else f"{low:g} or more"
            raise argparse.ArgumentTypeError(f"{text} is out of range: give {allowed}")
        return value

    return parse


def _temperature(text: str) -> float:
    value = _number(float, 0, 100)(text)
    if 0 < value < 0.01:
        raise argparse.ArgumentTypeError("too close to 0 to divide by: give 0 (greedy), or at least 0.01")
    return value
