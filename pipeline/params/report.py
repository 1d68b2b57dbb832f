"""``report`` in ``params.yaml``: what the page and the models' cards say."""

from pydantic import Field

from pipeline.params.section import NonEmpty, NonNegative, Section


class ReportParams(Section):
    """The page of all results, and a card for each model."""

    embed_megabytes: NonNegative = 16
    """How much of the page its models may take in all. Models that find no room do not write on it."""

    licences: dict[NonEmpty, NonEmpty] = Field(default_factory=dict)
    """Licences of texts by ``corpus.path``, as model hubs name them (``cc0-1.0``), for models' cards."""
