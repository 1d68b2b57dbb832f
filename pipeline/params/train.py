"""``train`` in ``params.yaml``: how models are trained."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.params.section import Count, NonEmpty, NonNegative, Positive, Section


class SampleParams(Section):
    """Greedy text that a model writes during training."""

    every: Annotated[int, Field(ge=0)] = 500
    """Steps between two samples; 0: never. The last step always has a sample, too."""

    prefixes: list[NonEmpty] = Field(default_factory=list)
    """What the samples start with."""

    length: Count = 200
    """Characters after the prefix."""


class TrainParams(Section):
    """How models are trained. A model can override any of these keys under its own ``train``."""

    sampling: Literal["consecutive", "random", "classic_consecutive", "classic_random"] = "consecutive"
    """How the text is cut into minibatches; ``classic_``: as in the textbook (see docs/definitions.md)."""

    batch_size: Count = 32
    """Lanes (consecutive) or windows (random) per minibatch."""

    num_steps: Count = 35
    """Characters of each lane or window per minibatch: how far backpropagation through time goes back."""

    epochs: Count = 50
    """Passes over the training split."""

    optimizer: Literal["sgd", "adam", "adamw"] = "adam"

    learning_rate: Positive = 0.004

    weight_decay: NonNegative = 0.0

    schedule: Literal["constant", "cosine"] = "cosine"
    """Schedule of the learning rate after the warm-up; ``cosine`` falls to 0."""

    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Steps over which the learning rate rises from 0."""

    clip: Positive | None = 1.0
    """Largest global norm of the gradients; null: no clipping."""

    keep: Literal["last", "best"] = "last"
    """Which weights to keep: the last ones, or those with the best validation perplexity."""

    patience: Count | None = None
    """Stop after this many evaluations without a better validation perplexity; null: never."""

    evaluate_every: Count = 100
    """Steps between evaluations of the validation split, which is also evaluated after the last step."""

    precision: Literal["highest", "high", "medium"] = "highest"
    """Precision of float32 matrix products; ``medium`` rounds to bfloat16 where that is faster.

    Only ``highest`` gives the same bits on all x86-64 processors with AVX2.
    """

    implementation: Literal["auto", "reference", "torch", "fused"] = "auto"
    """How recurrent layers are computed; ``auto``: the fastest way (see :mod:`pipeline.nn.recurrent`)."""

    sample: SampleParams = SampleParams()
