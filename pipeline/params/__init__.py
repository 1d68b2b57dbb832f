"""params.yaml, typed: what determines results, how the pipeline runs, and recipes."""
