"""Fetch the texts that the replications read, without tracking them in DVC: they are not yours to version."""

from pipeline.program import run_program
from pipeline.text.catalog import fetch_text

TEXTS = ("jaychou_lyrics", "time_machine")


def main() -> None:
    """Fetch what is not there yet."""
    for name in TEXTS:
        fetch_text(name)


if __name__ == "__main__":
    run_program(main)
