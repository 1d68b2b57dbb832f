"""Check params.yaml, the text that it names and the installed packages before anything runs."""

from contextlib import suppress
from pathlib import Path

from pipeline.artifacts import model_path
from pipeline.dvc_files import check_dependency, check_lock_is_whole, remove_damaged_rwlock
from pipeline.errors import RefrainError
from pipeline.memory import free_memory
from pipeline.nn.sizes import GATES
from pipeline.params.load import PARAMS_FILE, Params, load_params
from pipeline.text.catalog import text_at
from pipeline.training.memory import check_memory, training_size
from pipeline.user import check_user
from pipeline.versions import check_versions


def main() -> None:
    """Raise :class:`RefrainError` for the first problem."""
    check_user()
    remove_damaged_rwlock()
    check_lock_is_whole()
    # Imported only here: the rest of the pipeline does not depend on the flows.
    from flows.gate import read_gate
    from flows.workspace.git import succeeds
    from flows.workspace.lock_files import check_digests_in_lock_files

    params = load_params()
    read_gate(params)
    check_text(params)
    check_versions()
    check_device(params.runtime.device)
    check_trainings(params)
    if succeeds(Path(), "rev-parse", "--git-dir"):
        check_digests_in_lock_files(Path())


def check_text(params: Params) -> None:
    """Raise :class:`RefrainError` if ``corpus.path`` and ``corpus.files`` name no file.

    URLs are not opened.
    """
    path = params.corpus.path
    kind, is_url, _ = path.partition("://")
    if is_url:
        from dvc.fs import known_implementations  # what a stage can depend on

        if kind not in known_implementations:
            raise RefrainError(
                f"{PARAMS_FILE}: corpus.path: DVC cannot read {kind}:// URLs: write https:// or s3://, or "
                "download the text"
            )
        return
    if Path(path).exists():
        from pipeline.text.files import find_files

        find_files(path, params.corpus.files)
        check_dependency(Path(), path)
        return
    catalogued = text_at(Path(path))
    hint = "correct it, or fetch a text that `refrain texts` lists"
    if catalogued:
        hint = f"run `refrain fetch {catalogued}`"
    if path.startswith("~"):
        with suppress(RuntimeError):  # nobody knows that home
            hint = f"write {Path(path).expanduser()}"
    raise RefrainError(f"{PARAMS_FILE}: corpus.path: {path!r} does not exist: {hint}")


def check_device(name: str) -> None:
    """Raise :class:`RefrainError` if this machine has no such device."""
    if name in ("auto", "cpu"):
        return
    from pipeline.device import choose_device  # PyTorch takes a second to load

    choose_device(name)


def check_trainings(params: Params) -> None:
    """Raise :class:`RefrainError` if memory is too small for a new model, whatever the vocabulary.

    The stage `train`, which knows the vocabulary, checks again.
    """
    for name, model in params.models.items():
        if model_path(name).exists():  # perhaps nothing has to be trained
            continue
        size = training_size(params, name, vocab_size=1, gates=GATES.get(model.cell, 1))
        if size.total() > free_memory():
            from pipeline.device import choose_device  # PyTorch takes a second to load

            check_memory(params, name, size, choose_device(params.runtime.device))
