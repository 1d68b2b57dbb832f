"""``runtime`` in ``params.yaml``: how the pipeline runs. DVC ignores it, so it makes no result stale."""

from typing import Annotated

from pydantic import Field, field_validator

from pipeline.params.section import Count, Positive, Section

MAX_TEXT_BYTES = 10_000_000_000


class RuntimeParams(Section):
    """Where the pipeline runs, how much of the machine it uses, and how often it saves."""

    device: str = "auto"
    """auto (cuda, then mps, then cpu), cpu, cuda, cuda:1, mps. Changes rounding and dropout."""

    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """CPU threads of a stage; null: one per core."""

    processes: Annotated[int, Field(ge=1, le=1024)] = 1
    """Processes that share the lanes of each minibatch in training. Changes rounding and dropout."""

    accumulate: Annotated[int, Field(ge=1, le=2**20)] = 1
    """Microbatches in which to read each minibatch, to save memory. Changes rounding and dropout."""

    checkpoint_seconds: Positive = 30.0
    """Seconds between checkpoints: a killed training loses at most this much work. Where writing a checkpoint
    takes long, checkpoints are rarer, so that they cost at most a twentieth of the time.
    """

    text_workers: Annotated[int, Field(ge=1, le=1024)] = 1
    """Processes that read the text."""

    text_scheduler: Annotated[str, Field(pattern=r"^(tcp|tls|ws|wss|ucx)://.+")] | None = None
    """Address of a Dask scheduler whose cluster reads the text instead; null: none."""

    max_text_bytes: Count = MAX_TEXT_BYTES
    """The most bytes of text to download or decompress; more is an error. Plain files may be larger."""

    max_vocab_size: Count = 1 << 17
    """The most characters of a vocabulary; more is an error. A model grows with its vocabulary."""

    @field_validator("device")
    @classmethod
    def _is_a_device(cls, value: str) -> str:
        name, _, number = value.partition(":")
        if value in ("auto", "cpu", "cuda", "mps") or (name == "cuda" and number.isdecimal()):
            return value
        raise ValueError(
            f"{value!r} is wrong: input should be auto, cpu, cuda, cuda:1 (the second GPU) or mps"
        )
