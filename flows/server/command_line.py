"""Flows as programs: ``python -m flows.reproduce``."""

import argparse
from collections.abc import Callable
from typing import Any

from prefect.settings import PREFECT_API_URL

from flows.server.reach import check_server
from flows.server.temporary import start_temporary_server
from pipeline.program import run_program


def run_as_program(flow: Callable[..., object], parser: argparse.ArgumentParser) -> None:
    """Run a flow with the command line's arguments, and raise its error if it fails.

    It runs on the server that PREFECT_API_URL names, else on one of its own.
    """

    def main(**arguments: Any) -> None:
        start_temporary_server()
        check_server()
        flow(**arguments)

    run_program(main, parser)


def add_pool_option(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--pool LABEL=POOL``, which gives the mapping ``pools``."""

    class AddPool(argparse.Action):
        def __call__(self, _: object, namespace: argparse.Namespace, value: Any, *__: object) -> None:
            key, equals, pool = value.partition("=")
            if not (key and equals and pool):
                parser.error(f"--pool {value}: it should be LABEL=POOL")
            if not PREFECT_API_URL.value():
                parser.error("--pool: set PREFECT_API_URL to the server that the pools' workers ask")
            namespace.pools = {**(namespace.pools or {}), key: pool}

    text = "run stages of this label or name on that work pool"
    parser.add_argument("--pool", action=AddPool, dest="pools", metavar="LABEL=POOL", help=text)
