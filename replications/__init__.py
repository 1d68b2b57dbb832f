"""The textbook's published experiments, run again with Refrain's own modules."""
