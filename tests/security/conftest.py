"""Fixtures for tests that attack."""

import signal
from collections.abc import Iterator
from types import FrameType

import pytest


@pytest.fixture
def _nothing_waits() -> Iterator[None]:
    """What would wait for ever is an error."""

    def fail(_: int, __: FrameType | None) -> None:
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(300)  # the machine may be busy
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
