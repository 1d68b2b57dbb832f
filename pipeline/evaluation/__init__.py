"""How good a model is: perplexity, and the baselines that it has to beat."""
