"""The DVC stages, one module each, and how a program of ours starts and ends."""

import argparse
import logging
import sys
import warnings
from collections.abc import Callable
from typing import Any

from pipeline.errors import RefrainError


def run(main: Callable[..., Any], parser: argparse.ArgumentParser | None = None) -> None:
    """Call ``main`` with the command line's arguments by name, as a program.

    What the user can mend ends in one line on stderr and exit status 1; ``--debug`` shows the traceback.
    """
    parser = parser or argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    arguments = vars(parser.parse_args())
    debug = arguments.pop("debug")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.captureWarnings(True)
    warnings.simplefilter("default" if debug else "ignore")
    try:
        main(**arguments)
    except RefrainError as error:
        if debug:
            raise
        sys.exit(f"error: {error}")
    except OSError as error:  # a full disk, no permission: the system's own words are clear
        if debug:
            raise
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
