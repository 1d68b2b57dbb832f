"""Processing pieces of a text: in this process, on a local Dask cluster, or on the user's Dask cluster."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

from tqdm import tqdm

from pipeline.errors import RefrainError, TransientError, first_line
from pipeline.params.runtime import RuntimeParams

if TYPE_CHECKING:
    from distributed import Client

CONNECT_SECONDS = 10

KEEP_FREED_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(1 << 27), "MALLOC_MMAP_THRESHOLD_": str(1 << 25)}
"""Settings of glibc. Each chunk of text needs the memory that the previous one has freed. With Dask's
settings, memory would go back to the system and be requested again, which halves the speed.
"""

NO_PAGES: dict[str, list[str]] = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}
"""Settings of Dask, which would show its work to every user of this machine."""

T = TypeVar("T")
R = TypeVar("R")


class ParallelMap(Protocol):
    """Like ``map``: results come in the order of the items."""

    def __call__(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
        """The results of ``function`` for all ``items``."""


def one_by_one(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """A :class:`ParallelMap` of this process alone."""
    return map(function, items)


@contextmanager
def parallel_map(runtime: RuntimeParams) -> Iterator[ParallelMap]:
    """A ``map`` over as many processes as ``runtime`` asks for.

    If a process dies, others redo its unfinished work, and the results that nobody has collected yet. Raises
    :class:`RefrainError` if processes keep dying, :class:`TransientError` if the scheduler cannot be reached.
    """
    if runtime.text_workers == 1 and not runtime.text_scheduler:
        yield lambda function, items: _with_progress(one_by_one(function, items), len(items))
        return
    with _client(runtime) as client:

        def over_processes(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
            return _with_progress(_results(client, runtime, function, items), len(items))

        yield over_processes


def _results(
    client: "Client", runtime: RuntimeParams, function: Callable[[T], R], items: Sequence[T]
) -> Iterator[R]:
    from distributed import KilledWorker

    try:
        for future in client.map(function, items, pure=False):
            yield future.result()
            future.release()
    except KilledWorker as error:
        other = "text_scheduler: null" if runtime.text_scheduler else "text_workers: 1"
        raise RefrainError(
            f"a process that reads text died {error.allowed_failures + 1} times on the same piece: check "
            f"whether memory runs out, or set runtime.{other}"
        ) from None


@contextmanager
def _client(runtime: RuntimeParams) -> Iterator["Client"]:
    """A client of the user's scheduler, or of local processes that end when the client closes."""
    # Imported here: they take half a second to load.
    import dask
    from distributed import Client, LocalCluster
    from distributed.security import Security

    logging.getLogger("distributed").setLevel(logging.ERROR)
    key = "distributed.nanny.pre-spawn-environ"
    settings = {key: dask.config.get(key) | KEEP_FREED_MEMORY, **NO_PAGES}
    with dask.config.set(settings), ExitStack() as stack:
        try:
            scheduler = runtime.text_scheduler or stack.enter_context(
                LocalCluster(
                    n_workers=runtime.text_workers,
                    threads_per_worker=1,
                    memory_limit=None,
                    host="127.0.0.1",
                    scheduler_kwargs={"dashboard": False},
                    dashboard_address="127.0.0.1:0",
                    security=Security.temporary(),  # TLS: other users could run code here otherwise
                    silence_logs=logging.ERROR,
                )
            )
            client = stack.enter_context(Client(scheduler, timeout=CONNECT_SECONDS))
        except OSError as error:
            theirs, count = runtime.text_scheduler, runtime.text_workers
            what = f"scheduler: cannot reach {theirs}" if theirs else f"workers: cannot start {count}"
            raise TransientError(f"runtime.text_{what}: {first_line(error)}") from None
        yield client


def _with_progress(results: Iterator[R], pieces: int) -> Iterator[R]:
    """The same results, with a progress bar on a terminal if there are several pieces."""
    return iter(
        tqdm(results, total=pieces, unit=" pieces", leave=False, disable=None if pieces > 1 else True)
    )
