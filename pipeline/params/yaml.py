"""YAML of bounded size that builds only null, true, false, numbers, strings, lists and mappings.

DVC reads ``params.yaml`` with the same parser and gets the same values. (Other parsers read 1e-3 as a
string.) Here a file is measured before any value is built from it, because a few hundred bytes of aliases can
stand for gigabytes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
)
from ruamel.yaml.nodes import Node

from pipeline.errors import RefrainError, shortened

MAX_BYTES = 1 << 20
MAX_VALUES = 20_000
"""Scalars, lists and mappings, with those that aliases repeat."""
MAX_DEPTH = 50
MAX_NUMBER_LENGTH = 100

TAG = "tag:yaml.org,2002:"
COLLECTION_TAGS = (None, "!", f"{TAG}seq", f"{TAG}map")
SCALAR_TAGS = (None, "!", *(f"{TAG}{kind}" for kind in ("null", "bool", "int", "float", "str")))


def read_yaml(path: Path) -> Any:
    """The content of a YAML file. Raise :class:`RefrainError` if it is missing, no plain file, or wrong."""
    try:
        if not path.is_file():  # a FIFO would wait for ever
            path.stat()
            raise RefrainError(f"{path} is not a file: put a YAML file in its place")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise RefrainError(f"{path} is not in {Path.cwd()}: run from the project's folder") from None
    except OSError as error:
        raise RefrainError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return parse_yaml(content.decode(), str(path))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RefrainError(f"{path}, line {line}: not UTF-8: save it as UTF-8") from None


def parse_yaml(text: str, name: str, max_bytes: int = MAX_BYTES, max_values: int = MAX_VALUES) -> Any:
    """The content of a YAML document. Raise :class:`RefrainError`, naming ``name`` and the line, if wrong."""
    if len(text) > max_bytes:
        raise RefrainError(f"{name}: longer than {max_bytes:,} bytes: make it shorter")
    try:
        _measure(_parser().parse(text), max_values)
        return _parser().load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise RefrainError(f"{name}, line {line}: not valid YAML: {shortened(error.problem, 200)}") from None
    except YAMLError as error:
        raise RefrainError(
            f"{name}: not valid YAML: {shortened(' '.join(str(error).split()), 200)}"
        ) from None
    except UnicodeEncodeError:
        raise RefrainError(f"{name}: not valid YAML: it contains half a character (a surrogate)") from None


class _PlainConstructor(SafeConstructor):
    """Builds no dates. What is no number, and what Python cannot compute with, is an error with a line."""


def _checked(build: Callable[[SafeConstructor, Node], Any]) -> Callable[[SafeConstructor, Node], Any]:
    """``build``, which makes a value of a scalar, with errors that name the line."""

    def build_checked(constructor: SafeConstructor, node: Node) -> Any:
        if len(node.value) > MAX_NUMBER_LENGTH:
            _fail(node, f"a number of more than {MAX_NUMBER_LENGTH} characters: {shortened(node.value)}")
        try:
            return build(constructor, node)
        except (ValueError, LookupError):
            _fail(node, f"{shortened(node.value)!r} is no {str(node.tag).removeprefix(TAG)}")

    return build_checked


def _refuse_date(_: SafeConstructor, node: Node) -> NoReturn:
    _fail(node, f"{shortened(node.value)} is a date: put it into quotes if it is text")


for _kind in ("bool", "int", "float"):
    _tag = f"{TAG}{_kind}"
    _PlainConstructor.add_constructor(_tag, _checked(SafeConstructor.yaml_constructors[_tag]))
_PlainConstructor.add_constructor(f"{TAG}timestamp", _refuse_date)


def _parser() -> YAML:
    parser = YAML(typ="safe")
    parser.Constructor = _PlainConstructor
    return parser


@dataclass
class _Collection:
    """A list or mapping that has not ended yet. ``values`` counts it and all inside; ``children`` its own."""

    anchor: str | None
    is_mapping: bool
    values: int = 1
    children: int = 0


def _measure(events: Iterator[Event], max_values: int) -> None:
    """Raise :class:`ConstructorError` for what is too much or too deep, and for odd tags and keys."""
    sizes: dict[str, int] = {}
    outer = [_Collection(None, False)]
    for event in events:
        if isinstance(event, NodeEvent):
            inner = outer[-1]
            is_key = inner.is_mapping and inner.children % 2 == 0
            inner.children += 1
            if isinstance(event, CollectionStartEvent):
                _check_collection(event, is_key, len(outer))
                outer.append(_Collection(event.anchor, isinstance(event, MappingStartEvent)))
                continue
            size, anchor = _size(event, sizes), event.anchor
        elif isinstance(event, CollectionEndEvent):
            ended = outer.pop()
            size, anchor = ended.values, ended.anchor
        else:
            continue
        outer[-1].values += size
        if outer[-1].values > max_values:
            _fail(event, f"more than {max_values:,} values, with those that aliases repeat")
        if anchor and not isinstance(event, AliasEvent):
            sizes[anchor] = size


def _size(event: NodeEvent, sizes: dict[str, int]) -> int:
    """How many values a scalar or an alias stands for."""
    if isinstance(event, AliasEvent):
        if event.anchor not in sizes:
            _fail(event, f"alias {event.anchor!r} names nothing that is complete before it")
        return sizes[event.anchor]
    if isinstance(event, ScalarEvent) and event.tag not in SCALAR_TAGS:
        _fail(event, f"tag {event.tag!r}: only plain values are allowed")
    return 1


def _check_collection(event: CollectionStartEvent, is_key: bool, depth: int) -> None:
    if is_key:
        _fail(event, "a list or mapping cannot be a key")
    if event.tag not in COLLECTION_TAGS:
        _fail(event, f"tag {event.tag!r}: only plain values are allowed")
    if depth > MAX_DEPTH:
        _fail(event, f"nested deeper than {MAX_DEPTH} levels")


def _fail(place: Event | Node, problem: str) -> NoReturn:
    raise ConstructorError(problem=problem, problem_mark=place.start_mark)
