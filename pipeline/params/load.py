"""``params.yaml`` as one typed, validated object: the only way to load parameters."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from pipeline.errors import RefrainError
from pipeline.params.corpus import CorpusParams, VocabParams
from pipeline.params.explain import explain_errors
from pipeline.params.generate import GenerateParams
from pipeline.params.models import ModelParams
from pipeline.params.report import ReportParams
from pipeline.params.runtime import RuntimeParams
from pipeline.params.section import Section
from pipeline.params.train import TrainParams
from pipeline.params.yaml import read_yaml

PARAMS_FILE = Path("params.yaml")

ModelName = Annotated[str, Field(pattern=r"^[a-z0-9_]+$", max_length=64)]
"""Models have files and stages of that name: nothing in it means anything in a path or to a shell."""

BASELINES = ("uniform", "unigram", "bigram", "ngram")
"""Names of the baselines in ``reports/metrics.json``. Models cannot have these names."""


class Params(Section):
    """All of ``params.yaml``. The sections that DVC tracks are required, even if they are empty (``{}``)."""

    seed: int = Field(ge=0, lt=2**63)
    corpus: CorpusParams
    vocab: VocabParams
    train: TrainParams
    models: dict[ModelName, ModelParams] = Field(min_length=1)
    generate: GenerateParams
    report: ReportParams = ReportParams()
    runtime: RuntimeParams = RuntimeParams()
    gate: dict[str, Any] = Field(default_factory=dict)
    """The flows' own section, which :mod:`flows.gate` checks."""

    @model_validator(mode="after")
    def _check_models(self) -> Self:
        for name in self.models:
            if name in BASELINES:
                raise ValueError(f"models.{name}: this is the name of the {name} baseline: choose another")
            train = self.train_params(name)
            needs_valid = (train.keep == "best" and "keep: best") or (train.patience and "patience")
            if needs_valid and not self.corpus.split.valid:
                raise ValueError(
                    f"{needs_valid} (model {name}) needs a validation perplexity: "
                    "set corpus.split.valid above 0"
                )
            if self.runtime.processes > train.batch_size:
                raise ValueError(
                    f"runtime.processes: {self.runtime.processes} is more than the {train.batch_size} "
                    f"lane(s) of a minibatch (train.batch_size, model {name}): lower it"
                )
        return self

    def train_params(self, name: str) -> TrainParams:
        """The training parameters of model ``name``: the shared ones, overridden by its own."""
        shared, own = self.train.model_dump(), self.models[name].train
        if isinstance(own.get("sample"), dict):
            own = {**own, "sample": {**shared["sample"], **own["sample"]}}
        try:
            return TrainParams.model_validate({**shared, **own})
        except ValidationError as error:
            raise ValueError(explain_errors(error, f"models.{name}.train", TrainParams)) from None


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and check a parameters file.

    Raises :class:`RefrainError` if it is missing or wrong, with one line that names every wrong key.
    """
    return check_params(read_yaml(path), path)


def check_params(values: object, path: Path = PARAMS_FILE) -> Params:
    """Parameters from the content of a YAML file. Raise :class:`RefrainError`, naming ``path``, if wrong."""
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise RefrainError(f"{path}: {explain_errors(error, '', Params)}") from None
