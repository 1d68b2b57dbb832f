"""Which stages run on which work pool."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from flows.stages.graph import Stage, all_keys
from flows.workspace.dvc_repo import has_remote
from pipeline.errors import RefrainError


def assign_pools(stages: Iterable[Stage], pools: Mapping[str, str]) -> dict[str, str]:
    """The work pool of each stage that has one.

    ``pools`` names them by the stage's name (``train@gru``, then ``train``), or else by its label.
    """
    found = {stage.name: [pools[key] for key in stage.keys if key in pools] for stage in stages}
    return {name: given[0] for name, given in found.items() if given}


def check_pools(folder: Path, pools: Mapping[str, str]) -> None:
    """Raise :class:`RefrainError` now, and not at the first stage, if something is wrong or missing."""
    known = all_keys(folder)
    for key in pools:
        if key not in known:
            raise RefrainError(
                f"pools: there is no stage or label {key!r}; there are {', '.join(sorted(known))}"
            )
    for pool in sorted(set(pools.values())):
        if _pool_of_deployment(f"stage/{pool}") != pool:
            raise RefrainError(
                f"pools: the server has no deployment stage/{pool} on a pool {pool}: add it to "
                f"prefect.yaml, then `make deploy POOLS={pool}`"
            )
    if not has_remote(folder):
        raise RefrainError(
            "pools: data go to other machines over DVC's remote, and there is none: dvc remote add --default"
        )


def _pool_of_deployment(name: str) -> str | None:
    """The work pool of a deployment; None if the server does not know the deployment."""
    with get_client(sync_client=True) as client:
        try:
            return client.read_deployment_by_name(name).work_pool_name
        except ObjectNotFound:
            return None
