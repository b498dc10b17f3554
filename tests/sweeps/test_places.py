"""On which devices programs are compiled."""

from collections import Counter

import pytest

from jaxopt_lite.sweeps.programs._places import places


def test_a_group_has_at_most_as_many_devices_as_chunks():
    assert [len(devices) for devices in places({0: 1, 1: 2, 2: 5}, {}, 8).values()] == [1, 2, 5]
    assert places({5: 100}, {}, 4)[5] == [1, 2, 3, 0]
    for chunks in ({0: 2, 1: 5, 2: 9}, {3: 100, 4: 1}, {0: 7, 5: 7}):
        found = places(chunks, {}, 8)
        assert all(len(devices) <= min(chunks[group], 8) for group, devices in found.items())
        assert set().union(*found.values()) == set(range(8))


@pytest.mark.parametrize("groups", [4, 8, 20])
def test_groups_of_one_chunk_are_shared_out_evenly(groups):
    found = places(dict.fromkeys(range(groups), 1), {}, 8)
    counts = Counter(device for devices in found.values() for device in devices)
    assert max(counts.values()) == -(-groups // 8)
    assert [devices[0] for devices in found.values()] == [group % 8 for group in range(groups)]


def test_devices_that_have_the_programs_come_first_unless_they_have_more_chunks_than_others():
    assert places({0: 1, 4: 1}, {0: [5], 4: [6]}, 8) == {0: [5], 4: [6]}
    found = places({0: 1, 1: 1, 2: 1, 3: 1}, {group: [0] for group in range(4)}, 4)
    assert sorted(device for devices in found.values() for device in devices) == [0, 1, 2, 3]
    assert places({}, {}, 4) == {}
