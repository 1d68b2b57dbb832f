"""Pydantic's errors in one line that names the key, the value and what would be right."""

import difflib
from reprlib import Repr
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from pipeline.errors import shortened

MAX_SHOWN = 5
"""How many problems a message names."""

_values = Repr()
_values.maxstring = _values.maxother = 80


def explain_errors(error: ValidationError, prefix: str, model: type[BaseModel]) -> str:
    """The problems of a validation error on one line of bounded length: the first ones, and how many more.

    ``prefix``, a place in the file, precedes the keys.
    """
    shown = [_explain_one(dict(item), prefix, model) for item in error.errors()[:MAX_SHOWN]]
    if error.error_count() > MAX_SHOWN:
        shown.append(f"and {error.error_count() - MAX_SHOWN:,} more")
    return "; ".join(shortened(problem, 300) for problem in shown)


def _explain_one(item: dict[str, Any], prefix: str, model: type[BaseModel]) -> str:
    location = [shortened(str(part)) for part in item["loc"] if part != "[key]"]
    key = ".".join(filter(None, [prefix, *location])) or "the file"
    if item["type"] == "extra_forbidden":
        known = _known_keys(model, location[:-1])
        close = difflib.get_close_matches(location[-1], known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"the known keys are {', '.join(known)}"
        return f"{key}: unknown key; {hint}"
    if item["type"] == "missing":
        return f"{key}: missing"
    if item["type"] == "value_error":
        message = str(item["ctx"]["error"])
        names_its_key = not location or message.startswith("models.")
        return message if names_its_key else f"{key}: {message}"
    return f"{key}: {_values.repr(item['input'])} is wrong: {item['msg'][0].lower()}{item['msg'][1:]}"


def _known_keys(model: type[BaseModel], location: list[str]) -> list[str]:
    """Field names of the section at ``location`` below ``model``."""
    section: Any = model
    for part in location:
        if isinstance(section, type) and issubclass(section, BaseModel):
            section = section.model_fields[part].annotation
        else:  # a mapping or a list: the type of its entries comes last
            section = get_args(section)[-1]
    return list(section.model_fields)
