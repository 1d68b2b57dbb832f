"""Hostile YAML: one short line that names the file and the line, and little memory, whatever is in it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.commands import use
from pipeline.errors import RefrainError
from pipeline.params.load import check_params, load_params
from pipeline.params.recipes import read_overlay
from pipeline.params.yaml import MAX_BYTES, parse_yaml
from pipeline.text.catalog import load_catalog
from tests.support.project import PARAMS, Project

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
MERGED = "a0: &a0 {x0: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 12)
)


def refused(text: str) -> str:
    """The message of the error that a parameters file with this text is."""
    with pytest.raises(RefrainError) as caught:
        check_params(parse_yaml(text, "params.yaml"))
    message = str(caught.value)
    assert message.startswith("params.yaml")
    assert message.isprintable()
    assert len(message) < 2200
    return message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "line 5: not valid YAML: more than 20,000 values, with those that aliases repeat"),
        (MERGED, "more than 20,000 values"),
        ("seed: &a [*a]", "line 1: not valid YAML: alias 'a' names nothing that is complete"),
        ("x: 1\n" + "y: " + "[" * 5000 + "]" * 5000, "line 2: not valid YAML: nested deeper than 50 levels"),
        ("{a: " * 5000, "nested deeper than 50 levels"),
        ("- " * 5000, "nested deeper than 50 levels"),
        ("x: [" + "0, " * 200_000 + "]", "more than 20,000 values"),
        (f"seed: {'9' * 5000}", "line 1: not valid YAML: a number of more than 100 characters: 99"),
        (f"seed: 0x{'f' * 500_000}", "a number of more than 100 characters"),
        (f"seed: {'9' * MAX_BYTES}", "longer than 1,048,576 bytes"),
        ("a: 1\nseed: 2001-02-30", "line 2: not valid YAML: 2001-02-30 is a date: put it into quotes"),
        ("seed: 2001-02-03 10:20:99", "is a date"),
        ('seed: !!int "x"', "line 1: not valid YAML: 'x' is no int"),
        ("seed: !!int ''", "'' is no int"),
        ("seed: !!int [1]", "tag 'tag:yaml.org,2002:int'"),
        ("seed: !!float x", "'x' is no float"),
        ("seed: !!bool x", "'x' is no bool"),
        ("seed: !!map x", "tag 'tag:yaml.org,2002:map'"),
        ("seed: !!binary gIGC", "tag 'tag:yaml.org,2002:binary': only plain values are allowed"),
        ("seed: !!python/object/apply:os.system [id]", "only plain values are allowed"),
        ("? [a, b]\n: 1", "line 1: not valid YAML: a list or mapping cannot be a key"),
        ("{a: 1}: 2", "a list or mapping cannot be a key"),
        ("a: 1\nb: \0", "not valid YAML"),
        ("a: \ud800", "half a character"),
        ("a: \x1b]0;A\x07", "not valid YAML"),
        (PARAMS + '"\\e]0;A\\a": 1', "␛]0;A␇: unknown key"),
        ("a: 1\n---\nb: 2", "line 2: not valid YAML"),
        ("%YAML 9.9\n---\na: 1", "not valid YAML"),
        ("", "the file"),
        ("- a", "the file"),
    ],
)
def test_it_is_refused_in_one_line(text: str, message: str) -> None:
    assert message in refused(text)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed: 1", f"seed: {'x' * 1_000_000}", "seed: 'xxx"),
        ("seed: 1", f"seed: 1\n? {'k' * 1_000_000}\n: 1", "kkk: unknown key; the known keys are seed"),
        ("seed: 1", f"seed: [{'0, ' * 19_000}]", "seed: [0, 0, 0"),
        ("device: cpu", f"device: {'c' * 1_000_000}", "runtime.device: 'ccc"),
        ("cell: rnn", f"cell: {'c' * 1_000_000}", "models.rnn.cell: 'ccc"),
        ("path: data/raw/lyrics.txt", f"path: {'p' * 1_000_000}", "path: File name too long"),
        ("path: data/raw/lyrics.txt", f"path: '{'*' * 1_000_000}'", "File name too long"),
        ("  rnn: {", f"  {'r' * 65}: {{", "string should have at most 64 characters"),
    ],
)
def test_a_message_does_not_grow_with_the_value(old: str, new: str, message: str) -> None:
    assert PARAMS.count(old) == 1
    assert message in refused(PARAMS.replace(old, new))


def test_a_thousand_errors_are_five_and_a_number() -> None:
    keys = "".join(f"k{n}: 1\n" for n in range(1000))
    message = refused(PARAMS + keys)
    assert "k4: unknown key" in message
    assert "k5:" not in message
    assert message.endswith("and 995 more")


def test_plain_features_of_yaml_still_work() -> None:
    text = "\ufeff# a comment\na: &a {x: 1, y: 1e-3}\nb: {<<: *a, x: 2}\n"
    text += "c: [*a, !!str 1, '2001-02-03', ~, yes]\n"
    expected = {"x": 1, "y": 0.001}
    assert parse_yaml(text, "x") == {
        "a": expected,
        "b": {"x": 2, "y": 0.001},
        "c": [expected, "1", "2001-02-03", None, "yes"],
    }


FRAGMENTS = st.sampled_from(
    [
        *(
            "a: ",
            "- ",
            "[",
            "]",
            "{",
            "}",
            ": ",
            ", ",
            "\n",
            "  ",
            "&x ",
            "*x",
            "<<: ",
            "? ",
            "| \n",
            "---\n",
        ),
        *(f"!!{kind} " for kind in ("int", "float", "bool", "null", "str", "map", "seq", "set", "timestamp")),
        *("2001-02-30", "2001-02-03 25:00", "9" * 4400, "0x", "0b2", "-", "_", ".inf", "1:99:99", "~", "="),
        *("'", '"', "\0", "\x1b", "\x85", "\ufeff", "\u202e", "\ud800", "\\", "#", "分", "\t", "'\\0'"),
        *("!x ", "%YAML 1.1\n", "!<tag:yaml.org,2002:int> "),
    ]
)


@given(st.lists(FRAGMENTS, max_size=12).map("".join), st.integers(0, len(PARAMS)), st.integers(0, 20))
def test_generated_damage_is_one_line(damage: str, place: int, removed: int) -> None:
    for text in (damage, PARAMS[:place] + damage + PARAMS[place + removed :]):
        message = ""
        try:
            check_params(parse_yaml(text, "params.yaml"))
        except RefrainError as error:
            message = str(error)
        assert not message or message.isprintable()
        assert len(message) < 2200


def test_a_bomb_takes_little_memory(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(BOMB)
    code = """
import re
from pathlib import Path
from pipeline.errors import RefrainError
from pipeline.params.load import load_params
def peak():  # of this program alone, in KB: getrusage begins with the peak of the one that started it
    return int(re.search(r"VmHWM:\\s+([0-9]+)", Path("/proc/self/status").read_text())[1])

before = peak()
try:
    load_params(Path("params.yaml"))
except RefrainError as error:
    print(error)
print(peak() - before)
"""
    root = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    message, kilobytes = result.stdout.splitlines()
    assert "more than 20,000 values" in message
    assert int(kilobytes) < 50_000


def test_what_is_no_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.mkdir()
    with pytest.raises(RefrainError, match=r"params\.yaml is not a file"):
        load_params(path)
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(RefrainError, match=r"params\.yaml is not a file"):
        load_params(path)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(RefrainError, match=r"params\.yaml is not a file"):
        load_params(path)
    path.unlink()
    path.symlink_to("params.yaml")
    with pytest.raises(RefrainError, match=r"params\.yaml: cannot be read: Too many levels"):
        load_params(path)
    path.unlink()
    path.write_bytes(b"seed: 1\ncorpus: \xff\xfe")
    with pytest.raises(RefrainError, match=r"params\.yaml, line 2: not UTF-8"):
        load_params(path)


def test_recipes_and_the_catalogue_are_read_the_same_way(tmp_path: Path) -> None:
    (tmp_path / "bomb.yaml").write_text(BOMB)
    with pytest.raises(RefrainError, match="more than 20,000 values"):
        load_catalog(tmp_path / "bomb.yaml")
    with pytest.raises(RefrainError, match="more than 20,000 values"):
        read_overlay("bomb", tmp_path)
    for name, text in (("a", "extends: b"), ("b", "extends: a"), ("list", "[]"), ("odd", "extends: [a]")):
        (tmp_path / f"{name}.yaml").write_text(text)
    for name, message in (
        ("a", "recipes extend each other: a -> b -> a"),
        ("list", "has no keys"),
        ("odd", "unknown recipe"),
    ):
        with pytest.raises(RefrainError, match=message):
            read_overlay(name, tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "models: 1", "models: null", BOMB])
def test_use_refuses_a_file_that_it_cannot_change(
    content: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes = project.folder / "replications/recipes"
    recipes.mkdir(parents=True)
    (recipes / "default.yaml").write_text("corpus: {path: a.txt}\nmodels: {gru: {cell: gru}}\n")
    (project.folder / "params.yaml").write_text(content)
    project.commit("damaged")
    monkeypatch.chdir(project.folder)
    with pytest.raises(RefrainError, match=r"params\.yaml"):
        use.main("default")
    assert (project.folder / "params.yaml").read_text() == content
