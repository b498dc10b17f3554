"""On which devices the programs of a group are compiled."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import partial


def places(chunks: Mapping[int, int], ready: Mapping[int, Collection[int]], devices: int) -> dict[int, list[int]]:
    """The devices that run the chunks of some groups, so that all devices run about as many.

    A group gets at most as many devices as it has chunks, since its programs are compiled for each of them. Those for
    which they are compiled come first, then the first of `Layout.rotated`, for which its width was found.

    Args:
        chunks: number of chunks, by number of the group.
        ready: the devices for which the programs of a group are compiled, by number of the group.
        devices: number of devices.

    Returns:
        By number of the group, the numbers of its devices.

    Example:
        >>> places({0: 1, 1: 1, 2: 5}, {}, devices=4)
        {0: [0], 1: [1], 2: [2, 3, 0, 1]}
    """
    most = -(-sum(chunks.values()) // devices)
    load = [0] * devices
    chosen: dict[int, list[int]] = {}
    for group, count in chunks.items():
        used = Counter[int]()
        for _ in range(count):
            device = min(range(devices), key=partial(_rank, group, load, most, used, ready.get(group, ())))
            load[device] += 1
            used[device] += 1
        chosen[group] = list(used)
    return chosen


def _rank(
    group: int, load: Sequence[int], most: int, used: Mapping[int, int], ready: Collection[int], device: int
) -> tuple[bool, int, bool, bool, int, int]:
    """The next chunk of a group goes to the device of the lowest rank."""
    full, distance = load[device] >= most, (device - group) % len(load)
    return full, used[device], device not in ready, distance > 0, load[device], distance
