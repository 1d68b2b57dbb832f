"""``params.yaml`` as one typed, validated value: the one way in."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from pipeline.errors import RefrainError
from pipeline.params.corpus import CorpusParams, VocabParams
from pipeline.params.explain import explain_errors
from pipeline.params.generate import GenerateParams
from pipeline.params.models import ModelParams
from pipeline.params.runtime import RuntimeParams
from pipeline.params.section import Section
from pipeline.params.train import TrainParams

PARAMS_FILE = Path("params.yaml")

BASELINES = ("uniform", "unigram", "bigram")
"""Names in the table of results that models cannot have."""


class Params(Section):
    """The whole of ``params.yaml``. The sections that DVC tracks must be there, if only as ``{}``."""

    seed: int = Field(ge=0, lt=2**63)
    corpus: CorpusParams
    vocab: VocabParams
    train: TrainParams
    models: dict[Annotated[str, Field(pattern=r"^[a-z0-9_]+$")], ModelParams] = Field(min_length=1)
    generate: GenerateParams
    runtime: RuntimeParams = RuntimeParams()
    gate: dict[str, Any] = Field(default_factory=dict)
    """The flows' own section, checked where it is used (see :mod:`flows.gate`)."""

    @model_validator(mode="after")
    def _check_models(self) -> Self:
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
            if self.runtime.processes > train.batch_size:
                raise ValueError(
                    f"runtime.processes: {self.runtime.processes} cannot share the {train.batch_size} "
                    f"lane(s) of train.batch_size (model {name})"
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
            raise ValueError(explain_errors(error, f"models.{name}.train", TrainParams)) from None


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and check a parameters file.

    Raises :class:`RefrainError`, one line naming every wrong key, if it is absent or wrong.
    """
    return check_params(read_yaml(path), path)


def check_params(values: object, path: Path = PARAMS_FILE) -> Params:
    """Parameters from what a YAML file holds; :class:`RefrainError` as above, under the name ``path``."""
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise RefrainError(f"{path}: {explain_errors(error, '', Params)}") from None


def read_yaml(path: Path) -> Any:
    """What a YAML file holds; :class:`RefrainError` if it is absent or no YAML."""
    # The reader that DVC itself uses: another one could read 1e-3 as a string.
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        return YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RefrainError(f"{path} is not in {Path.cwd()}: run from the project's folder") from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise RefrainError(f"{path}, line {line}: not valid YAML: {error.problem}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise RefrainError(f"{path}: not valid YAML: {error}".replace("\n", " ")) from None
