"""Consecutive sampling without detaching the state: what a minibatch costs as the graph behind it grows.

Each minibatch's loss then reaches back through all minibatches before it. The weights stay as they are:
moving them in place, as optimisers do, would spoil the graph of the minibatches before, and PyTorch refuses
the next backward pass. ``python -m replications.undetached`` stops after MINIBATCHES.
"""

import resource
import time
from dataclasses import asdict, dataclass

import torch

from pipeline.artifacts import write_json
from pipeline.device import set_up
from pipeline.nn.language_model import CharLM, ModelConfig, detach
from pipeline.nn.loss import linear_cross_entropy
from pipeline.params import load_params
from pipeline.program import run
from pipeline.data.batches import classic_consecutive
from replications.results import RECIPES, TIMINGS
from replications.run import encode

MINIBATCHES = 40


@dataclass(frozen=True)
class Cost:
    """Of one minibatch, counted from 1: seconds, and the process's peak memory so far."""

    minibatch: int
    seconds: float
    megabytes: float


def costs(detached: bool) -> list[Cost]:
    """Costs of the first minibatches of recipe ``rnn-torch``, read again from the start where it ends."""
    params = load_params(RECIPES / "rnn-torch.yaml")
    train = params.train_params("rnn")
    vocab, splits = encode(params)
    set_up(torch.device("cpu"), params.threads, train.precision, params.models["rnn"].hidden_size)
    torch.manual_seed(params.seed)
    lm = CharLM(ModelConfig(len(vocab), **params.models["rnn"].architecture))
    minibatches = list(classic_consecutive(splits["train"], train.batch_size, train.num_steps))
    state, found = lm.initial_state(train.batch_size), []
    for index in range(MINIBATCHES):
        inputs, labels = minibatches[index % len(minibatches)]
        started = time.perf_counter()
        outputs, state = lm.outputs(inputs, detach(state) if detached else state)
        loss = linear_cross_entropy(
            outputs.flatten(0, 1), lm.decoder.weight, lm.decoder.bias, labels.flatten()
        )
        lm.zero_grad()
        loss.backward(retain_graph=not detached)
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        found.append(Cost(index + 1, seconds, peak))
    return found


def main() -> None:
    """Measure both and write ``timings/undetached.json``; detached first, for peaks do not fall."""
    measured = {"detached": costs(True), "undetached": costs(False)}
    for name, found in measured.items():
        first, last = found[1], found[-1]
        print(
            f"{name}: minibatch {first.minibatch} {first.seconds * 1000:.0f} ms, "
            f"{last.minibatch} {last.seconds * 1000:.0f} ms, peak {last.megabytes:,.0f} MB"
        )
    content = {name: [asdict(cost) for cost in found] for name, found in measured.items()}
    write_json(TIMINGS / "undetached.json", content)


if __name__ == "__main__":
    run(main)
