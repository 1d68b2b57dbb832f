"""How many numbers a language model and its training hold, computed without building anything."""

from dataclasses import dataclass

GATES = {"rnn": 1, "gru": 3, "lstm": 4}
"""Of our cells, for programs that do not load PyTorch, and so no :class:`pipeline.nn.cell.Cell`."""

FLOAT_BYTES = 4


@dataclass(frozen=True)
class ModelSize:
    """The sizes of a :class:`pipeline.nn.language_model.CharLM`. ``gates`` are its cell's."""

    vocab_size: int
    gates: int
    hidden_size: int
    num_layers: int
    embedding_size: int | None
    tied: bool

    def weights(self) -> int:
        """The numbers in all weights."""
        rows, inputs = self.gates * self.hidden_size, self.embedding_size or self.vocab_size
        first = rows * inputs
        others = (self.num_layers - 1) * rows * self.hidden_size
        recurrent = self.num_layers * rows * (self.hidden_size + 2)  # with both biases
        embedding = self.vocab_size * self.embedding_size if self.embedding_size and not self.tied else 0
        return first + others + recurrent + embedding + self.vocab_size * (self.hidden_size + 1)

    def activations(self, characters: int) -> int:
        """The numbers kept for the backward pass of so many characters, and those of one layer's backward.

        Each gate has its value and what its gradient is computed from. It is a lower bound: in the worst of
        our cells, training takes a quarter more.
        """
        of_layer = 2 * self.gates * self.hidden_size
        return characters * ((self.num_layers + 1) * of_layer + (self.embedding_size or 0))
