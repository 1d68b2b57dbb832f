"""What a training says at its end."""

import logging

import pytest
import torch

from pipeline.training.run import log_outcome
from tests.support.training import Recorder, trainer

IDS = torch.randint(7, (203,), generator=torch.Generator().manual_seed(3))


def said_by(caplog: pytest.LogCaptureFixture, valid: list[float], **changes: object) -> list[str]:
    """The lines after a training of 18 steps with these validation perplexities."""
    work = trainer(IDS, Recorder(valid), **changes)
    work.run()
    with caplog.at_level(logging.INFO):
        log_outcome("gru", work)
    return caplog.messages


def test_it_says_which_step_is_kept_and_why_it_stopped(caplog: pytest.LogCaptureFixture) -> None:
    said = said_by(caplog, [5.0, 4.5, 4.75, 4.5], keep="best", patience=2, evaluate_every=3)
    assert said == ["gru: stopped after step 12 of 18: out of patience", "gru: kept step 6, validation 4.5"]


def test_one_validation_leaves_no_choice(caplog: pytest.LogCaptureFixture) -> None:
    said = said_by(caplog, [5.0], keep="best", evaluate_every=50)
    assert said[0] == "gru: kept step 18, validation 5"
    assert said[1].endswith("had no choice: lower train.evaluate_every (50 steps)")


def test_the_last_weights_need_no_word(caplog: pytest.LogCaptureFixture) -> None:
    assert said_by(caplog, [5.0], keep="last", evaluate_every=50) == []
