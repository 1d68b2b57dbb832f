"""Recurrent cells and the language model built on them."""
