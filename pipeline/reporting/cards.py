"""Model cards: what a model is for, its text, its figures, and where they come from."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.params.corpus import HELD_OUT
from pipeline.params.load import Params
from pipeline.reporting.samples import escaped, in_words
from pipeline.reporting.tables import Metrics, Row, splits_of
from pipeline.reporting.yaml import as_yaml

INTENDED = (
    "It continues a prefix, character by character, and says how much each character of a text surprises it. "
    "It is for studying recurrent networks and for comparing them. It knows only its training text: do not "
    "take what it writes for information. It may recite that text, word for word: see below."
)

INTERVALS = (
    "In brackets: 95% intervals, which say how figures would vary with other held-out text of this kind."
)


def model_card(
    name: str,
    params: Params,
    language: str,
    metrics: Metrics,
    rows: Sequence[Row],
    about_text: Mapping[str, str],
    provenance: Mapping[str, str],
) -> str:
    """The card of a model as Markdown, after metadata in the form that the Hugging Face Hub documents.

    ``rows`` are those of the perplexity table.
    """
    model = params.models[name]
    cell = f"{model.cell} ({model.nonlinearity})" if model.cell == "rnn" else model.cell
    layers = f"{model.num_layers} layers" if model.num_layers > 1 else "1 layer"
    others = [other for other in params.models if other != name]
    of_others = [fact for other in others for fact in (f"weights of {other}", f"{other} trained on")]
    recited = {key: in_words(figures) for key, figures in metrics[name]["recited"].items()}
    table = [["", *splits_of(metrics)], ["---"] * (1 + len(splits_of(metrics)))]
    table += [[row.name, *row.perplexities] for row in rows]
    sections = {
        "Intended use": [INTENDED],
        "Text and licence": _bullets({**about_text, "licence": _licence(params)}),
        "Perplexity": [*(f"| {' | '.join(map(escaped, cells))} |" for cells in table), "", INTERVALS],
        "Recited from the training text, on average": _bullets(recited),
        "Parameters": ["```yaml", as_yaml(_parameters(name, params)).rstrip(), "```"],
        "Provenance": _bullets({key: fact for key, fact in provenance.items() if key not in of_others}),
    }
    lines = [
        f"# {escaped(name)}",
        "",
        f"A character-level language model: {cell}, {layers}, {model.hidden_size} units.",
    ]
    for title, content in sections.items():
        lines += ["", f"## {title}", "", *content]
    return f"---\n{as_yaml(_metadata(name, params, language, metrics))}---\n\n" + "\n".join(lines) + "\n"


def _metadata(name: str, params: Params, language: str, metrics: Metrics) -> dict[str, Any]:
    results = [
        {
            "task": {"type": "text-generation"},
            "dataset": {"name": params.corpus.path, "type": "text", "split": split},
            "metrics": [{"type": "perplexity", "value": metrics[name][split]["perplexity"]}],
        }
        for split in HELD_OUT
        if split in metrics[name]
    ]
    return {
        "license": _licence(params),
        **({"language": language} if language else {}),
        "library_name": "pytorch",
        "pipeline_tag": "text-generation",
        "tags": ["character-level", "language-model", params.models[name].cell],
        "model-index": [{"name": name, "results": results}],
    }


def _licence(params: Params) -> str:
    return params.report.licences.get(params.corpus.path, "unknown")


def _parameters(name: str, params: Params) -> dict[str, Any]:
    """The parameters that determine this model."""
    of_others = set() if params.models[name].cell == "rnn" else {"nonlinearity"}
    model = params.models[name].model_dump(mode="json", exclude={"train", *of_others})
    shared = params.model_dump(mode="json", include={"seed", "corpus", "vocab"})
    return {**shared, "train": params.train_params(name).model_dump(mode="json"), "model": model}


def _bullets(facts: Mapping[str, str]) -> list[str]:
    return [f"- {escaped(key)}: {escaped(value)}" for key, value in facts.items()]
