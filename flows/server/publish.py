"""What a run gave, as Prefect artifacts."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dvc.scm import resolve_rev
from httpx import HTTPError
from prefect import get_run_logger
from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)
from prefect.exceptions import PrefectException

from flows.workspace.comparison import compare
from flows.workspace.dvc_repo import open_repo
from pipeline import artifacts
from pipeline.errors import RefrainError, first_line
from pipeline.reporting.tables import Metrics, perplexity_rows, read_json, splits_of


@contextmanager
def only_warn() -> Iterator[None]:
    """Log a warning if the server does not take an artifact: what a run has done is done."""
    try:
        yield
    except (PrefectException, HTTPError) as error:
        get_run_logger().warning("results are not shown: %s: %s", type(error).__name__, first_line(error))


@only_warn()
def publish_results(folder: Path, compare_to: str, page: Path | None = None) -> None:
    """Show metrics, changes since the revision ``compare_to``, samples and learning curves.

    With ``page``, the changes are written there as a web page, too.
    """
    metrics = folder / artifacts.METRICS
    if metrics.exists():
        create_table_artifact(metrics_table(read_json(metrics)), key="metrics", description="perplexity")
    publish_changes(folder, compare_to, None, page)
    samples, curves = folder / artifacts.SAMPLES_MD, folder / artifacts.CURVES
    if samples.exists():
        create_markdown_artifact(samples.read_text(encoding="utf-8"), key="samples")
    if curves.exists():
        picture = base64.b64encode(curves.read_bytes()).decode()
        create_image_artifact(
            f"data:image/svg+xml;base64,{picture}", key="learning-curves", description="learning curves"
        )


@only_warn()
def publish_report_link(folder: Path) -> None:
    """Show where the report is."""
    report = folder / artifacts.INDEX
    if report.exists():
        create_link_artifact(report.resolve().as_uri(), link_text=str(artifacts.INDEX), key="report")


@only_warn()
def publish_changes(folder: Path, before: str, after: str | None, page: Path | None = None) -> None:
    """Show what has changed between two revisions (``after`` None: the workspace), on ``page``, too."""
    try:
        found = compare(folder, before, after, page)
    except RefrainError as error:
        get_run_logger().warning("changes are not shown: %s", error)
        return
    changes = [pair.cells() | {"note": pair.note} for pair in found if pair.change != 0]
    if changes:
        create_table_artifact(changes, key="changes", description=f"{after or 'this run'} against {before}")
    else:
        create_markdown_artifact(f"No figure differs from those at {before}.", key="changes")


def check_revision(folder: Path, revision: str) -> None:
    """Raise :class:`RefrainError` now, and not after the trainings, if there is no such revision."""
    try:
        with open_repo(folder) as repo:
            resolve_rev(repo.scm, revision)
    except RefrainError as error:
        raise RefrainError(f"compare_to: {revision}: {error}") from None


def metrics_table(metrics: Metrics) -> list[dict[str, Any]]:
    """Perplexity by model and split, baselines last."""
    splits = splits_of(metrics)
    return [
        {"model": row.name, **dict(zip(splits, row.perplexities, strict=True))}
        for row in perplexity_rows(metrics)
    ]
