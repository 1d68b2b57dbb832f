"""Run a program: parse its arguments, set up logging, turn errors into exit statuses."""

import argparse
import io
import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import wraps
from pathlib import Path
from typing import Any

from pipeline.errors import EXIT_STATUS, RefrainError, first_line, is_for_user
from pipeline.locks import stage_lock
from pipeline.versions import check_versions


def run_program(
    main: Callable[..., Any],
    parser: argparse.ArgumentParser | None = None,
    arguments: Sequence[str] | None = None,
) -> None:
    """Call ``main`` with the parsed ``arguments`` by name; None means the command line's.

    An error that the user can fix prints one line to stderr and sets the exit status: 1, or 75 if it is
    transient. ``--debug`` shows the traceback instead.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may lack characters of the text
    parser = parser or argparse.ArgumentParser(description=sys.modules[main.__module__].__doc__)
    parser.add_argument("--debug", action="store_true", help="show the full traceback of an error")
    options = vars(parser.parse_args(arguments))
    debug = options.pop("debug")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.captureWarnings(True)
    warnings.simplefilter("default" if debug else "ignore")
    try:
        main(**options)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if debug or not is_for_user(error):
            raise
        print(f"error: {first_line(error)}", file=sys.stderr)
        sys.exit(error.exit_status if isinstance(error, RefrainError) else EXIT_STATUS)


def started_by_torchrun() -> bool:
    """Whether torchrun, or :mod:`pipeline.training.launch` in its place, started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def run_stage(main: Callable[..., None], of_a_model: bool = False) -> None:
    """Run a stage as a program, in one process at a time, with the pinned versions of packages only.

    With ``of_a_model``, its argument is the name of a model. Each stage checks the versions: DVC skips the
    stage `code` after an upgrade that changes nothing in the project.
    """
    stage = Path(sys.modules[main.__module__].__file__ or "").stem

    @wraps(main)
    def checked(**arguments: Any) -> None:
        check_versions()
        with nullcontext() if started_by_torchrun() else stage_lock("@".join([stage, *arguments.values()])):
            main(**arguments)

    parser = argparse.ArgumentParser(description=sys.modules[main.__module__].__doc__)
    if of_a_model:
        name = parser.add_mutually_exclusive_group(required=True)
        help_of_name = "a name under `models` in params.yaml"
        name.add_argument("model", nargs="?", default=argparse.SUPPRESS, help=help_of_name)
        # DVC quotes the values of options only.
        name.add_argument("--model", default=argparse.SUPPRESS, help="the same, as DVC's commands give it")
    run_program(checked, parser)
