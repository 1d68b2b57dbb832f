"""What a training does between epochs: evaluate the validation split, and write text."""

from collections.abc import Callable

from pipeline.data.text import Text
from pipeline.evaluation.perplexity import score
from pipeline.generation.decoding import Decoding, generate
from pipeline.nn.language_model import CharLM
from pipeline.params.train import SampleParams
from pipeline.text.vocab import Vocab


def validator(model: CharLM, text: Text) -> Callable[[], float] | None:
    """A function that computes validation perplexity, or None if there is no validation text."""
    return (lambda: score(model, text).perplexity) if len(text) > 1 else None


def sampler(model: CharLM, vocab: Vocab, params: SampleParams) -> Callable[[], tuple[str, ...]]:
    """A function that continues the sample prefixes greedily."""
    prefixes = [vocab.encode_prefix(text, allow_unk=True) for text in params.prefixes]

    def sample() -> tuple[str, ...]:
        if not prefixes:
            return ()
        model.eval()
        texts = generate(model, prefixes, params.length, Decoding(), seed=0, banned=vocab.unk_id)
        model.train()
        return tuple(map(vocab.decode, texts))

    return sample
