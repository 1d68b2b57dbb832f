"""Speed of Refrain beside the textbook's code, measured in one run."""
