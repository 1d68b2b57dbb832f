"""DVC's stages as task runs: which have to run, and how one is run, here or on another machine."""
