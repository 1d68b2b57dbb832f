"""Where results come from: code, seed, weights, devices, versions."""

from io import StringIO
from typing import Any

from pipeline import artifacts
from pipeline.params.load import Params
from pipeline.reporting.tables import read_json
from pipeline.versions import installed_version
from pipeline.visible import visible

PACKAGES = ("torch", "numpy", "pyarrow", "safetensors")


def provenance_facts(params: Params) -> dict[str, str]:
    """Facts by name. They contain no commit, time or path, so they are the same in every clone."""
    evaluated = {name: read_json(artifacts.evaluation_path(name)) for name in params.models}
    return {
        "code": read_json(artifacts.CODE)["report"],
        "seed": str(params.seed),
        **{f"weights of {name}": found["weights_sha256"] for name, found in evaluated.items()},
        "trained on": ", ".join(f"{name}: {found['trained_on']}" for name, found in evaluated.items()),
        **{name: installed_version(name) for name in PACKAGES},
    }


def as_yaml(values: dict[str, Any]) -> str:
    """Parameters and the like as YAML for readers: in the given order, and without hidden characters."""
    from ruamel.yaml import YAML

    yaml, stream = YAML(typ="safe"), StringIO()
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(values, stream)
    return visible(stream.getvalue(), keep_lines=True)
