from typing import Any

from pipeline.evaluation.runs import Run
from pipeline.reporting.runs import run_lines

COMMIT = "0123456789abcdef"


def figures(valid: float, **ends: float) -> dict[str, dict[str, Any]]:
    return {"valid": {"perplexity": valid, **{f"perplexity_{name}": end for name, end in ends.items()}}}


def shown(*runs: Run) -> list[str]:
    return [line.plain for line in run_lines(runs)]


def test_by_hand() -> None:
    gru = figures(118.942, low=89.5586, high=157.965)
    gru["test"] = {"perplexity": 127.815}
    assert shown(
        Run("workspace", "workspace", COMMIT, {}, {"gru": gru}),
        Run("commit", "main", COMMIT, {}, {"gru": gru}),
        Run("commit", COMMIT[:7], COMMIT, {}, {}),
        Run(
            "experiment",
            "wider",
            COMMIT,
            {
                "parameters": ["seed: 1 -> 2", "train.epochs: 1 -> 3"],
                "code": ["train"],
                "trained on": ["gru"],
            },
            {"gru": figures(9.0), "lstm_512": figures(12345.6)},
        ),
        Run("failed", "broken", COMMIT, {"parameters": ["seed: 1 -> 2"]}, {}),
    ) == [
        "                          valid   test",
        "workspace (nothing changed)",
        "  gru       118.9 (89.6 to 158)  127.8",
        "main, 0123456",
        "  gru       118.9 (89.6 to 158)  127.8",
        "0123456",
        "wider (seed: 1 -> 2; train.epochs: 1 -> 3; code)",
        "  gru                         9",
        "  lstm_512               12,346",
        "broken, failed (seed: 1 -> 2)",
    ]


def test_two_models_fit_into_100_columns() -> None:
    wide = figures(1234567.8, low=1234567.8, high=2345678.9)
    wide["test"] = wide["valid"]
    lines = shown(Run("commit", "main", COMMIT, {}, {"a_model_with_a_long_name": wide, "gru": wide}))
    assert max(map(len, lines)) <= 100


def test_many_changes_are_cut() -> None:
    changes = {"parameters": [f"p{i}: 0 -> 1" for i in range(11)], "text": ["the corpus"]}
    (_, heading) = shown(Run("queued", "x", COMMIT, changes, {}))
    assert heading.startswith("x, queued (p0: 0 -> 1; ")
    assert heading.endswith("; p7: 0 -> 1; and 4 more)")


def test_names_cannot_control_the_terminal() -> None:
    lines = shown(
        Run("experiment", "a\x1b[2J", COMMIT, {"parameters": ["corpus.files: \u202ea -> b"]}, {"x\x07": {}})
    )
    assert lines[1:] == ["a␛[2J (corpus.files: <U+202E>a -> b)", "  x␇"]
