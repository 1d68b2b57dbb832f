"""How a program of ours starts and ends."""

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

from pipeline.errors import MayPassError, can_be_mended, first_line


def run(main: Callable[..., Any], parser: argparse.ArgumentParser | None = None) -> None:
    """Call ``main`` with the command line's arguments by name.

    What the user can mend ends in one line on stderr and exit status 1 (75 where another try may help);
    ``--debug`` shows the traceback.
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
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if debug or not can_be_mended(error):
            raise
        print(f"error: {first_line(error)}", file=sys.stderr)
        sys.exit(os.EX_TEMPFAIL if isinstance(error, MayPassError) else 1)
