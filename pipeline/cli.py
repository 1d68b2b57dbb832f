"""The ``refrain`` command. Each subcommand is one line below; its module is loaded when it is called."""

import sys
from argparse import ArgumentParser
from importlib import import_module

from pipeline.program import run_program

COMMANDS = {
    "write": ("pipeline.commands.write", "continue a prefix with a trained model"),
    "export": ("pipeline.commands.export", "write a trained model as ONNX"),
    "show": ("pipeline.commands.show", "print the perplexity table and samples of the last run"),
    "diff": ("pipeline.commands.diff", "compare the models of two revisions on the same text"),
    "spread": ("flows.spread", "train with other seeds, and measure how far apart they end"),
    "runs": ("pipeline.commands.runs", "list experiments: what each has changed, and its perplexity"),
    "use": ("pipeline.commands.use", "write a recipe into params.yaml"),
    "texts": ("pipeline.commands.texts", "list the texts that can be fetched"),
    "fetch": ("pipeline.commands.fetch", "download a text and track it with DVC"),
    "check": ("pipeline.commands.check", "check params.yaml before anything runs"),
}
"""Module and summary of each subcommand. A module has ``main`` and, if needed, ``add_arguments``."""


def main() -> None:
    """Run one subcommand."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help", "help"):
        print("usage: refrain COMMAND ...\n\ncommands:")
        for command, (_, summary) in COMMANDS.items():
            print(f"  {command:<8}{summary}")
        print("\n`refrain COMMAND --help` shows a command's options.")
        return
    if name not in COMMANDS:
        print(f"error: unknown command {name!r}: choose from {', '.join(COMMANDS)}", file=sys.stderr)
        sys.exit(2)
    module = import_module(COMMANDS[name][0])
    parser = ArgumentParser(prog=f"refrain {name}", description=module.__doc__)
    if hasattr(module, "add_arguments"):
        module.add_arguments(parser)
    run_program(module.main, parser, sys.argv[2:])


if __name__ == "__main__":
    main()
