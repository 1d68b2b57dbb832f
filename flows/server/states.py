"""Exceptions as Prefect's states, and back. Only this module translates them."""

import logging
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, StateDetails
from prefect.states import Cancelled, Completed, Failed
from prefect.tasks import exponential_backoff

from flows.workspace.programs import Stopped
from pipeline.errors import RefrainError, TransientError

P = ParamSpec("P")
R = TypeVar("R")


def states_from_errors(function: Callable[P, R]) -> Callable[P, R | State[Any]]:
    """Make a flow's or task's function return a state instead of raising errors that the user can fix.

    ``Failed``, with the error's own line as its message, or ``Cancelled`` where the run was stopped. The
    state's ``result()`` raises the error again.
    """

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R | State[Any]:
        try:
            return function(*args, **kwargs)
        except Stopped as error:
            return Cancelled(message="stopped; the next run goes on from the last checkpoint", data=error)
        except RefrainError as error:
            details = StateDetails(retriable=isinstance(error, TransientError))
            return Failed(message=str(error), data=error, state_details=details)

    return wrapper


def _in_one_line(record: logging.LogRecord) -> bool:
    """Leave out the traceback of an error that the user can fix: the run's state has its line."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, RefrainError | Stopped):
        record.exc_info, record.args = None, ()
        record.msg = "the run was stopped" if isinstance(error, Stopped) else f"the run failed: {error}"
    return True


# Prefect logs what a run on a worker raises as unexpected, on the worker's terminal, also for a Failed state.
logging.getLogger("prefect.engine").addFilter(_in_one_line)


def error_of(state: State[Any]) -> RefrainError:
    """The error of a run that did not complete: a transient one if another try may help."""
    is_transient = state.is_crashed() or bool(state.state_details.retriable)
    return (TransientError if is_transient else RefrainError)(state.message or f"it ended as {state.name}")


def completed(updated: Sequence[str]) -> State[Any]:
    """The state of a flow run that has brought these stages up to date."""
    if not updated:
        return Completed(name="Cached", message="nothing has changed")
    return Completed(message=f"brought up to date: {', '.join(updated)}")


def _is_transient(_task: object, _run: object, state: State[Any]) -> bool:
    return bool(state.state_details.retriable)


TASK_OPTIONS: dict[str, Any] = {
    "cache_policy": NO_CACHE,
    "retries": 3,
    "retry_delay_seconds": exponential_backoff(2),
    "retry_jitter_factor": 1,
    "retry_condition_fn": _is_transient,
}
"""Options of all tasks. Prefect caches nothing, because DVC does, and retries only transient errors."""


def step(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function a task of the flow that calls it. Its result and its errors reach the caller."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        run = task(name=name, **TASK_OPTIONS)(states_from_errors(function))

        @wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            return cast(R, run(*args, **kwargs, return_state=True).result())

        return wrapper

    return decorate
