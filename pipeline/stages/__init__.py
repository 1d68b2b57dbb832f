"""The DVC stages, one thin module each: read parameters and inputs, call other packages, write outputs."""
