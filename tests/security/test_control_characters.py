"""Whatever a text contains, nothing that is printed controls the reader's terminal."""

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup
from rich.console import Console

from pipeline import cli
from pipeline.commands.show import metrics_table, sample_lines
from pipeline.errors import RefrainError, TransientError, first_line
from pipeline.params.load import BASELINES, check_params
from pipeline.reporting.cards import model_card
from pipeline.reporting.held_out import Character, HeldOutText
from pipeline.reporting.held_out import shown as alone
from pipeline.reporting.page import Page, Sample, render
from pipeline.reporting.page.embedded import Embedded
from pipeline.reporting.samples import samples_markdown
from pipeline.stages import build_vocab, encode_corpus
from pipeline.stages.report import frequent_characters
from pipeline.text.files import find_files
from pipeline.text.splits import Splits
from pipeline.text.vocab import Vocab, VocabFile
from pipeline.training.progress import Progress
from pipeline.training.state import Evaluation
from pipeline.visible import visible
from tests.support.project import Project

TITLE = "\x1b]0;A\x07"
"""Sets a terminal's title; colorama, through which tqdm writes, fails on it where there is no terminal."""

HOSTILE = f"{TITLE}\x1b[2J\x9b31m\x7f\x00\r\u202e\u2066\u200f\u061c\u2028\u2029\ufeff\ud800\U000e0041"

HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def hidden(shown: str, allowed: str = "\n") -> set[str]:
    """Characters of a printed text that a terminal does not simply draw."""
    return {char for char in shown if unicodedata.category(char) in HIDDEN} - set(allowed)


@given(st.text(st.characters()))
def test_no_character_that_is_shown_controls_anything(text: str) -> None:
    once = visible(text)
    drawn = (
        "\u200c\u200d\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
    )
    assert not hidden(once, drawn)
    assert visible(once) == once
    assert not hidden(visible(text, keep_lines=True), drawn + "\n\t")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (TITLE, "␛]0;A␇"),
        ("a\nb\tc\rd", "a↵b⇥c←d"),
        ("\x00\x7f\x85\x9b", "␀␡<U+0085><U+009B>"),
        ("\u202e\u2066\u2028\ufeff\ud800", "<U+202E><U+2066><U+2028><U+FEFF><U+D800>"),
        ("分开 é 👩‍👩‍👧 می‌خواهم", "分开 é 👩‍👩‍👧 می‌خواهم"),
    ],
)
def test_controls_are_symbols_and_texts_are_as_they_are(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_lines_stay_where_users_pipe_them() -> None:
    assert visible("a\n\tb\r\x1b", keep_lines=True) == "a\n\tb←␛"


@pytest.mark.parametrize("kind", [RefrainError, TransientError, OSError])
def test_errors_quote_texts_in_one_safe_line(kind: type[Exception]) -> None:
    line = first_line(kind(f"file {HOSTILE} is wrong"))
    assert not hidden(line, allowed="")
    if kind is not OSError:
        assert line.endswith("is wrong"), "and completely"


def test_names_of_files_are_shown(tmp_path: Path) -> None:
    (tmp_path / f"{TITLE}.zip").write_bytes(b"")
    for path in (tmp_path, tmp_path / f"{TITLE}.zip", tmp_path / f"{TITLE}\n.txt"):
        with pytest.raises(RefrainError, match="␛]0;A␇") as caught:
            find_files(str(path), None)
        assert not hidden(str(caught.value), allowed="")


def test_a_trainings_log_shows_samples_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Also where standard error is no terminal: the log of a flow, a file."""
    progress = Progress("rnn", 1, [TITLE])
    progress.start(1, 0)
    progress.evaluation(Evaluation(1, 1, 2.0, None, (f"x\nerror: y\n{HOSTILE}",)))
    progress.close()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("  - ␛]0;A␇x↵error: y↵␛")
    assert not hidden("".join(lines))


def row(text: str) -> dict[str, object]:
    return {"model": text, "prefix": text, "text": text, "temperature": 0.0, "top_k": None, "top_p": None}


def test_show_prints_symbols(capsys: pytest.CaptureFixture[str]) -> None:
    figures = {"train": {"perplexity": 1.0, "bits_per_character": 1.0}}
    name = f"[link=https://example.org]{HOSTILE}"
    console = Console()
    console.print(metrics_table({name: figures, **dict.fromkeys(BASELINES, figures)}))
    for line in sample_lines([row(f"{HOSTILE}\n")]):
        console.print(line, soft_wrap=True)
    shown = capsys.readouterr().out
    assert not hidden(shown)
    assert "[link=https" in shown, "names are no markup"


def test_markdown_is_one_line_a_sample_and_contains_only_text() -> None:
    hostile = f"```\r# x\n<script>alert(1)</script> | [a](javascript:b) ![c](d){HOSTILE}"
    recited = {"longest": 3, "share": 0.5}
    shown = samples_markdown([row(hostile) | {"model": "rnn", "recited": recited}], None)
    assert not hidden(shown)
    (line,) = [line for line in shown.splitlines() if line.startswith("- ")]
    for unescaped in ("<script", "](", "``", "|"):
        assert not any(
            line[place - 1] != "\\" for place in range(len(line)) if line.startswith(unescaped, place)
        )


def test_a_card_contains_only_text() -> None:
    hostile = f"---\n# x\n<script>alert(1)</script> | [a](javascript:b){HOSTILE}".replace(
        "\ud800", ""
    )  # no valid UTF-8
    sections = {"vocab": {}, "train": {}, "corpus": {"path": hostile}}
    models, generate = {"gru": {"cell": "gru"}}, {"prefixes": [hostile]}
    params = check_params({**sections, "seed": 1, "models": models, "generate": generate})
    figures = {"test": {"perplexity": 2.0}, "recited": {hostile: {"longest": 1.0, "share": None}}}
    metrics = {"gru": figures, "uniform": {"test": {"perplexity": 3.0}}}
    card = model_card("gru", params, "", metrics, [], {"text": hostile}, {hostile: hostile})
    assert not hidden(card)
    assert [line for line in card.split("\n") if line == "---"] == ["---", "---"], "those of the metadata"
    _, body = card.split("\n---\n")
    assert "<script>" not in body.partition("```yaml")[0] + body.rpartition("```")[2]


def test_the_page_shows_texts_as_text() -> None:
    hostile = f"</td><script>alert(1)</script>\n{HOSTILE}"
    page = Page(
        rows=[],
        splits=["train"],
        models=["rnn"],
        curves_svg="<svg></svg>",
        embedded=Embedded(Markup("{}"), ["rnn"], "", [hostile]),
        held_out=HeldOutText(
            "valid", [0], [1.0], {hostile: [Character(alone(c), False, 1, "1 nat") for c in hostile]}
        ),
        samples=[(hostile, "greedy", {"rnn": Sample(hostile, hostile)})],
        about_recitation=hostile,
        text_facts={"text": hostile},
        frequent=frequent_characters(
            VocabFile(Vocab(tuple("\x1b\u202e <"), (4, 3, 2, 1)), "", (), Splits((), (), {})),
        ),
        provenance={hostile: hostile},
        params_yaml=hostile,
        results=hostile,
    )
    shown = render(page)
    assert not hidden(shown)
    assert "<script>alert" not in shown
    assert "<svg></svg>" in shown
    for symbol in ("␛", "&lt;U+202E&gt;", "␣"):
        assert f"<code>{symbol}</code>" in shown
    shown.encode()


@pytest.mark.slow
def test_a_hostile_text_goes_through_training_and_writing(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (project.folder / "params.yaml").read_text(encoding="utf-8")
    text = text.replace("prefixes: [分开]", 'prefixes: ["\\e]0;A\\a"]').replace(
        "[分开, 不分开]", '["\\e]0;A\\a"]'
    )
    text = text.replace("normalize: lyrics", "normalize: none").replace("epochs: 4", "epochs: 2")
    (project.folder / "params.yaml").write_text(text, encoding="utf-8")
    (project.folder / "data/raw/lyrics.txt").write_bytes(f"{TITLE}\n\u202e ".encode() * 400)
    monkeypatch.chdir(project.folder)
    build_vocab.main()
    encode_corpus.main()
    trained = project.stage("train", "rnn")
    assert "  - ␛]0;A␇" in trained.stderr
    assert not hidden(trained.stderr)
    first = Path("reports/train/rnn/samples.jsonl").read_text(encoding="utf-8").split("\n")[0]
    assert json.loads(first)["prefix"] == TITLE, "files keep the text"
    monkeypatch.setattr("sys.argv", ["refrain", "write", "--model", "rnn", "--prefix", TITLE])
    cli.main()
    written = capsys.readouterr().out
    assert written.startswith("␛]0;A␇")
    assert not hidden(written)
