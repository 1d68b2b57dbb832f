"""Prefect's side of a run: a server, states, logs, artifacts, the command line."""
