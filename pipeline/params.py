"""``params.yaml`` as typed, validated models: the one way in.

Each section of the file is one model below. Unknown keys, wrong types and values out of range are
errors that name the key, the value and what would be right; nothing is converted silently.
Run as a program (``python -m pipeline.params``) it only checks the file.
"""

import difflib
import math
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline.errors import RefrainError

PARAMS_FILE = Path("params.yaml")

Count = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

SPLITS = ("train", "valid", "test")
BASELINES = ("uniform", "unigram", "bigram")


class Section(BaseModel):
    """Base of every section: strict types, no unknown keys, no changes after loading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class SplitParams(Section):
    """Fractions of the text, cut in this order; they sum to 1."""

    train: Fraction
    valid: Fraction
    test: Fraction

    @model_validator(mode="after")
    def _check(self) -> Self:
        total = self.train + self.valid + self.test
        if not math.isclose(total, 1):
            raise ValueError(f"the three fractions sum to {total:g}, not 1")
        if not self.train:
            raise ValueError("the training split is empty: give train more than 0")
        return self


class CorpusParams(Section):
    """Which text, and how it is read (see :mod:`pipeline.text.corpus`)."""

    path: str = Field(min_length=1)
    files: str | None
    normalize: Literal["none", "lyrics", "letters"]
    max_chars: Count | None
    split: SplitParams

    @model_validator(mode="after")
    def _path_is_no_pattern(self) -> Self:
        # DVC hashes this path to see whether the text changed, and it takes no patterns.
        if "://" in self.path or Path(self.path).exists():
            return self
        folder, _, _ = self.path.partition("*")
        if "*" in self.path:
            folder = folder.rpartition("/")[0] or "."
            files = self.path.removeprefix(folder + "/")
            raise ValueError(
                f"path: {self.path!r} is a pattern, and DVC watches whole files and folders: "
                f"set corpus.path to {folder!r} and corpus.files to {files!r}"
            )
        return self


class VocabParams(Section):
    """Vocabulary: ``unk`` adds ``<unk>``, for characters seen fewer than ``min_count`` times."""

    unk: bool
    min_count: Count

    @model_validator(mode="after")
    def _rare_needs_unk(self) -> Self:
        if self.min_count > 1 and not self.unk:
            raise ValueError(f"min_count: {self.min_count} leaves characters out, which needs unk: true")
        return self


class SampleParams(Section):
    """Text generated during training: every ``every`` epochs (0: never), greedily."""

    every: int = Field(ge=0)
    prefixes: list[Annotated[str, Field(min_length=1)]]
    length: Count


class TrainParams(Section):
    """One training run. A model may repeat any of these keys under its own ``train``."""

    sampling: Literal["consecutive", "random"]
    batch_size: Count
    num_steps: Count
    epochs: Count
    optimizer: Literal["sgd", "adam", "adamw"]
    learning_rate: Positive
    weight_decay: NonNegative
    schedule: Literal["constant", "cosine"]
    warmup_steps: int = Field(ge=0)
    clip: Positive | None
    keep: Literal["last", "best"]
    patience: Count | None
    evaluate_every: Count
    precision: Literal["highest", "high", "medium"]
    sample: SampleParams


class ModelParams(Section):
    """One model: its architecture, and whatever it trains differently from the shared ``train``."""

    cell: Literal["rnn", "gru", "lstm"]
    hidden_size: Count
    num_layers: Count
    nonlinearity: Literal["tanh", "relu"] = "tanh"
    embedding_size: Count | None = None
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    tied: bool = False
    train: dict[str, Any] = {}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.tied and self.embedding_size != self.hidden_size:
            raise ValueError(
                "tied: true shares the input and output tables, which needs embedding_size equal to "
                f"hidden_size ({self.hidden_size})"
            )
        if self.nonlinearity == "relu" and self.cell != "rnn":
            raise ValueError(f"nonlinearity: relu is for cell: rnn, not {self.cell}")
        return self


class DecodingParams(Section):
    """How the next character is chosen: ``temperature`` 0 is greedy; see pipeline.inference.sampling."""

    temperature: NonNegative
    top_k: Count | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None


class GenerateParams(Section):
    """What the generate stage writes: each prefix continued once for each decoding."""

    prefixes: list[Annotated[str, Field(min_length=1)]] = Field(min_length=1)
    length: Count
    allow_unk: bool
    decoding: list[DecodingParams] = Field(min_length=1)


class Params(Section):
    """The whole of ``params.yaml``."""

    seed: int = Field(ge=0, lt=2**63)
    device: str
    threads: Count | None
    checkpoint_seconds: Positive
    corpus: CorpusParams
    vocab: VocabParams
    train: TrainParams
    models: dict[Annotated[str, Field(pattern=r"^[a-z0-9_]+$")], ModelParams] = Field(min_length=1)
    generate: GenerateParams

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in self.models:
            if name in BASELINES:
                raise ValueError(f"models.{name}: that name is taken by the {name} baseline; choose another")
            train = self.train_params(name)
            needs_valid = (train.keep == "best" and "keep: best") or (train.patience and "patience")
            if needs_valid and not self.corpus.split.valid:
                raise ValueError(
                    f"{needs_valid} (model {name}) chooses by validation perplexity: "
                    "give corpus.split.valid more than 0"
                )
        return self

    def train_params(self, name: str) -> TrainParams:
        """The training parameters of model ``name``: its own over the shared ones."""
        shared, own = self.train.model_dump(), self.models[name].train
        try:
            return TrainParams.model_validate({**shared, **own})
        except ValidationError as error:
            raise ValueError(_explain(error, f"models.{name}.train", TrainParams)) from None


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and check a parameters file.

    Raises :class:`RefrainError`, one line naming every wrong key, if it is absent or wrong.
    """
    # The YAML reader DVC itself uses: another one could read 1e-3 as a string.
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        values = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RefrainError(f"{path} is not in {Path.cwd()}: run from the project's folder") from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise RefrainError(f"{path}, line {line}: not valid YAML: {error.problem}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise RefrainError(f"{path}: not valid YAML: {error}".replace("\n", " ")) from None
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise RefrainError(f"{path}: {_explain(error, '', Params)}") from None


def _explain(error: ValidationError, prefix: str, model: type[BaseModel]) -> str:
    """All problems of a validation error as one line."""
    return "; ".join(_explain_one(dict(item), prefix, model) for item in error.errors())


def _explain_one(item: dict[str, Any], prefix: str, model: type[BaseModel]) -> str:
    location = [str(part) for part in item["loc"] if part != "[key]"]
    key = ".".join(filter(None, [prefix, *location])) or "the file"
    if item["type"] == "extra_forbidden":
        known = _known_keys(model, location[:-1])
        close = difflib.get_close_matches(location[-1], known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
        return f"{key}: unknown key; {hint}"
    if item["type"] == "missing":
        return f"{key}: missing"
    if item["type"] == "value_error":
        own = str(item["ctx"]["error"])
        return own if own.startswith("models.") or not location else f"{key}: {own}"
    return f"{key}: {item['input']!r} is wrong: {item['msg'][0].lower()}{item['msg'][1:]}"


def _known_keys(model: type[BaseModel], location: list[str]) -> list[str]:
    """Field names of the section at ``location`` below ``model``."""
    for part in location:
        field = model.model_fields.get(part)
        if field is None:  # a model's name in the mapping `models`
            model = ModelParams
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            model = field.annotation
    return list(model.model_fields)


if __name__ == "__main__":
    from pipeline.stages import run

    run(load_params)
