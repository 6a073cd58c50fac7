"""Values put into equations, carried to later claims, and calculations in words: right, wrong, and traps."""

import pytest

from genprm.engines.symbolic.checks import write_check
from genprm.engines.symbolic.claims import find_claims
from genprm.engines.symbolic.context import read_context
from genprm.engines.symbolic.reading import read_output
from genprm.sandbox import Sandbox
from tests.rooms import room

Case = tuple[str, tuple[str, ...]]

LINEAR = "Solve $2x + 3 = 11$."
SQUARE = "Find all $x$ with $x^2 - 5x = 14$."
SYSTEM = "Solve the system x + y = 10, x - y = 2."
GIVEN = r"Let $a = 5$ and $b = 3$."
FORMULA = "Let $f(x) = 2x + 1$."

WRONG: list[Case] = [
    # solutions put back
    (LINEAR, (r"The answer is $x = 5$.",)),
    (LINEAR, (r"After some work we find that \(x = 7\).",)),
    ("What is $x$ if $3x - 4 = 11$?", (r"The answer is $\boxed{4}$.",)),
    (SQUARE, ("The solutions are $x = 7$ and $x = -3$.",)),
    (SQUARE, ("So $x = -7$ or $x = 2$.",)),
    (SYSTEM, ("Adding both and halving gives $x = 6$ and $y = 3$.",)),
    (SYSTEM, ("So $x = 7$.", "Therefore $y = 4$.")),
    (
        "A number and its double make 30. What is it?",
        (r"We have \(n + 2n = 30\).", "That is easy.", "So the answer is $n = 12$."),
    ),
    (
        "Find all solutions of $x + y = 3$, $y + z = 5$, $x + z = 4$.",
        ("So $x = 1$, $y = 2$ and $z = 4$.",),
    ),
    # values carried
    (PLAIN := "Answer.", (GIVEN, "Then $a^2 + b^2 = 35$.")),
    (PLAIN, (GIVEN, r"This makes \(2a - b = 8\).")),
    (PLAIN, ("$x = 3$, so $2x + 1 = 8$.",)),
    (PLAIN, ("Let $n = 100$.", r"So $\frac{n}{4} + 1 = 25$.")),
    (FORMULA, ("$f(3) = 8$",)),
    (FORMULA, ("So $f(3) + f(-2) = 5$.",)),
    # signs, remainders, roundings, words
    (PLAIN, ("He has 12 + 5 = 17 apples, and 17 x 3 = 54.",)),
    (PLAIN, (r"$17 \equiv 4 \pmod{5}$",)),
    (PLAIN, ("10/3 ≈ 3.4",)),
    (PLAIN, (r"$\pi \approx 3.15$",)),
    (PLAIN, (r"$\sqrt{2} \approx 1.43$",)),
    (PLAIN, ("Half of 30 is 20.",)),
    (PLAIN, ("So twice 7 is 15.",)),
    (PLAIN, ("We know that 3 times 7 is 22.",)),
    (PLAIN, ("The sum of 3 and 5 is 9.",)),
    (PLAIN, ("5 more than 8 is 12.",)),
    (PLAIN, ("A third of 30 apples is 12 apples.",)),
    (PLAIN, ("Then triple 4 is 16, so he has enough.",)),
]

RIGHT: list[Case] = [
    (LINEAR, ("The answer is $x = 4$.",)),
    (SQUARE, ("The solutions are $x = 7$ and $x = -2$.",)),
    ("What is $x$ if $3x - 4 = 11$?", (r"The answer is $\boxed{5}$.",)),
    (SYSTEM, ("Adding both and halving gives $x = 6$ and $y = 4$.",)),
    (PLAIN, (GIVEN, "Then $a^2 + b^2 = 34$.")),
    (PLAIN, ("Let $n = 100$.", r"So $\frac{n}{4} + 1 = 26$.")),
    (FORMULA, ("$f(3) = 7$",)),
    (PLAIN, ("Then 17 x 3 = 51.",)),
    (PLAIN, (r"$17 \equiv 2 \pmod{5}$",)),
    (PLAIN, (r"$\frac{2}{3} \approx 0.67$",)),
    (PLAIN, (r"$\frac{2}{3} \approx 0.66$",)),
    (PLAIN, (r"$\sqrt{2} \approx 1.4143$",)),
    (PLAIN, ("Half of 30 is 15.",)),
    (PLAIN, ("So two thirds of 30 is 20, and so on.",)),
    (PLAIN, ("The difference between 4 and 9 is 5.",)),
    (PLAIN, ("3 less than 8 is 5.",)),
]

TRAPS: list[Case] = [
    # no solution is concluded, or another quantity has the letter, or the equation is not to be solved
    (LINEAR, ("Suppose $x = 5$.",)),
    (LINEAR, ("If we try $x = 5$, the left side is 13.",)),
    (LINEAR, ("So $x = 5$ is too large and not a solution.",)),
    (SQUARE, ("So $x = 7$ or $x = 3$, but the latter is extraneous.",)),
    (SQUARE, ("The axis of symmetry gives the vertex at $x = 5/2$.",)),
    ("Find the minimum of $y = x^2 - 4x$.", ("So $x = 3$ and $y = 1$.",)),
    ("Graph the line $y = 2x + 1$ and find a point on it.", ("So $x = 1$ and $y = 5$.",)),
    ("Find $x$ with $2x + 3 > 11$ and $x + 1 = 6$.", ("So $x = 4$.",)),
    ("Solve $ax + 3 = 11$.", ("So $x = 5$.",)),
    (SYSTEM, ("So $x = 6$.", "Now let $x = 7$ for a moment, so $y = 4$.")),
    ("Find $x + 1$ if $2x + 3 = 11$.", (r"The answer is $\boxed{5}$.",)),
    (PLAIN, ("Let $x^2 = 9$.", "Let $x$ be the width now; then $x = 5$.", "So $x = 4$.")),
    # values that are none
    (PLAIN, ("If $a = 5$, it fits.", "Then $a^2 = 26$.")),
    (PLAIN, (GIVEN, "Now take $a = 4$.", "Then $a^2 + b^2 = 25$.")),
    (PLAIN, ("So $x = 3$ or $x = 4$.", "Then $2x + 1 = 9$.")),
    (PLAIN, (r"We start at \(n = 1\).", "Then $2n + 1 = 9$.")),
    (PLAIN, (GIVEN, "We want $a^2 + b^2 = 35$.")),
    (PLAIN, (GIVEN, "Solving $a + b = 9$ as an equation comes next.")),
    (PLAIN, (GIVEN, "Then $a + c = 35$.")),
    ("In triangle $ABC$ the side is 4.", ("$A = 5$", "So $2A + 1 = 9$.")),
    (PLAIN, ("The two-digit number has $a = 5$, $b = 3$.", "So $ab = 53$.")),
    (FORMULA, ("If instead $f(x) = 3x$, we get another value.", "So $f(3) = 9$.")),
    (r"Let $f(x) = 2x + 1$ if $x > 5$, and $0$ otherwise.", ("So $f(3) = 0$.",)),
    ("Let $f(x) = ax + 1$.", ("So $f(3) = 10$.",)),
    # signs, remainders, roundings
    (PLAIN, ("The product of 2 x 3, and 17 x 3 = 306.",)),
    (PLAIN, ("A 3 x 4 grid has 12 = 3 x 4 cells.",)),
    (PLAIN, ("So 17 x + 3 = 54.",)),
    (PLAIN, (r"But $17 \equiv 4 \pmod{5}$ is false.",)),
    (PLAIN, (r"$17 \not\equiv 4 \pmod{5}$",)),
    (PLAIN, (r"$3 \cdot 17 \equiv 1 \pmod{5}$",)),
    (PLAIN, ("10/3 ≈ 3.33333334",)),
    (PLAIN, ("3.33 × 3 ≈ 10.1",)),
    (PLAIN, (r"$\frac{22}{7} \approx 3.1429$",)),
    (PLAIN, (r"$4\sqrt{3} \approx 6.92$",)),
    # words that say something else
    (PLAIN, ("5 more than half of 30 is 20.",)),
    (PLAIN, ("Half of 30 is 20 less than 35.",)),
    (PLAIN, ("One and a half of 30 is 45.",)),
    (PLAIN, ("If half of 30 is 20, then something is odd.",)),
    (PLAIN, ("Half of 2 hours is 60 minutes.",)),
    (PLAIN, ("A third of 10 loaves is 3 loaves.",)),
    (PLAIN, ("So twice 7 is 7 + 7.",)),
    (PLAIN, ("3 times 7 is 7 times 3.",)),
    (PLAIN, ("3 times 7 is 2 dozen less 3.",)),
    (PLAIN, ("The sum of 3 and 5 is 2 more than 6.",)),
    (PLAIN, ("The sum of 1, 3 and 5 is 9.",)),
    (PLAIN, ("2 more than the sum of 3 and 5 is 10.",)),
]


def _refuted(case: Case) -> list[str]:
    return [claim.quote for claim in find_claims(read_context(*case)) if not claim.holds]


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case[1][-1][:40])
def test_wrong_ones_are_refuted(case: Case) -> None:
    assert _refuted(case)


@pytest.mark.parametrize("case", RIGHT, ids=lambda case: case[1][-1][:40])
def test_right_ones_are_claims_that_hold(case: Case) -> None:
    claims = find_claims(read_context(*case))
    assert claims
    assert all(claim.holds for claim in claims)


@pytest.mark.parametrize("case", TRAPS, ids=lambda case: case[1][-1][:40])
def test_traps_are_left_alone(case: Case) -> None:
    assert not _refuted(case)


def test_the_checks_agree_with_the_first_look() -> None:
    async def run(sandbox: Sandbox) -> None:
        async with sandbox.session() as session:
            for case in (*WRONG, *RIGHT):
                claims = find_claims(read_context(*case))
                result = await session.run(write_check(claims))
                assert result.status == "ok", result
                verdicts = read_output(result.stdout, claims).verdicts
                assert verdicts == tuple("true" if claim.holds else "false" for claim in claims), write_check(claims)

    room().run(run)


def test_several_values_make_a_loop_over_them() -> None:
    code = write_check(find_claims(read_context(SQUARE, ("The solutions are $x = 7$ and $x = -3$.",))))
    assert code == (
        '# The text says: "x = 7$ and $x = -3"\nfor x in [7, -3]:\n    left = x**2 - 5 * x\n    right = 14\n'
        "    if left != right:\n        break\n"
        'print(f"at x = {x}: x^2 - 5 * x = {left}, and it should be 14: {left == right}")\n'
    )
