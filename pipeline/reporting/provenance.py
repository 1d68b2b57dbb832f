"""Where results come from: code, seed, weights, devices, versions."""

from pipeline import artifacts
from pipeline.code_digest import installed_version
from pipeline.params.load import Params
from pipeline.reporting.tables import read_json

PACKAGES = ("torch", "numpy", "pyarrow", "safetensors")


def provenance_facts(params: Params) -> dict[str, str]:
    """Facts by name. They are the same in every clone, on every day: no commit, no time, no path."""
    evaluated = {name: read_json(artifacts.evaluation_path(name)) for name in params.models}
    return {
        "code": read_json(artifacts.CODE)["report"],
        "seed": str(params.seed),
        **{f"weights of {name}": found["weights_sha256"] for name, found in evaluated.items()},
        "trained on": ", ".join(f"{name}: {found['trained_on']}" for name, found in evaluated.items()),
        **package_versions(),
    }


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that results depend on."""
    return {name: installed_version(name) for name in PACKAGES}
