"""Raw text to characters to a vocabulary: finding, reading, normalising, counting."""
