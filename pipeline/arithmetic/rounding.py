"""Rounding of what goes into reports."""


def six_digits(value: float) -> float:
    """``value`` with six significant digits.

    The last digits of a float64 depend on the C library and on the processor, and say nothing to anybody.
    """
    return float(f"{value:.6g}")


def format_perplexity(value: float) -> str:
    """Four significant digits below 1,000, whole numbers up to ten million, an exponent above."""
    return f"{value:.4g}" if value < 1000 or value >= 1e7 else f"{value:,.0f}"
