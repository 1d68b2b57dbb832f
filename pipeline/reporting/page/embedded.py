"""The models that write on the page: their weights as float16, and what the page's scripts know besides."""

import base64
import json
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from markupsafe import Markup

from pipeline import artifacts
from pipeline.errors import RefrainError
from pipeline.params.load import Params
from pipeline.reporting.held_out import HeldOutText, shown
from pipeline.reporting.tables import read_json
from pipeline.text.vocab import Vocab
from pipeline.visible import visible

CELLS = ("rnn", "gru", "lstm")
"""Those that the page's scripts have."""

LANGUAGES = {"HIRAGANA": "ja", "KATAKANA": "ja", "HANGUL": "ko", "CJK": "zh"}
"""Languages by the first word of their characters' names. Browsers choose fonts by them."""


@dataclass(frozen=True)
class Embedded:
    """What the page's scripts read, as ``json``; the names of the models in it; the text's ``language``, as
    HTML has it; notes on all models, in words.
    """

    json: Markup
    models: Sequence[str]
    language: str
    notes: Sequence[str]


def embedded_models(
    params: Params, vocab: Vocab, vocab_sha256: str, held_out: HeldOutText | None
) -> Embedded:
    """The models of ``params.yaml``, the smallest first, while ``report.embed_megabytes`` have room for them.

    ``vocab_sha256`` is the digest of the vocabulary's file. Raises :class:`RefrainError` if a model is
    missing or damaged, or belongs to another vocabulary.
    """
    packed: dict[str, dict[str, Any]] = {}
    notes, room = [], params.report.embed_megabytes * 1e6
    for name in sorted(params.models, key=lambda name: (_file_bytes(name), name)):
        if params.models[name].cell not in CELLS:
            notes.append(f"{name} cannot write here: the page does not have its cell.")
            continue
        model = packed_model(name, vocab_sha256)
        size = len(model["weights"]) if model else 0
        if not model:
            notes.append(f"{name} cannot write here: some of its weights are too large for float16.")
        elif size > room:
            notes.append(
                f"{name} cannot write here: its weights take {size / 1e6:,.1f} MB, and "
                f"{room / 1e6:,.1f} MB of report.embed_megabytes are left."
            )
        else:
            room -= size
            packed[name] = model
            notes.append(cost_of_rounding(name))
    models = [name for name in params.models if name in packed]
    content = {
        **about_text(params, vocab),
        "edges": held_out.edges if held_out else [],
        "held_out": held_out.ids if held_out else [],
        "form": first_settings(params, models),
        "models": [packed[name] for name in models],
    }
    # Neither a browser nor a reader of the file sees markup or hidden characters in it.
    script = json.dumps(content, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    return Embedded(Markup(script), models, content["language"], notes)


# PyTorch is loaded where it is needed: it takes a second, and commands that know the page do not need it.


def _file_bytes(name: str) -> int:
    from pipeline.nn.weights import describe_model

    path = artifacts.model_path(name)
    describe_model(path)  # says what to do if it is missing
    return path.stat().st_size


def packed_model(name: str, vocab_sha256: str) -> dict[str, Any] | None:
    """A model's configuration, and its weights as float16, little-endian, in base64.

    None if float16 has no such numbers. Raises :class:`RefrainError` if the file is missing or damaged.
    """
    import torch

    from pipeline.nn.float16 import round_weights
    from pipeline.nn.weights import load_model

    model = load_model(artifacts.model_path(name), vocab_sha256, torch.device("cpu"))
    try:
        round_weights(model)
    except RefrainError:
        return None
    rounded = {key: weight.numpy().astype("<f2") for key, weight in model.weights().items()}
    return {
        "name": name,
        "config": {**asdict(model.config), "cell": model.config.cell_name},
        "shapes": [[key, weight.shape] for key, weight in rounded.items()],
        "weights": base64.b64encode(b"".join(weight.tobytes() for weight in rounded.values())).decode(),
    }


def cost_of_rounding(name: str) -> str:
    """How rounding the weights changes held-out perplexity, in words."""
    evaluated = read_json(artifacts.evaluation_path(name))
    changes = [
        f"by {perplexity / evaluated['splits'][split]['perplexity'] - 1:+.3%} on {split}"
        for split, perplexity in evaluated.get("float16", {}).items()
    ]
    if not changes:
        return f"The weights of {name} are rounded to float16 here."
    words = " and ".join(changes)
    return f"The weights of {name} are rounded to float16 here, which changes perplexity {words}."


def first_settings(params: Params, models: Sequence[str]) -> dict[str, Any]:
    """What the page's form shows first: two models, and the first prefix and decoding of ``params.yaml``."""
    generate, two_models = params.generate, dict(zip(("model", "beside"), models, strict=False))
    # A string: JavaScript's numbers would round a large seed.
    settings = {"prefix": generate.prefixes[0], "length": generate.length, "seed": str(params.seed)}
    decoding = {key: value for key, value in generate.decoding[0].model_dump().items() if value is not None}
    return {**two_models, **settings, **decoding}


def about_text(params: Params, vocab: Vocab) -> dict[str, Any]:
    """The vocabulary, how its characters are shown in a text and alone, and how texts are prepared."""
    in_text = {char: visible(char, keep_lines=True) for char in vocab.chars}
    alone = {char: shown(char).rstrip("\n") for char in vocab.chars}
    return {
        "chars": vocab.chars,
        "unk": vocab.unk_id,
        "visible": {char: symbol for char, symbol in in_text.items() if symbol != char},
        "shown": {char: symbol for char, symbol in alone.items() if symbol != char},
        "allow_unk": params.generate.allow_unk,
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
