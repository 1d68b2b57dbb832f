"""Values of parameters as params.yaml has them, for messages."""

import json
from typing import Any


def shown_value(value: Any) -> str:
    """A value in one line of YAML: `null`, `true`, `[分开, 不分开]`."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {shown_value(part)}' for key, part in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(shown_value, value))}]"
    return value if isinstance(value, str) else json.dumps(value, default=str)


def shown_change(key: str, before: dict[str, Any], after: dict[str, Any]) -> str:
    """What became of a parameter, as in `train.epochs: default -> 5`."""
    values = (shown_value(side[key]) if key in side else "default" for side in (before, after))
    return f"{key}: {' -> '.join(values)}"
