"""The sections of ``params.yaml`` that determine results, with the default of each key.

Wrong types, unknown keys and values out of range are errors; nothing is converted silently.
"""

import math
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Count = Annotated[int, Field(ge=1, le=2**40)]
Size = Annotated[int, Field(ge=1, le=2**20)]
Fraction = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonEmpty = Annotated[str, Field(min_length=1)]

SPLITS = ("train", "valid", "test")

CELLS_FOLDER = Path(__file__).parents[1] / "nn" / "cells"
"""Each cell is a file of its own there."""


class Section(BaseModel):
    """Base of every section: strict types, no unknown keys, no changes after loading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class SplitParams(Section):
    """Fractions of the text, cut in this order; they sum to 1."""

    train: Fraction
    valid: Fraction
    test: Fraction

    @model_validator(mode="after")
    def _sums_to_one(self) -> Self:
        total = self.train + self.valid + self.test
        if not math.isclose(total, 1):
            raise ValueError(f"the three fractions sum to {total:g}, not 1")
        if not self.train:
            raise ValueError("the training split is empty: give train more than 0")
        return self


class CorpusParams(Section):
    """Which text, and how it is read (see :mod:`pipeline.text.corpus`)."""

    path: NonEmpty
    """A file, a folder, a .zip or .gz, or a URL (https://, s3://). DVC watches it as a whole."""

    files: NonEmpty | None = None
    """Pattern of the files to take from a folder or archive (``*.txt``); null: all."""

    normalize: Literal["none", "lyrics", "letters"] = "none"
    """``lyrics``: line breaks to spaces; ``letters``: lower-case letters, all else to one space."""

    max_chars: Count | None = None
    """Keep only the first so many characters; null: all."""

    split: SplitParams = SplitParams(train=0.9, valid=0.05, test=0.05)
    """Which part of the text is for training, for validation, and for the test."""

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
    """Which characters get an id of their own."""

    unk: bool = True
    """``<unk>`` stands for the characters that the training split lacks."""

    min_count: Count = 1
    """Characters that occur less often in the training split become ``<unk>``, too."""

    @model_validator(mode="after")
    def _rare_needs_unk(self) -> Self:
        if self.min_count > 1 and not self.unk:
            raise ValueError(f"min_count: {self.min_count} leaves characters out, which needs unk: true")
        return self


class SampleParams(Section):
    """Greedy text that a model writes during training."""

    every: Annotated[int, Field(ge=0)] = 25
    """Epochs between two samples; 0: never."""

    prefixes: list[NonEmpty] = []
    """What the samples begin with."""

    length: Count = 50
    """Characters after the prefix."""


class TrainParams(Section):
    """How models are trained. A model may repeat any of these keys under its own ``train``."""

    sampling: Literal["consecutive", "random", "classic_consecutive", "classic_random"] = "consecutive"
    """How the text is cut into minibatches; ``classic_``: as in the textbook (see docs/definitions.md)."""

    batch_size: Count = 32
    """Lanes (consecutive) or windows (random) that are read side by side."""

    num_steps: Count = 35
    """Characters of each that backpropagation through time goes back."""

    epochs: Count = 50
    """Passes over the training split."""

    optimizer: Literal["sgd", "adam", "adamw"] = "adam"

    learning_rate: Positive = 0.004

    weight_decay: NonNegative = 0.0

    schedule: Literal["constant", "cosine"] = "cosine"
    """Of the learning rate, after the warm-up; ``cosine`` falls to 0."""

    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Steps in which the learning rate rises from 0."""

    clip: Positive | None = 1.0
    """Largest global norm of the gradients; null: no clipping."""

    keep: Literal["last", "best"] = "last"
    """Which weights are kept: those of the end, or those with the best validation perplexity."""

    patience: Count | None = None
    """Stop after so many evaluations without a better validation perplexity; null: never."""

    evaluate_every: Count = 5
    """Epochs between evaluations of the validation split."""

    precision: Literal["highest", "high", "medium"] = "highest"
    """Of float32 matrix products; ``medium`` rounds to bfloat16 where that is faster."""

    implementation: Literal["auto", "reference", "torch", "fused"] = "auto"
    """How recurrent layers are computed; ``auto``: the fastest (see :mod:`pipeline.nn.recurrent`)."""

    sample: SampleParams = SampleParams()


class ModelParams(Section):
    """One model: its architecture, and what it trains differently from the shared ``train``."""

    cell: str
    """rnn, gru, lstm, or a cell of your own: a file in pipeline/nn/cells."""

    hidden_size: Size = 256

    num_layers: Size = 1

    nonlinearity: Literal["tanh", "relu"] = "tanh"
    """Of the cell ``rnn``."""

    embedding_size: Size | None = None
    """Size of learned character vectors; null: one-hot characters."""

    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """On the embedding, between layers and before the decoder."""

    tied: bool = False
    """Embedding and decoder share one table."""

    bidirectional: Literal[False] = False
    """Refused if true: a model that reads both ways sees the character that it has to predict."""

    init_std: Positive | None = None
    """Standard deviation of the first weights, with biases of 0, as in textbooks; null: as in torch.nn."""

    train: dict[str, Any] = {}
    """Keys of ``train`` with values for this model alone."""

    @field_validator("cell")
    @classmethod
    def _is_known(cls, value: str) -> str:
        names = cell_names()
        if value not in names:
            raise ValueError(f"{value!r} is wrong: input should be one of {', '.join(names)}")
        return value

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
    """How the next character is chosen (see :mod:`pipeline.generation.decoding`)."""

    temperature: Annotated[float, Field(ge=0, le=100)] = 0.0
    """0 takes the likeliest character (greedy); 1 draws by the model's probabilities."""

    top_k: Count | None = None
    """Draw among the k likeliest characters."""

    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    """Draw among the likeliest characters whose probabilities sum to p."""

    @field_validator("temperature")
    @classmethod
    def _not_tiny(cls, value: float) -> float:
        if 0 < value < 0.01:
            raise ValueError(f"{value:g} is too near 0 to divide by: 0 is greedy, or 0.01 and more")
        return value


class GenerateParams(Section):
    """What the stage generate writes: each prefix, continued once for each decoding."""

    prefixes: list[NonEmpty] = Field(min_length=1)
    """What the samples begin with."""

    length: Count = 50
    """Characters after the prefix."""

    allow_unk: bool = False
    """Whether a prefix may hold characters outside the vocabulary."""

    decoding: list[DecodingParams] = Field(
        [DecodingParams(temperature=0.0), DecodingParams(temperature=0.8, top_p=0.95)], min_length=1
    )


def cell_names() -> list[str]:
    """Names of the cells, without loading PyTorch."""
    return sorted(path.stem for path in CELLS_FOLDER.glob("*.py") if not path.stem.startswith("_"))
