"""Run a program: parse its arguments, set up logging, turn errors into exit statuses."""

import argparse
import logging
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from pipeline.errors import EXIT_STATUS, RefrainError, first_line, is_for_user


def run_program(
    main: Callable[..., Any],
    parser: argparse.ArgumentParser | None = None,
    arguments: Sequence[str] | None = None,
) -> None:
    """Call ``main`` with the parsed ``arguments`` by name; None means the command line's.

    An error that the user can fix prints one line to stderr and sets the exit status: 1, or 75 if it is
    transient. ``--debug`` shows the traceback instead.
    """
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
