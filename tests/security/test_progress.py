"""What a text looks like does not reach the progress that a flow shows."""

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.server import stage_log
from pipeline.training.progress_report import PROGRESS_FILE, read_report

LINES = [
    "rnn: epoch 1/2, perplexity abc, 5 characters/s",
    "x: epoch 1/0, perplexity 1, 5 characters/s",
    "x: epoch 7/1, perplexity 1, validation nan, 5 characters/s",
]

REPORTS = [
    b"",
    b"null",
    b'"x"',
    b"\xff\xfe",
    b"[" * 900,
    b'{"model": "x", "epoch": 1, "epochs": 0}',
    *(
        b'{"model": "%b", "epoch": %b, "epochs": %b, "train_perplexity": %b, "valid_perplexity": null, '
        b'"step": 1, "steps": 1, "characters_per_second": 1, "seconds": 1, "seconds_left": 1}' % fields
        for fields in [
            (b"x", b"1", b"0", b"1"),
            (b"x", b"0", b"0", b"1"),
            (b"x", b"2", b"1", b"1"),
            (b"x", b"1", b"1", b'"abc"'),
            (b"x", b"1", b"1", b"NaN"),
            (b"x\\u001b]0;A", b"1", b"1", b"1"),
            (b"x" * 2000, b"1", b"1", b"1"),
        ]
    ),
]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> stage_log.StageLog:
    """A stage's log where nothing may reach the server."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("this is not a training's progress")

    monkeypatch.setattr(stage_log, "get_run_logger", logging.getLogger)
    monkeypatch.setattr(stage_log, "create_progress_artifact", refuse)
    return stage_log.StageLog("train@rnn")


def test_lines_that_look_like_progress_are_only_logged(log: stage_log.StageLog) -> None:
    with log.progress():
        for line in LINES:
            log.write_line(line)


@pytest.mark.parametrize("content", REPORTS)
def test_a_wrong_report_is_ignored(log: stage_log.StageLog, content: bytes) -> None:
    with log.progress() as variables:
        Path(variables[PROGRESS_FILE]).write_bytes(content)
        log.write_line("any line")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_report_or_none(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("report") / "report.json"
    path.write_bytes(content)
    read_report(path)
