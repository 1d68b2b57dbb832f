"""What `refrain show` prints."""

from pipeline.reporting.show import sample_lines


def test_samples_stand_under_their_own_decoding() -> None:
    greedy = {"temperature": 0.0, "top_k": None, "top_p": None}
    warm = {**greedy, "temperature": 0.8}
    rows = [
        {"model": model, "prefix": "a", "text": f"{model}{i}", **decoding}
        for model in ("rnn", "gru")
        for i, decoding in enumerate((greedy, warm, warm))
    ]
    lines = [line.plain for line in sample_lines(rows)]
    assert lines[:4] == ["rnn, greedy:", "  arnn0", "rnn, temperature 0.8:", "  arnn1"]
    assert len(lines) == 8
