"""params.yaml, typed: the sections that determine results, how it runs, recipes."""
