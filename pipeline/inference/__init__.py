"""What a trained model is used for: perplexity and generated text."""
