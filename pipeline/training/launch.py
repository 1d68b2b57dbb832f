"""Start training in several processes on this machine, as torchrun does, but behind no open port.

The ranks find one another by a file that only this user can read, and talk over loopback.
"""

import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from torch.distributed.elastic.multiprocessing import (
    DefaultLogsSpecs,
    ProcessFailure,
    SignalException,
    start_processes,
)

from pipeline.device import CORES
from pipeline.errors import RefrainError
from pipeline.training.ranks import STOP_AGENT_SIGNAL, STORE

RESTARTS = 3

POLL_SECONDS = 0.2


def launch_processes(processes: int, threads: int | None, *arguments: str) -> None:
    """Run ``python arguments`` in several processes. A signal that ends them also ends this process.

    If one dies, all are restarted. Raises :class:`RefrainError` if that happens more than :data:`RESTARTS`
    times.
    """
    # Without these settings, each process would use all cores, and PyTorch would log more than users need.
    os.environ["OMP_NUM_THREADS"] = str(max(1, (threads or CORES) // processes))
    logging.disable(logging.WARNING)
    failure = None
    with tempfile.TemporaryDirectory(prefix="refrain-ranks-") as folder:  # of mode 0700
        for attempt in range(RESTARTS + 1):
            # A new file each time: the old one names the addresses of dead processes.
            failure = _run_ranks(processes, Path(folder) / f"store-{attempt}", arguments)
            if failure is None:
                return
    assert failure is not None
    how = (
        f"by {signal.Signals(-failure.exitcode).name}"
        if failure.exitcode < 0
        else f"with status {failure.exitcode}"
    )
    raise RefrainError(
        f"process {failure.local_rank} of the training died {RESTARTS + 1} times, the last time {how}: check "
        "whether memory runs out, or set runtime.processes: 1"
    )


def _run_ranks(processes: int, store: Path, arguments: Sequence[str]) -> ProcessFailure | None:
    """Run all ranks to their end; the first failure, after which all have ended."""
    ranks, loopback = range(processes), _loopback()
    shared = {
        "TORCHELASTIC_RUN_ID": "refrain",
        "WORLD_SIZE": str(processes),
        "GLOO_SOCKET_IFNAME": loopback,
        "NCCL_SOCKET_IFNAME": loopback,
        STORE: str(store),
    }
    running = start_processes(
        name="train",
        entrypoint=sys.executable,
        args={rank: tuple(arguments) for rank in ranks},
        envs={rank: {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in ranks},
        logs_specs=DefaultLogsSpecs(os.devnull),
    )
    try:
        while not (result := running.wait(POLL_SECONDS, POLL_SECONDS)):
            pass
    except SignalException as received:
        running.close(received.sigval)
        # A rank with an error that users must fix has already printed it and sent STOP_AGENT_SIGNAL.
        sys.exit(1 if received.sigval == STOP_AGENT_SIGNAL else 128 + received.sigval)
    if not result.is_failed():
        return None
    return min(result.failures.values(), key=lambda failure: failure.timestamp)


def _loopback() -> str:
    """The name of the network interface that reaches this machine only."""
    names = {name for _, name in socket.if_nameindex()} & {"lo", "lo0"}
    if not names:
        raise RefrainError("this machine has no loopback interface: set runtime.processes: 1")
    return names.pop()
