import subprocess
import sys

import pytest

from flows.server.states import completed, error_of, states_from_errors
from flows.workspace.programs import Stopped
from pipeline.errors import RefrainError, TransientError


@pytest.mark.parametrize("error", [RefrainError("no text"), TransientError("no connection")])
def test_an_error_becomes_a_failed_state_and_an_error_again(error: RefrainError) -> None:
    @states_from_errors
    def fails() -> None:
        raise error

    state = fails()
    assert state is not None
    assert state.is_failed()
    assert state.message == str(error)
    assert type(error_of(state)) is type(error)
    assert str(error_of(state)) == str(error)
    with pytest.raises(type(error)) as caught:
        state.result()
    assert caught.value is error


def test_a_stopped_run_is_cancelled() -> None:
    @states_from_errors
    def is_stopped() -> None:
        raise Stopped

    state = is_stopped()
    assert state is not None
    assert state.is_cancelled()
    with pytest.raises(Stopped):
        state.result()


def test_results_and_mistakes_of_ours_pass() -> None:
    assert states_from_errors(len)("abc") == 3
    with pytest.raises(ZeroDivisionError):
        states_from_errors(divmod)(1, 0)


def test_a_run_says_what_it_did() -> None:
    assert completed([]).name == "Cached"
    assert completed(["code", "report"]).message == "brought up to date: code, report"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("pipeline.errors.RefrainError('gru is 7% worse')", "the run failed: gru is 7% worse"),
        ("flows.workspace.programs.Stopped()", "the run was stopped"),
    ],
)
def test_a_workers_terminal_has_one_line_for_a_failed_run(error: str, line: str) -> None:
    program = f"""
import flows.server.states, flows.workspace.programs, pipeline.errors
from prefect.engine import handle_engine_signals  # as a worker's process begins
with handle_engine_signals():
    raise {error}
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    (shown,) = result.stderr.splitlines()
    assert shown.endswith(line)
