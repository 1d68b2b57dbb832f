"""The models that write on the page: their weights as float16, and what the page's scripts know besides."""

import base64
import json
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from pipeline import artifacts
from pipeline.errors import RefrainError, first_line
from pipeline.params.load import Params
from pipeline.reporting.held_out import shown
from pipeline.reporting.tables import read_json
from pipeline.tensors import read_metadata, read_tensors
from pipeline.text.vocab import Vocab
from pipeline.visible import visible

CELLS = ("rnn", "gru", "lstm")
"""Those that the page's scripts have."""

LANGUAGES = {"HIRAGANA": "ja", "KATAKANA": "ja", "HANGUL": "ko", "CJK": "zh"}
"""Languages by the first word of their characters' names. Browsers choose fonts by them."""


@dataclass(frozen=True)
class Embedded:
    """What the page's scripts read, as JSON; the names of the models in it; the text's language,
    as HTML has it; notes on all models, in words."""

    json: Markup
    models: Sequence[str]
    language: str
    notes: Sequence[str]


def embedded_models(params: Params, vocab: Vocab, edges: Sequence[float]) -> Embedded:
    """The models of ``params.yaml``, in turn, while there is room for them (``report.embed_megabytes``).

    ``edges`` are those of the colours' scale. Raises :class:`RefrainError` if a model is missing or damaged.
    """
    packed, notes, room = [], [], params.report.embed_megabytes * 1e6
    for name in params.models:
        path = artifacts.model_path(name)
        weights_bytes = path.stat().st_size * 2 / 3  # four bytes become two, and three bytes four letters
        if params.models[name].cell not in CELLS:
            notes.append(f"{name} cannot write here: the page does not have its cell.")
        elif weights_bytes > room:
            notes.append(
                f"{name} cannot write here: its weights would take {weights_bytes / 1e6:,.1f} MB, and "
                f"{room / 1e6:,.1f} MB of report.embed_megabytes are left."
            )
        elif (model := packed_model(name, path)) is None:
            notes.append(f"{name} cannot write here: some of its weights are too large for float16.")
        else:
            room -= weights_bytes
            packed.append(model)
            notes.append(cost_of_rounding(name))
    names = [str(model["name"]) for model in packed]
    form = first_settings(params, names)
    content = {**about_text(params, vocab), "edges": edges, "form": form, "models": packed}
    # Neither a browser nor a reader of the file sees markup or hidden characters in it.
    script = json.dumps(content, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    return Embedded(Markup(script), names, content["language"], notes)


def packed_model(name: str, path: Path) -> dict[str, Any] | None:
    """A model's configuration, and its weights as float16, little-endian, in base64.

    None if float16 has no such numbers. Raises :class:`RefrainError` if the file is damaged.
    """
    try:
        config, weights = read_metadata(path)["config"], read_tensors(path)
    except (KeyError, ValueError, OSError, RuntimeError) as error:
        raise RefrainError(f"{path} is damaged ({first_line(error)}): run `dvc checkout`") from None
    rounded = {key: weight.numpy().astype("<f2") for key, weight in weights.items()}
    if not all(np.isfinite(weight).all() for weight in rounded.values()):
        return None
    cell = f"rnn_{config['nonlinearity']}" if config["cell"] == "rnn" else config["cell"]
    content = b"".join(weight.tobytes() for weight in rounded.values())
    return {
        "name": name,
        "config": {**config, "cell": cell},
        "shapes": [[key, weight.shape] for key, weight in rounded.items()],
        "weights": base64.b64encode(content).decode(),
    }


def cost_of_rounding(name: str) -> str:
    """How rounding the weights changes held-out perplexity, in words."""
    evaluated = read_json(artifacts.evaluation_path(name))
    changes = [
        f"by {perplexity / evaluated['splits'][split]['perplexity'] - 1:+.3%} on {split}"
        for split, perplexity in evaluated["float16"].items()
    ]
    if not changes:
        return f"The weights of {name} are rounded to float16 here."
    words = " and ".join(changes)
    return f"The weights of {name} are rounded to float16 here, which changes perplexity {words}."


def first_settings(params: Params, models: Sequence[str]) -> dict[str, Any]:
    """What the page's form shows first: two models, and the first prefix and decoding of ``params.yaml``."""
    generate, shown_first = params.generate, dict(zip(("model", "beside"), models, strict=False))
    settings = {"prefix": generate.prefixes[0], "length": generate.length, "seed": params.seed}
    decoding = {key: value for key, value in generate.decoding[0].model_dump().items() if value is not None}
    return {**shown_first, **settings, **decoding}


def about_text(params: Params, vocab: Vocab) -> dict[str, Any]:
    """The vocabulary, how its characters are shown in a text and alone, and how texts are prepared."""
    in_text = {char: visible(char, keep_lines=True) for char in vocab.chars}
    alone = {char: shown(char).rstrip("\n") for char in vocab.chars}
    return {
        "chars": vocab.chars,
        "unk": vocab.unk_id,
        "shown": {char: symbol for char, symbol in in_text.items() if symbol != char},
        "alone": {char: symbol for char, symbol in alone.items() if symbol != char},
        "normalize": params.corpus.normalize,
        "language": language_of(vocab),
    }


def language_of(vocab: Vocab) -> str:
    """The language of a text in Chinese, Japanese or Korean script; else "", which means unknown."""
    found: Counter[str] = Counter()
    for char, count in zip(vocab.chars, vocab.counts, strict=True):
        if len(char) == 1:
            found[LANGUAGES.get(unicodedata.name(char, "").partition(" ")[0], "")] += count
    if found["ja"] > found.total() / 20:  # Japanese has Chinese characters, too
        return "ja"
    return max(found, key=found.__getitem__, default="")
