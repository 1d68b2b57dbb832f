import pytest
import torch

from pipeline.generation.decoding import Decoding, choose, generate, probabilities
from pipeline.nn.language_model import CharLM, ModelConfig

LOGITS = torch.tensor([[0.0, 2.0, 1.0, -1.0]])


def model(cell: str = "gru") -> CharLM:
    torch.manual_seed(0)
    lm = CharLM(ModelConfig(vocab_size=8, cell=cell, hidden_size=16, num_layers=2)).eval()
    for weight in lm.parameters():
        weight.data *= 4  # far from uniform
    return lm


def greedy_by_hand(lm: CharLM, prefix: list[int], length: int) -> list[int]:
    """Feed the whole text anew for every character."""
    text = list(prefix)
    for _ in range(length):
        logits, _ = lm(torch.tensor(text).unsqueeze(1), lm.initial_state(1))
        text.append(int(logits[-1, 0].argmax()))
    return text[len(prefix) :]


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_greedy_continues_prefixes_of_different_lengths_in_one_batch(cell: str) -> None:
    lm = model(cell)
    prefixes = [[1], [2, 3, 4, 5, 6], [7, 1], [7, 1]]
    expected = [greedy_by_hand(lm, prefix, 12) for prefix in prefixes]
    assert generate(lm, prefixes, 12, Decoding(), seed=0) == expected
    assert generate(lm, prefixes[:1], 12, Decoding(), seed=0) == expected[:1]


def test_sampled_text_is_a_function_of_seed_and_place() -> None:
    lm = model()
    decoding = Decoding(temperature=1.0)

    def sampled(prefixes: list[list[int]], seed: int) -> list[list[int]]:
        return generate(lm, prefixes, 30, decoding, seed)

    assert sampled([[1], [1]], 5) == sampled([[1], [1]], 5)
    assert sampled([[1]], 5) != sampled([[1]], 6)
    first, second = sampled([[1], [1]], 5)
    assert first != second
    assert sampled([[1], [2, 3, 4]], 5)[0] == first, "others in the batch change nothing"


def test_banned_id_is_never_produced() -> None:
    lm = model()
    lm.decoder.bias.data[3] = 100
    assert generate(lm, [[3]], 5, Decoding(), 0) == [[3] * 5]
    for decoding in (Decoding(), Decoding(temperature=2.0), Decoding(temperature=1.0, top_k=1)):
        assert 3 not in generate(lm, [[3]], 50, decoding, 0, banned=3)[0]


def test_temperature() -> None:
    assert probabilities(LOGITS, Decoding(1.0)).tolist() == LOGITS.softmax(-1).tolist()
    assert torch.allclose(probabilities(LOGITS, Decoding(0.5)), (2 * LOGITS).softmax(-1))


def test_top_k_keeps_the_k_likeliest() -> None:
    p = probabilities(LOGITS, Decoding(1.0, top_k=2))
    assert torch.allclose(p[0, [1, 2]], torch.tensor([2.0, 1.0]).softmax(-1))
    assert p[0, [0, 3]].tolist() == [0, 0]
    assert torch.allclose(probabilities(LOGITS, Decoding(1.0, top_k=99)), LOGITS.softmax(-1))


@pytest.mark.parametrize(("top_p", "kept"), [(0.1, 1), (0.5, 1), (0.6, 1), (0.65, 2), (0.9, 3), (1.0, 4)])
def test_top_p_keeps_the_fewest_that_reach_p(top_p: float, kept: int) -> None:
    # Probabilities, ranked: 0.64, 0.24, 0.09, 0.03.
    p = probabilities(LOGITS, Decoding(1.0, top_p=top_p))
    assert int((p > 0).sum()) == kept
    assert p.sum().item() == pytest.approx(1)


def test_top_k_and_top_p_together() -> None:
    # Of the two likeliest the first has 0.73, so p = 0.7 leaves it alone.
    assert probabilities(LOGITS, Decoding(1.0, top_k=2, top_p=0.7)).tolist() == [[0, 1, 0, 0]]


def test_draws_follow_the_probabilities() -> None:
    n = 20_000
    draws = choose(LOGITS.expand(n, -1), Decoding(1.0), torch.rand(n))
    observed = torch.bincount(draws, minlength=4).double()
    expected = LOGITS[0].double().softmax(-1) * n
    chi_square = ((observed - expected) ** 2 / expected).sum().item()
    assert chi_square < 16.3, "0.999 quantile for three degrees of freedom"


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-24])
def test_extreme_draws_are_characters_of_some_probability(uniform: float) -> None:
    decoding = Decoding(1.0, top_k=2)
    assert choose(LOGITS, decoding, torch.tensor([uniform])).item() in (1, 2)
