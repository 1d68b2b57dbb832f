"""Refrain: character-level recurrent language models as a reproducible pipeline."""
