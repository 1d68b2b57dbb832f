"""Check params.yaml, its text and the installed packages before anything runs."""

from pathlib import Path

from pipeline.code_digest import check_versions
from pipeline.errors import RefrainError
from pipeline.params.load import PARAMS_FILE, Params, load_params


def main() -> None:
    """Raise :class:`RefrainError` for the first thing that is wrong."""
    # The flows' own section. Only here, since the pipeline knows nothing of the flows.
    from flows.gate import read_gate

    params = load_params()
    read_gate(params)
    check_text(params)
    check_versions()
    check_device(params.runtime.device)


def check_text(params: Params) -> None:
    """Raise :class:`RefrainError` if there is no text where ``corpus.path`` says."""
    path = params.corpus.path
    if "://" in path or Path(path).exists():
        return
    hint = "`refrain texts` shows texts to fetch"
    if path.startswith("~"):
        hint = f"write {Path(path).expanduser()}"
    raise RefrainError(f"{PARAMS_FILE}: corpus.path: nothing is at {path!r}: {hint}")


def check_device(name: str) -> None:
    """Raise :class:`RefrainError` if this machine has no such device."""
    if name in ("auto", "cpu"):
        return
    from pipeline.device import choose_device  # PyTorch takes a second to load

    choose_device(name)
