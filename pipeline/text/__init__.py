"""From raw text to a vocabulary: finding files, reading, normalising, counting characters."""
