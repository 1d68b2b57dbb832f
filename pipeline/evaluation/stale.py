"""Whether the workspace's figures belong to its present text, parameters and code."""


def stale_stages() -> list[str]:
    """Stages up to `evaluate` whose inputs or results have changed since they ran; none if DVC is at work."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            return sorted(repo.status(targets=["evaluate"], with_deps=True))
    except DvcException:
        return []
