"""Text for the simulated server, all of it generated: word problems with short steps, sentences of rationales.

A wrong step ends in ``, surely.``: that is what the simulated author looks for, as it cannot calculate. The sentences
of a rationale are of two kinds, for a step that it holds right and for one that it holds wrong.
"""

import random

from genprm.types import NO_ERROR, Problem, Solution

WRONG_MARK = ", surely."

_PEOPLE = ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gita", "Hugo")
_THINGS = ("apples", "beads", "cards", "eggs", "lamps", "nails", "pears", "tiles")
_GAINS = ("buys", "finds", "gets", "makes")
_LOSSES = ("gives away", "loses", "sells", "uses")

_THOUGHTS = {
    True: (
        "And the numbers are those that the problem states.",
        "And the operation fits what is told.",
        "And nothing is left out on the way.",
        "And working it out once more gives {value} as stated.",
        "And the count before was {left}, which is what is used.",
        "And the result follows from what came before.",
    ),
    False: (
        "But some figure stands here although nobody mentioned it.",
        "But such words call for quite another way.",
        "But something must be missing in between.",
        "But my own reckoning ends at {value} instead.",
        "But earlier there were {left}, now forgotten.",
        "But this comes out of nowhere.",
    ),
}
_OPENERS = {
    True: ("Good, the claim of this paragraph looks sound.", "Good, it reads well and tells what is done."),
    False: ("Odd, nobody would say so after a second look.", "Odd, one wonders where that comes from."),
}
_SENTENCE_CHARS = 46
"""A typical sentence, a little short, so that there are rather too many of them than too few."""
_CLOSERS = {
    True: ("The output agrees with the paragraph.", "The value is the stated one."),
    False: ("This speaks against the paragraph.", "This is not what was claimed."),
}


def solutions(n: int, steps: int = 8, seed: int = 0, wrong: float = 0.5) -> list[Solution]:
    """``n`` word problems with worked solutions of ``steps`` steps; a share ``wrong`` of them has one wrong step."""
    rng = random.Random(seed)
    return [_solution(rng, index, steps, wrong) for index in range(n)]


def thoughts(rng: random.Random, right: bool, chars: int) -> str:
    """Sentences of about so many characters."""
    drawn = rng.choices(_THOUGHTS[right], k=max(chars // _SENTENCE_CHARS, 1))
    return _filled(rng, [rng.choice(_OPENERS[right]), *drawn])[: max(chars, 1)]


def closing(rng: random.Random, right: bool) -> str:
    """What follows the output of a check, with the verdict."""
    word = "Yes" if right else "No"
    said = rng.choice(_CLOSERS[right])
    return f"{said}\n</verify>\n<output>\n**Judgement**: $\\boxed{{{word}}}$\n</output>\n"


def _filled(rng: random.Random, sentences: list[str]) -> str:
    return " ".join(sentences).format(left=rng.randint(2, 99), value=rng.randint(2, 99))


def _solution(rng: random.Random, index: int, n_steps: int, wrong: float) -> Solution:
    person, thing, count = rng.choice(_PEOPLE), rng.choice(_THINGS), rng.randint(10, 60)
    first_error = rng.randrange(n_steps) if rng.random() < wrong else NO_ERROR
    told, steps = [f"{person} has {count} {thing}."], []
    for number in range(n_steps):
        amount = rng.randint(2, 9)
        gain = rng.random() < 0.5 or count < 20
        told.append(f"Then {person} {rng.choice(_GAINS if gain else _LOSSES)} {amount}.")
        result = count + amount if gain else count - amount
        is_wrong = number == first_error
        shown = result + rng.choice((-2, -1, 1, 2)) if is_wrong else result
        claim = f"{count} {'+' if gain else '-'} {amount} = {shown}"
        steps.append(f"Step {number + 1}: " + (f"surely {claim}{WRONG_MARK}" if is_wrong else f"{claim}."))
        count = result
    text = " ".join([*told, f"How many {thing} does {person} have?"])
    return Solution(Problem(text, str(count)), tuple(steps), f"made-{index}", first_error, "bench", "genprm bench")
