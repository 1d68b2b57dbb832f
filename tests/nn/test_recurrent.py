"""The recurrent layers: from the equations, fused, and PyTorch's own, all against each other."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from pipeline.nn import cells, fused, language_model
from pipeline.nn.cells import CELLS, State
from pipeline.nn.language_model import CharLM, ModelConfig, detach

KINDS = list(CELLS)
LAYERS = {"equations": cells.run_layer, "fused": fused.run_layer}
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
@pytest.mark.parametrize("layer", LAYERS)
def test_agrees_with_torch_nn(
    layer: str, kind: str, num_layers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outputs, last state and all gradients, also to the initial state, in float64."""
    monkeypatch.setattr(language_model.fused, "run_layer", LAYERS[layer])
    model = CharLM(config(kind, num_layers=num_layers)).double()
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
    cell = CELLS[kind]
    shapes = [
        (steps, BATCH, cell.gates * HIDDEN),
        *[(BATCH, HIDDEN)] * cell.states,
        (cell.gates * HIDDEN, HIDDEN),
        (cell.gates * HIDDEN,),
    ]
    return [(torch.randn(shape, dtype=dtype) / 3).requires_grad_() for shape in shapes]


def flat(run_layer: Callable[..., tuple[Tensor, State]], kind: str) -> Callable[..., tuple[Tensor, ...]]:
    def run(x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        outputs, state = run_layer(kind, x, rest[:-2], *rest[-2:])
        return outputs, *state

    return run


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_finite_differences(kind: str) -> None:
    assert torch.autograd.gradcheck(flat(fused.run_layer, kind), arguments(kind, steps=4))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [0, 1, 35])
def test_fused_agrees_with_the_equations_in_float32(kind: str, steps: int) -> None:
    inputs = arguments(kind, steps, torch.float32)
    results = []
    for run_layer in (fused.run_layer, cells.run_layer):
        outputs = flat(run_layer, kind)(*inputs)
        gradients = torch.autograd.grad(
            sum(o.sin().sum() for o in outputs), inputs, allow_unused=True, materialize_grads=True
        )
        results.append([*outputs, *gradients])
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_weights_do_not_depend_on_the_number_of_threads(cell: str) -> None:
    def trained(threads: int) -> list[bytes]:
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        model = CharLM(ModelConfig(vocab_size=300, cell=cell, hidden_size=64))
        optimizer = torch.optim.Adam(model.parameters(), fused=True)
        state = model.initial_state(16)
        for step in range(5):
            ids = torch.randint(300, (36, 16), generator=torch.Generator().manual_seed(step))
            logits, state = model(ids[:-1], detach(state))
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return [weight.detach().contiguous().numpy().tobytes() for weight in model.parameters()]

    one = trained(1)
    assert trained(2) == one
    assert trained(4) == one
