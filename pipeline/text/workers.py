"""Pieces of a text handled side by side: in this process, on a local Dask cluster, or on a user's."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Protocol, TypeVar

from tqdm import tqdm

from pipeline.errors import MayPassError, RefrainError, first_line
from pipeline.params import EncodeParams

CONNECT_SECONDS = 10

KEEP_FREED_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(1 << 27), "MALLOC_MMAP_THRESHOLD_": str(1 << 25)}
"""For glibc: each chunk of text needs what the one before it freed. Dask has all of it returned to the
system, and fetched again, at half the speed.
"""

T = TypeVar("T")
R = TypeVar("R")


class Map(Protocol):
    """Like ``map``: results come in the order of the items."""

    def __call__(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """Results of ``function``."""


@contextmanager
def workers(params: EncodeParams) -> Iterator[Map]:
    """A ``map`` over as many processes as ``params`` names.

    What a process that dies was at, and what it had done but not yet handed over, another one does anew.
    Raises :class:`RefrainError` if they die again and again, :class:`MayPassError` if a scheduler cannot be
    reached.
    """
    if params.workers == 1 and not params.scheduler:
        yield lambda function, items: _shown(map(function, items), len(items))
        return
    # Only here, since they take half a second to load.
    import dask
    from distributed import Client, KilledWorker, LocalCluster

    logging.getLogger("distributed").setLevel(logging.ERROR)

    def over_processes(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        try:
            for future in client.map(function, items, pure=False):
                yield future.result()
                future.release()
        except KilledWorker as error:
            other = "scheduler: null" if params.scheduler else "workers: 1"
            raise RefrainError(
                f"a process that handles text died {error.allowed_failures + 1} times over the same piece: "
                f"see whether memory runs out, or set encode.{other}"
            ) from None

    key = "distributed.nanny.pre-spawn-environ"
    with dask.config.set({key: dask.config.get(key) | KEEP_FREED_MEMORY}), ExitStack() as stack:
        try:
            at = params.scheduler or stack.enter_context(
                LocalCluster(
                    n_workers=params.workers,
                    threads_per_worker=1,
                    memory_limit=None,
                    dashboard_address="127.0.0.1:0",
                    silence_logs=logging.ERROR,
                )
            )
            client = stack.enter_context(Client(at, timeout=CONNECT_SECONDS))
        except OSError as error:
            where = f"scheduler {params.scheduler}" if params.scheduler else f"workers {params.workers}"
            raise MayPassError(f"encode.{where}: {first_line(error)}") from None
        yield lambda function, items: _shown(over_processes(function, items), len(items))


def _shown(results: Iterator[R], pieces: int) -> Iterator[R]:
    """The same results, with a progress line on terminals if there are several."""
    return iter(
        tqdm(results, total=pieces, unit=" pieces", leave=False, disable=None if pieces > 1 else True)
    )
