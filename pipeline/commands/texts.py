"""List the texts that can be fetched by name, with their licences."""

from pipeline.text.catalog import load_catalog
from pipeline.visible import visible


def main() -> None:
    """Print the catalogue."""
    for name, entry in load_catalog().items():
        for line in (name, f"  {entry.url}", f"  normalize: {entry.normalize}. {entry.licence}"):
            print(visible(line))
