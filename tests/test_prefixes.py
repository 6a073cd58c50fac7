"""Sequences that are kept for those that begin alike."""

from genprm.engines.prefixes import BLOCK, PrefixStore


def test_the_store_gives_up_what_was_used_least_lately() -> None:
    store = PrefixStore(max_tokens=5 * BLOCK)
    one, two, three = ([n] * 2 * BLOCK for n in (1, 2, 3))
    store.keep(one, "row")
    store.keep(two, "row")
    assert store.longest([*one, 9])[0] == 2 * BLOCK
    store.keep(three, "row")
    assert [store.longest([*ids, 9])[0] for ids in (one, two, three)] == [2 * BLOCK, 0, 2 * BLOCK]
    assert store.longest(one)[0] == 2 * BLOCK - 1, "somebody must be asked what follows"
    assert store.longest([*one[: BLOCK + 3], 7, 7])[0] == BLOCK + 3
    assert store.longest(one[: BLOCK - 1]) == (0, None)
    store.keep([4] * 6 * BLOCK, "row")
    assert store.longest([4] * 6 * BLOCK)[0] == 0, "more than there is room for is not kept"
    assert store.longest([*one, 9])[0] == 2 * BLOCK


def test_what_one_kept_row_gives_up_is_found_in_another() -> None:
    store = PrefixStore(max_tokens=6 * BLOCK)
    long, short, other = [1] * 4 * BLOCK, [1] * 2 * BLOCK, [2] * 2 * BLOCK
    for ids in (long, short):
        store.keep(ids, "row")
    assert store.longest([*long, 9])[0] == 4 * BLOCK
    store.keep(other, "row")
    assert store.longest([*short, 9])[0] == 2 * BLOCK
    assert store.longest([*long, 9])[0] == 4 * BLOCK
    assert store.first_missing(long) is None


def test_the_row_that_is_found_is_the_one_that_was_kept() -> None:
    store = PrefixStore(max_tokens=10 * BLOCK)
    for n in (1, 2):
        store.keep([n] * 2 * BLOCK, f"row {n}")
    assert store.longest([2] * BLOCK + [3] * BLOCK) == (BLOCK, "row 2")
    assert (store.queries, store.hits) == (2 * BLOCK, BLOCK)
    store.clear()
    assert store.longest([2] * BLOCK) == (0, None)


def test_what_would_not_be_kept_is_not_missed() -> None:
    ids = [1] * 3 * BLOCK
    assert PrefixStore(max_tokens=3 * BLOCK).first_missing(ids) is not None
    assert PrefixStore(max_tokens=3 * BLOCK - 1).first_missing(ids) is None
