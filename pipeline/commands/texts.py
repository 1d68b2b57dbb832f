"""List the texts that can be fetched by name, with their licences."""

from pipeline.text.catalog import load_catalog


def main() -> None:
    """Print the catalogue."""
    for name, entry in load_catalog().items():
        print(f"{name}\n  {entry.url}\n  normalize: {entry.normalize}. {entry.licence}")
