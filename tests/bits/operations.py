"""Each operation that training, evaluation and generation use, on random numbers: its name, and its results.

When a new version of PyTorch changes the bits of one of them, its name is the culprit's.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.arithmetic.activations import sigmoid, sigmoid_, tanh, tanh_
from pipeline.arithmetic.products import multiplier, product
from pipeline.arithmetic.rounding import six_digits
from pipeline.evaluation.score import perplexity_of
from pipeline.generation.decoding import Decoding, choose, probabilities
from pipeline.nn.loss import linear_cross_entropy
from pipeline.params.train import TrainParams
from pipeline.training.optim import Optimizer, learning_rate_at

Results = tuple[Tensor, ...]

COSINE = TrainParams(schedule="cosine", warmup_steps=9)

SHAPES = [
    *((2, 3, 2), (1, 40, 70), (3, 256, 900), (1, 1100, 33), (70, 40, 1)),
    *((32, 128, 96), (143, 70, 33), (33, 1100, 40), (40, 256, 300), (70, 560, 40), (9, 1024, 35)),
]
"""Rows, terms and columns of products."""


def x(*shape: int) -> Tensor:
    return torch.randn(*(shape or (37, 301)))


def products(a_transposed: bool, b_transposed: bool) -> Results:
    results = []
    for rows, terms, columns in SHAPES:
        a = x(terms, rows).t() if a_transposed else x(rows, terms)
        b = x(columns, terms).t() if b_transposed else x(terms, columns)
        results += [product(a, b), multiplier(a, b)(a), multiplier(a, b)(a, x(rows, columns))]
    return tuple(results)


def optimizer(name: str) -> Results:
    torch.manual_seed(0)
    parameters = [nn.Parameter(x(70, n)) for n in range(1, 20)]
    settings = TrainParams(optimizer=name, weight_decay=0.01, clip=0.5)
    stepped = Optimizer(settings, parameters)
    for _ in range(5):
        for parameter in parameters:
            parameter.grad = x(*parameter.shape)
        stepped.step(0.003)
    return *(parameter.detach() for parameter in parameters), *stepped.state_dict().values()


def loss() -> Results:
    inputs = [x(90, 40).requires_grad_(), x(70, 40).requires_grad_(), x(70).requires_grad_()]
    value = linear_cross_entropy(*inputs, torch.arange(90) % 70)
    return value, *torch.autograd.grad(value, inputs)


def embedding() -> Results:
    weight = x(70, 33).requires_grad_()
    rows = functional.embedding(torch.arange(900) % 71 % 70, weight)
    return rows, *torch.autograd.grad((rows * x(900, 33)).sum(), weight)


def rounded(values: np.ndarray) -> Results:
    return (torch.tensor([six_digits(float(value)) for value in values]),)


OPERATIONS: dict[str, Callable[[], Results]] = {
    "product": lambda: products(False, False),
    "product of a transposed": lambda: products(True, False),
    "product with b transposed": lambda: products(False, True),
    "tanh": lambda: (tanh(x()), tanh(x() * 1e-3), tanh(x() * 30), tanh_(x(100_003))),
    "sigmoid": lambda: (sigmoid(x() * 10), sigmoid_(x(7)), sigmoid_(x(100_003))),
    "sigmoid of a part": lambda: (sigmoid_(x(50, 2100)[:, :1400]), sigmoid_(x(9, 99)[:, :66])),
    "relu": lambda: (torch.relu(x()),),
    "addcmul": lambda: (torch.addcmul(x(), x(), x()), torch.addcmul(x(), x(), x(), value=-1)),
    "lerp": lambda: (torch.lerp(x(), x(), torch.rand(37, 301)),),
    "softmax": lambda: (torch.softmax(x() * 10, 1),),
    "log_softmax": lambda: (functional.cross_entropy(x() * 9, torch.arange(37), reduction="none"),),
    "linear cross-entropy": loss,
    "largest of a row": lambda: (x().amax(1),),
    "sum over rows": lambda: (x().sum(0), x(9, 11, 4, 33).sum((0, 1))),
    "probabilities": lambda: (
        probabilities(x(3, 301), Decoding(0.8, top_k=50, top_p=0.9)),
        probabilities(x(1, 40_003), Decoding(0.8, top_p=0.9)),
    ),
    "choice": lambda: (choose(x(3, 301), Decoding(0.8), torch.rand(3)),),
    "cumulative sum": lambda: (torch.rand(37, 301).cumsum(-1),),
    "sort": lambda: x().sort(stable=True, dim=-1, descending=True),
    "global norm": lambda: (nn.utils.get_total_norm([x(), x(100_003)]),),
    **{name: partial(optimizer, name) for name in ("sgd", "adam", "adamw")},
    "embedding": embedding,
    "dropout": lambda: (functional.dropout(x(), 0.3),),
    "uniform": lambda: (torch.empty(37, 301).uniform_(-0.1, 0.1),),
    "normal": lambda: (torch.empty(37, 301).normal_(std=0.01), torch.empty(7).normal_()),
    "permutation": lambda: (torch.randperm(1001),),
    "logarithm in six digits": lambda: rounded(np.log(np.linspace(0.001, 9, 1001))),
    "perplexity in six digits": lambda: rounded(np.array([perplexity_of(n / 9) for n in range(99)])),
    "cosine schedule": lambda: (torch.tensor([learning_rate_at(COSINE, n, 99) for n in range(99)]),),
}
