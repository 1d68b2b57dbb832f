"""Parameters in messages, as params.yaml has them."""

from datetime import date

from pipeline.params.shown import shown_change, shown_value


def test_values_are_yaml() -> None:
    values = [None, True, 0.5, 3, "lyrics", ["分开", "a"], [{"temperature": 0.0}], date(2001, 2, 3)]
    shown = ["null", "true", "0.5", "3", "lyrics", "[分开, a]", "[{temperature: 0.0}]", '"2001-02-03"']
    assert list(map(shown_value, values)) == shown


def test_a_change_names_what_is_not_set() -> None:
    assert shown_change("train.clip", {"train.clip": None}, {"train.clip": 1.0}) == "train.clip: null -> 1.0"
    assert shown_change("train.clip", {}, {"train.clip": None}) == "train.clip: default -> null"
