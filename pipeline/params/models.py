"""``models`` in ``params.yaml``: the architecture of each."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from pipeline.params.section import Positive, Section, Size

CELLS_FOLDER = Path(__file__).parents[1] / "nn" / "cells"
"""Each cell is a file of its own there."""


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

    train: dict[str, Any] = Field(default_factory=dict)
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


def cell_names() -> list[str]:
    """Names of the cells, without loading PyTorch."""
    return sorted(path.stem for path in CELLS_FOLDER.glob("*.py") if not path.stem.startswith("_"))
