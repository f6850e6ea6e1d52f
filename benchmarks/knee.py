"""The knee: the highest rate of a fixed ladder that is kept up with."""

from collections.abc import Callable

HIGHEST = 20_000
LADDER = sorted(
    {round(10 ** (step / 20), 1 if step < 20 else 0) for step in range(20, 87)} | {HIGHEST}
)
"""Rates from 10 to 20,000 a second, each 12 % above the one before."""

STRIDE = 4


def knee(kept: Callable[[int], bool], first: int) -> int:
    """The highest rate for which `kept` holds, looked for from about `first` on; 0 for none.

    `kept` is asked about few rates: by strides until it changes its mind, then by halves. A rate
    that fails is tried a second time, since a shared machine may stall for a moment.
    """
    rates = [round(rate) for rate in LADDER]

    def holds(index: int) -> bool:
        return kept(rates[index]) or kept(rates[index])

    at = min(range(len(rates)), key=lambda index: abs(rates[index] - first))
    low, high = -1, len(rates)
    if holds(at):
        low = at
        while low + STRIDE < len(rates) and high == len(rates):
            low, high = (low + STRIDE, high) if holds(low + STRIDE) else (low, low + STRIDE)
    else:
        high = at
        while high - STRIDE >= 0 and low == -1:
            low, high = (high - STRIDE, high) if holds(high - STRIDE) else (low, high - STRIDE)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return rates[low] if low >= 0 else 0
