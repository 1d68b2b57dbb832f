"""The subcommands of `refrain`: a module each, with ``main`` and, if needed, ``add_arguments``."""
