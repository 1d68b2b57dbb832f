"""DVC's command line, also in folders whose path has other characters than ASCII.

DVC writes such paths to its settings through ConfigObj, which encodes them as ASCII unless told otherwise.
"""

import sys
from functools import partialmethod

from configobj import ConfigObj


def allow_any_path() -> None:
    """Have ConfigObj write UTF-8 in this process."""
    ConfigObj.__init__ = partialmethod(ConfigObj.__init__, default_encoding="utf-8")


def main() -> None:
    """Run the ``dvc`` command."""
    allow_any_path()
    from dvc.cli import main as run_dvc

    sys.exit(run_dvc(sys.argv[1:]))


if __name__ == "__main__":
    main()
