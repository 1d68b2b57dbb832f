"""Character ids on disk, and minibatches of them."""
