import logging
from pathlib import Path
from typing import Any

import httpx
import pytest

from flows.server import stage_log
from pipeline.training.progress_report import PROGRESS_FILE, ProgressReport, read_report, send_report

REPORT = ProgressReport(
    model="rnn",
    epoch=1,
    epochs=2,
    step=8,
    steps=16,
    train_perplexity=30.0,
    valid_perplexity=None,
    characters_per_second=1000.0,
    seconds=5.0,
    seconds_left=5.0,
)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, str | None]]:
    """Percentages and descriptions that reach the server."""
    shown: list[tuple[float, str | None]] = []

    def create(percent: float, key: str, description: str | None) -> str:
        assert key == "progress-train-rnn"
        shown.append((percent, description))
        return "id"

    monkeypatch.setattr(stage_log, "get_run_logger", logging.getLogger)
    monkeypatch.setattr(stage_log, "create_progress_artifact", create)
    monkeypatch.setattr(
        stage_log,
        "update_progress_artifact",
        lambda _, percent, description: shown.append((percent, description)),
    )
    monkeypatch.setattr(stage_log, "PROGRESS_SECONDS", 0)
    return shown


def send(variables: Any, monkeypatch: pytest.MonkeyPatch, report: ProgressReport) -> None:
    with monkeypatch.context() as patch:
        patch.setenv(PROGRESS_FILE, variables[PROGRESS_FILE])
        send_report(report)


def test_a_training_reports_to_the_flow_that_runs_it(
    shown: list[tuple[float, str | None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = stage_log.StageLog("train@rnn")
    with log.progress() as variables:
        log.write_line("a line before the first epoch")
        send(variables, monkeypatch, REPORT)
        log.write_line("any line")
        log.write_line("a line without news")
        folder = Path(variables[PROGRESS_FILE]).parent
        assert folder.stat().st_mode & 0o077 == 0, "nobody else can write there"
    assert shown == [
        (50, "rnn: epoch 1/2, perplexity 30, 1,000 characters/s, 00:05 elapsed, at most 00:05 left"),
        (100, None),
    ]
    assert not folder.exists()


@pytest.mark.parametrize("missing", ["", "/nowhere/report.json"])
def test_a_training_without_such_a_flow_reports_to_nobody(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setenv(PROGRESS_FILE, missing)
    send_report(REPORT)


@pytest.mark.usefixtures("shown")
def test_progress_that_the_server_does_not_take_is_a_warning_and_no_failure(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise httpx.ConnectError("no server")

    monkeypatch.setattr(stage_log, "create_progress_artifact", refuse)
    log = stage_log.StageLog("train@rnn")
    with log.progress() as variables:
        send(variables, monkeypatch, REPORT)
        log.write_line("any line")
    assert "progress is not shown: no server" in caplog.text


def test_a_perplexity_without_bounds_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = REPORT.model_copy(update={"train_perplexity": float("inf")})
    send({PROGRESS_FILE: str(tmp_path / "report.json")}, monkeypatch, report)
    assert read_report(tmp_path / "report.json") == report
    assert list(tmp_path.iterdir()) == [tmp_path / "report.json"]
