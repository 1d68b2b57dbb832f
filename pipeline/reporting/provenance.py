"""Where results come from: code, seed, weights, devices, versions."""

from pipeline import artifacts
from pipeline.params.load import Params
from pipeline.reporting.tables import read_json
from pipeline.versions import installed_version

PACKAGES = ("torch", "numpy", "pyarrow", "safetensors")


def provenance_facts(params: Params) -> dict[str, str]:
    """Facts by name. They contain no commit, time or path, so they are the same in every clone."""
    evaluated = {name: read_json(artifacts.evaluation_path(name)) for name in params.models}
    return {
        "code": read_json(artifacts.CODE)["report"],
        "seed": str(params.seed),
        **{f"weights of {name}": found["weights_sha256"] for name, found in evaluated.items()},
        **{f"{name} trained on": found["trained_on"] for name, found in evaluated.items()},
        **{name: installed_version(name) for name in PACKAGES},
    }
