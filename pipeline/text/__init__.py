"""Raw text to character ids: reading, normalising, vocabulary, encoding, minibatches."""
