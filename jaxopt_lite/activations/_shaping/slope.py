"""The negative slope of leaky_relu that keeps different inputs different."""

from math import acos, pi, sqrt

SIMILARITY = 0.9  # of two unrelated inputs after the last layer


def tailored_slope(depth: float) -> float:
    """The slope with which two orthogonal inputs have cosine similarity 0.9 after `depth` layers.

    In shallow networks, where relu keeps inputs more different than that, the slope is 0.
    """
    low, high = 0.0, 1.0
    if similarity(low, depth) <= SIMILARITY:
        return low
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if similarity(middle, depth) > SIMILARITY else (low, middle)
    return (low + high) / 2


def similarity(slope: float, depth: float) -> float:
    """The cosine similarity of two inputs after `depth` layers, if they are orthogonal at first.

    What remains of depth after its whole layers is a layer whose share in the mean square is that fraction, beside a
    skip connection with the rest.
    """
    c = 0.0
    for _ in range(int(depth)):
        c = _after_layer(c, slope)
    return c + (depth - int(depth)) * (_after_layer(c, slope) - c)


def _after_layer(c: float, slope: float) -> float:
    bent = (sqrt(max(1 - c * c, 0.0)) + (pi - acos(c)) * c) / pi
    return min(((1 - slope) ** 2 * bent + 2 * slope * c) / (1 + slope**2), 1.0)
