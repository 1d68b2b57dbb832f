"""Parameters and the like as YAML for readers."""

from io import StringIO
from typing import Any

from pipeline.visible import visible


def as_yaml(values: dict[str, Any]) -> str:
    """``values`` in the given order, and without hidden characters."""
    from ruamel.yaml import YAML

    yaml, stream = YAML(typ="safe"), StringIO()
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(values, stream)
    return visible(stream.getvalue(), keep_lines=True)
