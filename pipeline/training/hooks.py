"""What a training looks at between epochs: validation perplexity, and text."""

from collections.abc import Callable

from pipeline.inference.perplexity import score
from pipeline.inference.sampling import Decoding, generate
from pipeline.nn.language_model import CharLM
from pipeline.params import SampleParams
from pipeline.text.batches import Text
from pipeline.text.vocab import Vocab


def validator(lm: CharLM, text: Text) -> Callable[[], float] | None:
    """Validation perplexity of the model as it is, or None if there is no validation text."""
    return (lambda: score(lm, text).perplexity) if len(text) > 1 else None


def sampler(lm: CharLM, vocab: Vocab, params: SampleParams) -> Callable[[], tuple[str, ...]]:
    """Greedy continuations of the sample prefixes by the model as it is."""
    prefixes = [vocab.encode_prefix(text, allow_unk=True) for text in params.prefixes]

    def sample() -> tuple[str, ...]:
        if not prefixes:
            return ()
        lm.eval()
        texts = generate(lm, prefixes, params.length, Decoding(), seed=0, banned=vocab.unk_id)
        lm.train()
        return tuple(map(vocab.decode, texts))

    return sample
