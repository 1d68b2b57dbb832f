import logging

import httpx
import pytest

from flows.server import stage_log
from pipeline.training.progress_line import ProgressLine


def test_progress_that_the_server_does_not_take_is_a_warning_and_no_failure(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise httpx.ConnectError("no server")

    monkeypatch.setattr(stage_log, "get_run_logger", logging.getLogger)
    monkeypatch.setattr(stage_log, "create_progress_artifact", refuse)
    log = stage_log.StageLog("train@rnn")
    log.write_line(str(ProgressLine("rnn", 1, 2, 30.0, None, 1000.0)))
    log.finish()
    assert "progress is not shown: no server" in caplog.text
