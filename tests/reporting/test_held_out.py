import math
from pathlib import Path

import numpy as np
import pytest

from pipeline import artifacts
from pipeline.errors import RefrainError
from pipeline.evaluation.losses import CharacterLosses, write_losses
from pipeline.reporting.held_out import (
    SHOWN_CHARACTERS,
    Character,
    held_out_text,
    loss_in_words,
    scale,
    shown,
    with_losses,
)
from pipeline.text.vocab import read_vocab
from tests.support.project import Project


def losses(*nats: float) -> CharacterLosses:
    return CharacterLosses(np.array(nats, np.float32), np.zeros(len(nats), np.bool_), "")


@pytest.mark.parametrize(
    ("probability", "words"),
    [
        (1.0, "0.00 nats, 100%"),
        (0.5, "0.69 nats, 50%"),
        (0.0403, "3.21 nats, 4.0%"),
        (0.00123, "6.70 nats, 0.12%"),
        (0.00012, "9.03 nats, 0.012%"),
        (1e-6, "13.82 nats, less than 0.01%"),
    ],
)
def test_a_loss_in_words(probability: float, words: str) -> None:
    assert loss_in_words(-math.log(probability)) == words


def test_the_scale_ends_at_a_blind_guess() -> None:
    assert scale(64) == pytest.approx([math.log(2), *(math.log(2**step) for step in range(2, 7))], rel=1e-5)
    assert scale(1) == [0.0] * 6


def test_each_character_has_the_loss_of_its_own_and_the_first_has_none() -> None:
    plain = [Character(char, False) for char in "abc"]
    found = with_losses(plain, losses(0.5, 1.0, 6.5, 9.0), scale(64))
    assert [(char.shown, char.step, char.loss) for char in found] == [
        ("a", None, ""),
        ("b", 0, "0.50 nats, 61%"),
        ("c", 1, "1.00 nats, 37%"),
    ]
    two = with_losses(plain[:2], losses(math.log(64) + 0.01), scale(64))
    assert two[1].step == 6, "worse than a blind guess"
    assert with_losses(plain[:2], losses(0.0), scale(1))[1].step == 0, "certain"


@pytest.mark.parametrize(
    ("char", "visibly"),
    [
        ("分", "分"),
        (" ", " "),
        ("\n", "↵\n"),
        ("\t", "⇥"),
        ("\u202e", "<U+202E>"),
        ("\u200d", "<U+200D>"),
        ("<unk>", "<unk>"),
    ],
)
def test_a_character_that_stands_alone_can_be_seen(char: str, visibly: str) -> None:
    assert shown(char) == visibly


@pytest.mark.slow
def test_the_start_of_the_validation_text(again: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(again.folder)
    stored = read_vocab(artifacts.VOCAB)
    found = held_out_text(["rnn", "gru"], stored)
    assert found is not None
    assert found.split == "valid"
    rnn, gru = (found.by_model[model] for model in ("rnn", "gru"))
    assert [char.shown for char in rnn] == [char.shown for char in gru]
    assert [char.loss for char in rnn] != [char.loss for char in gru]
    assert 200 < len(gru) <= SHOWN_CHARACTERS, "the validation split is that short"
    text = "".join(char.shown for char in gru)
    lyrics = Path("data/raw/lyrics.txt").read_text(encoding="utf-8").replace("\n", " ")
    assert all(known in lyrics for known in text.split("<unk>"))
    assert all(char.is_unk == (char.shown == "<unk>") for char in gru)
    write_losses(artifacts.losses_path("gru", "valid"), losses(1.0))
    with pytest.raises(
        RefrainError, match=r"gru/valid\.parquet has the losses of another text: run `dvc repro`"
    ):
        held_out_text(["rnn", "gru"], stored)
