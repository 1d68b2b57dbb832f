"""The textbook's way, as readers know it: what Refrain is measured against.

Written from the equations and the usual practice of introductions: characters as dense one-hot vectors,
recurrent layers of ``torch.nn``, a linear layer to the vocabulary, the loss and the gradient's norm read
back at every minibatch, characters counted and encoded by Python loops.
"""

from collections import Counter
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

LAYERS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class TextbookModel(nn.Module):
    """One-hot characters, one recurrent layer, one linear layer."""

    def __init__(self, cell: str, vocab_size: int, hidden_size: int) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        self.rnn = LAYERS[cell](vocab_size, hidden_size)
        self.dense = nn.Linear(hidden_size, vocab_size)

    def forward(self, inputs: Tensor, state: object) -> tuple[Tensor, object]:
        """Logits ``(num_steps * batch_size, vocab_size)`` for ``inputs`` ``(num_steps, batch_size)``."""
        x = functional.one_hot(inputs, self.vocab_size).float()
        outputs, state = self.rnn(x, state)
        return self.dense(outputs.reshape(-1, outputs.shape[-1])), state


def consecutive(ids: Tensor, batch_size: int, num_steps: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Minibatches that go on where the one before ended; the text's tail is dropped."""
    length = len(ids) // batch_size
    lanes = ids[: length * batch_size].reshape(batch_size, length)
    for start in range(0, (length - 1) // num_steps * num_steps, num_steps):
        inputs = lanes[:, start : start + num_steps]
        labels = lanes[:, start + 1 : start + num_steps + 1]
        yield inputs.t(), labels.t()


def clip(weights: list[nn.Parameter], limit: float) -> None:
    """Scale all gradients so that their common norm is at most ``limit``."""
    norm = 0.0
    for weight in weights:
        if weight.grad is not None:
            norm += (weight.grad**2).sum().item()
    norm = norm**0.5
    if norm > limit:
        for weight in weights:
            if weight.grad is not None:
                weight.grad *= limit / norm


def detach(state: object) -> object:
    """The state, cut off from the minibatch before."""
    if isinstance(state, tuple):
        return tuple(tensor.detach() for tensor in state)
    return state.detach() if isinstance(state, Tensor) else None


def train_epoch(
    model: TextbookModel,
    optimizer: torch.optim.Optimizer,
    ids: Tensor,
    batch_size: int,
    num_steps: int,
    limit: float,
) -> tuple[float, int]:
    """One pass over the text; the mean loss a character, and how many characters."""
    weights = list(model.parameters())
    state: object = None
    total, count = 0.0, 0
    for inputs, labels in consecutive(ids, batch_size, num_steps):
        state = detach(state)
        logits, state = model(inputs, state)
        loss = functional.cross_entropy(logits, labels.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        clip(weights, limit)
        optimizer.step()
        total += loss.item() * labels.numel()
        count += labels.numel()
    return total / count, count


def generate(model: TextbookModel, prefix: list[int], length: int) -> list[int]:
    """The prefix and the likeliest character after it, again and again."""
    state: object = None
    output = [prefix[0]]
    for step in range(length + len(prefix) - 1):
        logits, state = model(torch.tensor([[output[-1]]]), state)
        if step < len(prefix) - 1:
            output.append(prefix[step + 1])
        else:
            output.append(int(logits.argmax(dim=1).item()))
    return output


def encode(text: str) -> tuple[list[int], dict[str, int]]:
    """Ids of all characters, and the vocabulary they are from, by falling count."""
    counter = Counter(text)
    ids = {char: i for i, (char, _) in enumerate(sorted(counter.items(), key=lambda c: -c[1]))}
    return [ids[char] for char in text], ids
