"""Starts a training on several processes of this machine, as torchrun does."""

import logging
import os
import signal
import sys

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from pipeline.device import CORES
from pipeline.errors import RefrainError
from pipeline.training.ranks import GIVE_UP

RESTARTS = 3


def launch_processes(processes: int, threads: int | None, *arguments: str) -> None:
    """Run ``python arguments`` in several processes; a signal that ends them ends this process, too.

    PyTorch's elastic agent starts all of them again if one dies. Raises :class:`RefrainError` if that happens
    more than :data:`RESTARTS` times.
    """
    # Otherwise each process would take all cores; a store that survives a restart would hand out the
    # addresses of dead processes (pytorch/pytorch#135712); and the agent would log more than users need.
    os.environ["OMP_NUM_THREADS"] = str(max(1, (threads or CORES) // processes))
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    logging.disable(logging.WARNING)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id="refrain",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=RESTARTS,
        monitor_interval=0.2,
    )
    try:
        elastic_launch(config, sys.executable)(*arguments)
    except SignalException as received:
        # A rank that met an error which people must mend has said so, and sent GIVE_UP.
        sys.exit(1 if received.sigval == GIVE_UP else 128 + received.sigval)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        how = (
            f"by {signal.Signals(-failure.exitcode).name}"
            if failure.exitcode < 0
            else f"with status {failure.exitcode}"
        )
        raise RefrainError(
            f"process {rank} of the training died {RESTARTS + 1} times, the last time {how}: see whether "
            "memory runs out, or set runtime.processes: 1"
        ) from None
