"""What a person reads on the terminal."""

import pytest

from genprm.show import without_loops


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("It is the size" + " of" * 300, "It is the size of … (300 times)"),
        ("So 2 + 2 = 4.\n" * 40 + "end", "So 2 + 2 = 4. … (40 times)\nend"),
        ("so so so so so so so so so", "so so so so so so so so so"),
        ("|" + "-" * 100 + "|\n1" + "0" * 40, "|" + "-" * 100 + "|\n1" + "0" * 40),
        ("", ""),
        (" of" * 9 + " the", " of" * 9 + " the"),
    ],
    ids=["end", "middle", "no loop", "rules and numbers", "empty", "nine"],
)
def test_what_is_said_over_and_over_is_counted(said: str, shown: str) -> None:
    assert without_loops(said) == shown
