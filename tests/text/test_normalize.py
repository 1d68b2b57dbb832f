import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.text.normalize import NORMALIZERS

TEXTS = st.text(alphabet=st.one_of(st.characters(codec="utf-8"), st.sampled_from("\r\n .aZΣİß_9分")))


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("none", "A b\r\n1", "A b\r\n1"),
        ("lyrics", "分开\n不分开\r\n唱\r", "分开 不分开 唱 "),
        ("lyrics", "a\n\nb", "a  b"),
        ("letters", "  The Time-Machine, 1895!\n\nby H. G. Wells ", "the time machine by h g wells"),
        ("letters", "Über_Äpfel 2x 分开", "über äpfel x 分开"),
        ("letters", "... 12", ""),
        ("letters", "İstanbul", "i\u0307stanbul"),
        ("letters", "cafe\u0301 x² ½", "cafe\u0301 x"),
        ("letters", "हिन्दी भाषा।", "हिन्दी भाषा"),
    ],
)
def test_known_answers(kind: str, text: str, expected: str) -> None:
    assert "".join(NORMALIZERS[kind].apply([text])) == expected


def test_letters_does_what_d2l_does_to_english() -> None:
    text = "THE TIME MACHINE\n\n[1898]\n  'It's against reason,' said Filby."
    assert "".join(NORMALIZERS["letters"].apply([text])) == re.sub("[^A-Za-z]+", " ", text).strip().lower()


@given(TEXTS, st.lists(st.integers(0, 30)), st.sampled_from(list(NORMALIZERS)))
def test_result_does_not_depend_on_where_chunks_end(text: str, sizes: list[int], kind: str) -> None:
    chunks, left = [], text
    for size in sizes:
        chunks.append(left[:size])
        left = left[size:]
    assert "".join(NORMALIZERS[kind].apply([*chunks, left])) == "".join(NORMALIZERS[kind].apply([text]))
