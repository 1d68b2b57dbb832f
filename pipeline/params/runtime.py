"""``runtime`` in ``params.yaml``: how it runs. DVC does not track it, so that it makes no result stale."""

from typing import Annotated

from pydantic import Field, field_validator

from pipeline.params.section import Positive, Section


class RuntimeParams(Section):
    """Where it runs, with how much of the machine, and how often it saves."""

    device: str = "auto"
    """auto (cuda, then mps, then cpu), cpu, cuda, cuda:1, mps. Another device changes last bits."""

    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """CPU threads of a stage; null: one a core."""

    processes: Annotated[int, Field(ge=1, le=1024)] = 1
    """Processes that divide the lanes of a training's minibatches. Changes last bits."""

    accumulate: Annotated[int, Field(ge=1, le=2**20)] = 1
    """Groups of lanes in which a process reads a minibatch that does not fit into memory. Changes last bits.
    """

    checkpoint_seconds: Positive = 30.0
    """Seconds between two checkpoints: the work that a killed training loses at most."""

    text_workers: Annotated[int, Field(ge=1, le=1024)] = 1
    """Processes that read the text."""

    text_scheduler: Annotated[str, Field(pattern=r"^(tcp|tls|ws|wss|ucx)://.+")] | None = None
    """A Dask cluster that reads the text instead, by the address of its scheduler."""

    @field_validator("device")
    @classmethod
    def _is_a_device(cls, value: str) -> str:
        name, _, number = value.partition(":")
        if value in ("auto", "cpu", "cuda", "mps") or (name == "cuda" and number.isdecimal()):
            return value
        raise ValueError(
            f"{value!r} is wrong: input should be auto, cpu, cuda, cuda:1 (the second GPU) or mps"
        )
