"""The recurrent layers: from the equations, fused, and PyTorch's own, all against each other."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from pipeline.nn.cell import State, Weights
from pipeline.nn.cells import CELLS
from pipeline.nn.language_model import CharLM, ModelConfig
from pipeline.nn.recurrent import Implementation, run_layer

KINDS = list(CELLS)
IMPLEMENTATIONS: list[Implementation] = ["reference", "torch", "fused"]
VOCAB, HIDDEN, STEPS, BATCH = 11, 6, 9, 4


def config(kind: str, **changes: object) -> ModelConfig:
    cell, _, nonlinearity = kind.partition("_")
    settings = {
        "vocab_size": VOCAB,
        "cell": cell,
        "hidden_size": HIDDEN,
        "nonlinearity": nonlinearity or "tanh",
    }
    return ModelConfig(**{**settings, **changes})  # type: ignore[arg-type]


def torch_module(model: CharLM) -> nn.RNNBase:
    """The same layers from torch.nn, with the same weights under the same names."""
    c = model.config
    sizes = {
        "input_size": c.embedding_size or c.vocab_size,
        "hidden_size": c.hidden_size,
        "num_layers": c.num_layers,
    }
    module = {
        "rnn": lambda: nn.RNN(**sizes, nonlinearity=c.nonlinearity),
        "gru": lambda: nn.GRU(**sizes),
        "lstm": lambda: nn.LSTM(**sizes),
    }[c.cell]().double()
    module.load_state_dict(
        {k.removeprefix("rnn."): v for k, v in model.state_dict().items() if k.startswith("rnn.")}
    )
    return module


@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_agrees_with_torch_nn(implementation: Implementation, kind: str, num_layers: int) -> None:
    """Outputs, last state and all gradients, also to the initial state, in float64."""
    model = CharLM(config(kind, num_layers=num_layers), implementation).double()
    theirs = torch_module(model)
    ids = torch.randint(VOCAB, (STEPS, BATCH))
    state = tuple(torch.randn_like(t) for t in model.initial_state(BATCH))

    def results(
        run: Callable[[State], tuple[Tensor, State]], weights: dict[str, nn.Parameter]
    ) -> dict[str, Tensor]:
        start = tuple(t.clone().requires_grad_() for t in state)
        outputs, last = run(start)
        # Every output and state counts, each differently.
        loss = sum(
            (t * torch.linspace(-1, 2, t.numel(), dtype=t.dtype).view_as(t)).sum() for t in (outputs, *last)
        )
        names = [*weights, *(f"state{i}" for i in range(len(start)))]
        gradients = torch.autograd.grad(loss, [*weights.values(), *start])
        return {"outputs": outputs, **{f"last{i}": t for i, t in enumerate(last)}} | dict(
            zip(names, gradients, strict=True)
        )

    def run_theirs(start: State) -> tuple[Tensor, State]:
        hidden = start if len(start) == 2 else start[0]
        outputs, last = theirs(nn.functional.one_hot(ids, VOCAB).double(), hidden)
        return outputs, last if isinstance(last, tuple) else (last,)

    ours = results(lambda start: model.outputs(ids, start), dict(model.rnn.named_parameters()))
    expected = results(run_theirs, dict(theirs.named_parameters()))
    assert ours.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(ours[name], expected[name], rtol=1e-9, atol=1e-9, msg=name)


def arguments(kind: str, steps: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Input vectors, the states, then the weights of a layer."""
    cell = CELLS[kind]
    shapes = [
        (steps, BATCH, VOCAB),
        *[(BATCH, HIDDEN)] * cell.states,
        (cell.gates * HIDDEN, VOCAB),
        (cell.gates * HIDDEN, HIDDEN),
        *[(cell.gates * HIDDEN,)] * 2,
    ]
    return [(torch.randn(shape, dtype=dtype) / 3).requires_grad_() for shape in shapes]


def flat(implementation: Implementation, kind: str) -> Callable[..., tuple[Tensor, ...]]:
    def run(inputs: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        outputs, state = run_layer(implementation, CELLS[kind], inputs, rest[:-4], Weights(*rest[-4:]))
        return outputs, *state

    return run


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_finite_differences(kind: str) -> None:
    assert torch.autograd.gradcheck(flat("fused", kind), arguments(kind, steps=4))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [0, 1, 35])
def test_implementations_agree_in_float32(kind: str, steps: int) -> None:
    inputs = arguments(kind, steps, torch.float32)
    results = []
    for implementation in IMPLEMENTATIONS:
        outputs = flat(implementation, kind)(*inputs)
        gradients = torch.autograd.grad(
            sum(o.sin().sum() for o in outputs), inputs, allow_unused=True, materialize_grads=True
        )
        results.append([*outputs, *gradients])
    for other in results[1:]:
        for tensor, expected in zip(other, results[0], strict=True):
            torch.testing.assert_close(tensor, expected, rtol=1e-5, atol=1e-5)


def test_auto_is_the_fused_form_on_a_cpu() -> None:
    inputs = arguments("gru", 3, torch.float32)
    auto, fused, reference = (
        flat(implementation, "gru")(*inputs)[0] for implementation in ("auto", "fused", "reference")
    )
    assert auto.grad_fn is not None
    assert auto.grad_fn.name() == fused.grad_fn.name() != reference.grad_fn.name()  # type: ignore[union-attr]
