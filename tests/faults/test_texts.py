"""Odd texts: each ends in the right result or in one line that says what to do (docs/reliability.md)."""

import sys
import time

import pytest

from tests.support.faults import one_line
from tests.support.project import Project

pytestmark = [pytest.mark.slow, pytest.mark.faults]

WHOLE = "max_chars: 3000\n"
PREFIXES = "[分开, 不分开]"

GOOD_TEXTS = {
    "all one character": b"a" * 3000,
    "NUL": b"ab\0" * 1000,
    "combining marks": ("a\u0301e\u0308\u0323" * 600).encode(),
    "emoji beyond the BMP": ("a😀👩‍👩‍👧 " * 400).encode(),
    "no line break": b"abcd " * 2_000_000,
    "CRLF": b"ab cd\r\n" * 500,
    "BOM": b"\xef\xbb\xbf" + b"abc " * 800,
}

BAD_TEXTS = {
    "empty": (b"", "no text is left after reading 1 file(s)"),
    "one character": (b"a", "the training split has 1 characters and needs 16: lower train.batch_size"),
    "lone surrogates": (b"abc" * 99 + b"\xed\xa0\x80", "byte 0xed at offset 297 is not UTF-8"),
    "cut in the middle of a character": (b"abc" * 99 + "分".encode()[:2], "byte 0xe5 at offset 297"),
}


def set_text(project: Project, content: bytes) -> None:
    (project.folder / "data/raw/lyrics.txt").write_bytes(content)


@pytest.fixture
def with_ascii(again: Project) -> Project:
    """A finished project that asks for prefixes which every text here has."""
    text = (again.folder / "params.yaml").read_text(encoding="utf-8")
    text = text.replace(PREFIXES, "[a]").replace("[分开]", "[a]").replace(WHOLE, "max_chars: null\n")
    text = text.replace("epochs: 4", "epochs: 1")
    (again.folder / "params.yaml").write_text(text, encoding="utf-8")
    return again


@pytest.mark.parametrize("name", GOOD_TEXTS)
def test_odd_text_goes_through_all_stages(with_ascii: Project, name: str) -> None:
    set_text(with_ascii, GOOD_TEXTS[name])
    if name == "no line break":  # ten megabytes: texts only
        with_ascii.run("dvc", "repro", "encode_corpus")
        return
    with_ascii.run("dvc", "repro")
    assert "up to date" in with_ascii.run("dvc", "status").stdout


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_text_that_cannot_be_used_is_one_line(with_ascii: Project, name: str) -> None:
    content, message = BAD_TEXTS[name]
    before = (with_ascii.folder / "data/raw/lyrics.txt").read_bytes()
    set_text(with_ascii, content)
    assert message in one_line(with_ascii.run("dvc", "repro", check=False))
    set_text(with_ascii, before)
    with_ascii.edit("[a]\n  length: 20", "[分]\n  length: 20")
    with_ascii.edit("prefixes: [a], length: 10", "prefixes: [分], length: 10")
    with_ascii.run("dvc", "repro")


def test_text_replaced_while_it_is_read_never_gives_a_mixture(with_ascii: Project) -> None:
    """At ten moments of the stage that encodes: shards are of the text that was counted, or not written."""
    old, new = b"abcd " * 4_000_000, b"dcba " * 4_000_000
    set_text(with_ascii, old)
    with_ascii.stage("build_vocab")
    with_ascii.stage("encode_corpus")
    expected = with_ascii.hashes("encoded")
    noticed = 0
    for moment in range(10):
        set_text(with_ascii, old)
        process = with_ascii.start(sys.executable, "-m", "pipeline.stages.encode_corpus")
        time.sleep(0.15 + moment * 0.1)
        replacement = with_ascii.folder / "replacement"
        replacement.write_bytes(new)
        replacement.replace(with_ascii.folder / "data/raw/lyrics.txt")
        output, _ = process.communicate(timeout=60)
        noticed += "changed while the pipeline ran: run `dvc repro` again" in output
        assert process.returncode in (0, 1), output
        assert with_ascii.hashes("encoded") == expected
    assert noticed, "at none of the moments was the text still to be read"
