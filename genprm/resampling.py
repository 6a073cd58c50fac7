"""The bootstrap (Efron 1979): which items each resample draws."""

import numpy as np
from numpy.typing import NDArray


def times_drawn(n: int, resamples: int, seed: int) -> NDArray[np.int64]:
    """How often each of ``n`` items (at least one) is drawn, of shape (resamples, n). The same arguments draw the same
    ones, so that figures of several things are known on the very same resamples."""
    drawn: NDArray[np.int64] = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)
    return drawn
