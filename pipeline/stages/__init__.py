"""The DVC stages, one thin module each: read parameters and inputs, call the rest, write outputs."""
