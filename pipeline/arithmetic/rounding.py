"""Rounding of what goes into reports."""


def six_digits(value: float) -> float:
    """``value`` with six significant digits.

    The last digits of a float64 depend on the C library and on the processor, and say nothing to anybody.
    """
    return float(f"{value:.6g}")
