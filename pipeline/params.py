"""``params.yaml`` as typed, validated models: the one way in.

Each section of the file is one model below. Unknown keys, wrong types and values out of range are
errors that name the key, the value and what would be right; nothing is converted silently.
Run as a program (``python -m pipeline.params``) it only checks the file.
"""

import difflib
import math
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipeline.errors import RefrainError

PARAMS_FILE = Path("params.yaml")

Count = Annotated[int, Field(ge=1, le=2**40)]
Size = Annotated[int, Field(ge=1, le=2**20)]
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
    files: Annotated[str, Field(min_length=1)] | None
    normalize: Literal["none", "lyrics", "letters"]
    max_chars: Count | None
    split: SplitParams

    @model_validator(mode="after")
    def _path_is_no_pattern(self) -> Self:
        # DVC hashes this path to see whether the text changed, and it takes no patterns.
        if "://" in self.path or Path(self.path).exists():
            return self
        if "*" in self.path:
            head, slash, _ = self.path.partition("*")[0].rpartition("/")
            folder = head or slash or "."
            files = self.path.removeprefix(head + slash)
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


class EncodeParams(Section):
    """Who reads the text: processes of this machine, or a Dask cluster, by its scheduler's address."""

    workers: Annotated[int, Field(ge=1, le=1024)] = 1
    scheduler: Annotated[str, Field(pattern=r"^(tcp|tls|ws|wss|ucx)://.+")] | None = None


class SampleParams(Section):
    """Text generated during training: every ``every`` epochs (0: never), greedily."""

    every: int = Field(ge=0)
    prefixes: list[Annotated[str, Field(min_length=1)]]
    length: Count


class TrainParams(Section):
    """One training run. A model may repeat any of these keys under its own ``train``.

    A minibatch's lanes are divided among ``processes``, each of which reads its own in ``accumulate`` groups.
    """

    sampling: Literal["consecutive", "random", "classic_consecutive", "classic_random"]
    batch_size: Count
    num_steps: Count
    accumulate: Count = 1
    processes: Annotated[int, Field(ge=1, le=1024)] = 1
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
    implementation: Literal["auto", "reference", "torch", "fused"]
    sample: SampleParams

    @model_validator(mode="after")
    def _a_lane_for_each(self) -> Self:
        if self.processes > self.batch_size:
            raise ValueError(
                f"processes: {self.processes} cannot share the {self.batch_size} lane(s) of batch_size"
            )
        return self


class ModelParams(Section):
    """One model: its architecture, and whatever it trains differently from the shared ``train``.

    ``init_std`` draws the first weights from a normal distribution of that standard deviation around 0, with
    biases of 0, as textbooks do; without it they are drawn as in ``torch.nn``.
    """

    cell: Literal["rnn", "gru", "lstm"]
    hidden_size: Size
    num_layers: Size
    nonlinearity: Literal["tanh", "relu"] = "tanh"
    embedding_size: Size | None = None
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    tied: bool = False
    bidirectional: Literal[False] = False
    init_std: Positive | None = None
    train: dict[str, Any] = {}

    @field_validator("bidirectional", mode="before")
    @classmethod
    def _reads_one_way(cls, value: object) -> object:
        if value is True:
            raise ValueError("true lets a model see the character that it has to predict: leave it out")
        return value

    @property
    def architecture(self) -> dict[str, Any]:
        """What :class:`pipeline.nn.language_model.ModelConfig` takes besides the vocabulary's size."""
        return self.model_dump(exclude={"train", "bidirectional", "init_std"})

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

    @field_validator("temperature")
    @classmethod
    def _not_tiny(cls, value: float) -> float:
        if 0 < value < 0.01:
            raise ValueError(f"{value:g} is too near 0 to divide by: 0 is greedy, or 0.01 and more")
        return value

    temperature: Annotated[float, Field(ge=0, le=100)]
    top_k: Count | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None


class GenerateParams(Section):
    """What the generate stage writes: each prefix continued once for each decoding."""

    prefixes: list[Annotated[str, Field(min_length=1)]] = Field(min_length=1)
    length: Count
    allow_unk: bool
    decoding: list[DecodingParams] = Field(min_length=1)


class GateParams(Section):
    """How much worse (0.01: one per cent) a model's held-out perplexity may get in an unattended run."""

    max_regression: NonNegative


class Params(Section):
    """The whole of ``params.yaml``."""

    seed: int = Field(ge=0, lt=2**63)
    device: str
    threads: Annotated[int, Field(ge=1, le=1024)] | None
    checkpoint_seconds: Positive
    corpus: CorpusParams
    vocab: VocabParams
    encode: EncodeParams = EncodeParams()
    train: TrainParams
    models: dict[Annotated[str, Field(pattern=r"^[a-z0-9_]+$")], ModelParams] = Field(min_length=1)
    generate: GenerateParams
    gate: GateParams

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
        if isinstance(own.get("sample"), dict):
            own = {**own, "sample": {**shared["sample"], **own["sample"]}}
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
    return "; ".join(_explain_one(dict(item), prefix, model) for item in error.errors()).replace("\n", "\\n")


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
    section: Any = model
    for part in location:
        if isinstance(section, type) and issubclass(section, BaseModel):
            section = section.model_fields[part].annotation
        else:  # an entry of a mapping or a list: the last of what it is made of
            section = get_args(section)[-1]
    return list(section.model_fields)


def check() -> None:
    """Check the parameters file, and that its text is there, before DVC starts any stage."""
    path = load_params().corpus.path
    if "://" in path or Path(path).exists():
        return
    hint = "`python -m pipeline.text.catalog list` shows texts to fetch"
    if path.startswith("~"):
        hint = f"write {Path(path).expanduser()}"
    raise RefrainError(f"{PARAMS_FILE}: corpus.path: nothing is at {path!r}: {hint}")


if __name__ == "__main__":
    from pipeline.program import run

    run(check)
