"""The same on a GPU; skipped without one."""

import pytest
import torch

from pipeline.evaluation.perplexity import score
from pipeline.generation.decoding import Decoding, generate
from pipeline.nn.language_model import CharLM, ModelConfig
from pipeline.params.runtime import RuntimeParams
from pipeline.training.loop import Trainer
from tests.support.training import Recorder, train_params

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

IDS = torch.randint(7, (303,), generator=torch.Generator().manual_seed(3))


def model(cell: str, device: str) -> CharLM:
    torch.manual_seed(0)
    return CharLM(ModelConfig(vocab_size=7, cell=cell, hidden_size=12, num_layers=2)).to(device)


def trained(cell: str, device: str, recorder: Recorder, sampling: str = "consecutive") -> Trainer:
    params = train_params(sampling=sampling)
    runtime = RuntimeParams(checkpoint_seconds=1e-9)
    work = Trainer(model(cell, device), IDS, params, runtime, 0, recorder.hooks())
    work.run()
    return work


@pytest.mark.parametrize("sampling", ["consecutive", "random"])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_training_follows_the_cpu(cell: str, sampling: str) -> None:
    recorders = {device: Recorder() for device in ("cpu", "cuda")}
    for device, recorder in recorders.items():
        trained(cell, device, recorder, sampling)
    for cpu, cuda in zip(recorders["cpu"].epochs, recorders["cuda"].epochs, strict=True):
        assert cuda.train_perplexity == pytest.approx(cpu.train_perplexity, rel=1e-3)


def test_going_on_from_a_checkpoint_gives_the_same_weights() -> None:
    recorder = Recorder()
    expected = trained("gru", "cuda", recorder).model.state_dict()
    work = Trainer(model("gru", "cuda"), IDS, train_params(), RuntimeParams(), 0, Recorder().hooks())
    work.load_state_dict(recorder.checkpoints[5])
    for name, weight in work.run().items():
        assert torch.equal(weight, expected[name]), name


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_score_and_greedy_text_are_those_of_the_cpu(cell: str) -> None:
    on_cpu, on_cuda = model(cell, "cpu").eval(), model(cell, "cuda").eval()
    assert score(on_cuda, IDS).nats == pytest.approx(score(on_cpu, IDS).nats, rel=1e-5)
    texts = [generate(lm, [[1], [2, 3]], 20, Decoding(), 0) for lm in (on_cpu, on_cuda)]
    assert texts[0] == texts[1]
    assert len(generate(on_cuda, [[1]], 20, Decoding(0.8, 3, 0.9), 0)[0]) == 20
