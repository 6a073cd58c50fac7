"""Steps are cut where the rules say, and nothing is lost."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from genprm.splitting import split_answer, split_document, split_problem, split_steps
from tests.texts import TEXT

MARKERS = [
    ("Step 1: a\nStep 2: b", ["Step 1: a", "Step 2: b"]),
    ("Step 1. a\nmore\n\nmore\nStep 2. b", ["Step 1. a\nmore\n\nmore", "Step 2. b"]),
    ("**Step 1:** a\n\n**Step 2:** b", ["**Step 1:** a", "**Step 2:** b"]),
    ("**Step 1: Add**\na\n**Step 2: Halve**\nb", ["**Step 1: Add**\na", "**Step 2: Halve**\nb"]),
    ("### Step 1\na\n### Step 2\nb", ["### Step 1\na", "### Step 2\nb"]),
    ("## Step 1: A\n\na\n\n## Step 2: B\n\nb", ["## Step 1: A\n\na", "## Step 2: B\n\nb"]),
    ("Paragraph 1: a\nParagraph 2: b", ["Paragraph 1: a", "Paragraph 2: b"]),
    ("STEP 1) a\nstep 2 - b\nStep 3 – c", ["STEP 1) a", "step 2 - b", "Step 3 – c"]),
    ("**Step 1**\na\n**Step 2**\nb", ["**Step 1**\na", "**Step 2**\nb"]),
    # what stands before the first belongs to it
    ("We go.\n\nStep 1: a\nStep 2: b", ["We go.\n\nStep 1: a", "Step 2: b"]),
    # a gap is no reason to lose a step; a number that does not ascend is
    ("Step 1: a\nStep 2: b\nStep 4: d", ["Step 1: a", "Step 2: b", "Step 4: d"]),
    ("Step 1: a\nStep 2: b\nStep 1: was it\nStep 3: c", ["Step 1: a", "Step 2: b\nStep 1: was it", "Step 3: c"]),
    # one marker counts where it opens the text
    ("\n\nStep 1: a\nb\n\nc", ["Step 1: a\nb\n\nc"]),
    ("a\nStep 3: b\n\nc", ["a\nStep 3: b", "c"]),
    # prose that begins with the words
    ("Step 1 gives 3.\nStep 2 gives 4.", ["Step 1 gives 3.", "Step 2 gives 4."]),
    ("Step 1.5 is odd.\n\nStep 2.5 too.\nYes.", ["Step 1.5 is odd.", "Step 2.5 too.\nYes."]),
    # a comment in a program is no marker
    (
        "Step 1: a\n```python\n# Step 2: x = 1\n```\nStep 2: b",
        ["Step 1: a\n```python\n# Step 2: x = 1\n```", "Step 2: b"],
    ),
]

BLANK_LINES = [
    ("a\n\nb", ["a", "b"]),
    ("a\r\n\r\nb\r\nc", ["a", "b\nc"]),
    ("a\n \t \n\n\nb\n", ["a", "b"]),
    ("First:\n1. x\n2. y\n\nThen z", ["First:\n1. x\n2. y", "Then z"]),
    ("a\n\n\\[ x\n\n= 1 \\]\n\nb", ["a", "\\[ x\n\n= 1 \\]", "b"]),
    ("a\n\n$$\nx\n\ny\n$$\n\nb", ["a", "$$\nx\n\ny\n$$", "b"]),
    ("a $$x$$ b\n\nc", ["a $$x$$ b", "c"]),
    ("a\n\n\\begin{align}\nx\n\ny\n\\end{align}\nb\n\nc", ["a", "\\begin{align}\nx\n\ny\n\\end{align}\nb", "c"]),
    (
        "\\begin{a}\n\n\\begin{a}\n\n\\end{a}\n\nx\\end{a}\n\nb",
        ["\\begin{a}\n\n\\begin{a}\n\n\\end{a}\n\nx\\end{a}", "b"],
    ),
    ("\\begin{a}\n\n\\end{b}\n\nx\\end{a}\n\nb", ["\\begin{a}\n\n\\end{b}\n\nx\\end{a}", "b"]),
    ("a\n\n```python\nx\n\ny\n```\n\nb", ["a", "```python\nx\n\ny\n```", "b"]),
    ("~~~~\nx\n\n~~~\n\n```\n\n~~~~\n\nb", ["~~~~\nx\n\n~~~\n\n```\n\n~~~~", "b"]),
    # what looks like the start of a block and is none
    ("it costs \\$$2\n\nb", ["it costs \\$$2", "b"]),
    ("a \\\\[2pt]\n\nb", ["a \\\\[2pt]", "b"]),
    ("```not a fence``` x\n\nb", ["```not a fence``` x", "b"]),
    ("x \\] y\n\n\\end{z}\n\nb", ["x \\] y", "\\end{z}", "b"]),
    # a block that is never closed
    ("a\n\n\\[ x\n\ny\n\nz", ["a", "\\[ x\n\ny\n\nz"]),
    ("a\n\n```\nx\n\ny", ["a", "```\nx\n\ny"]),
    # headings go with what follows, ornaments with what precedes
    ("### Area\n\na\n\n### Sum\n\nb", ["### Area\n\na", "### Sum\n\nb"]),
    ("# A\n\n## B\n\na", ["# A\n\n## B\n\na"]),
    ("a\n\n---\n\nb\n\n***", ["a\n\n---", "b\n\n***"]),
    ("a\n\n# End", ["a", "# End"]),
]

LINES = [
    ("a\nb\nc", ["a", "b", "c"]),
    ("a. b. c.", ["a. b. c."]),
    ("a\n\\[\nx\n\\]\nb", ["a", "\\[\nx\n\\]", "b"]),
    ("a\n```\nx\n\ny\n```", ["a", "```\nx\n\ny\n```"]),
    ("\n\na\nb\n", ["a", "b"]),
    ("", []),
    (" \n\t\n\r\n", []),
    ("---", ["---"]),
]


@pytest.mark.parametrize(("text", "steps"), MARKERS + BLANK_LINES + LINES)
def test_steps_are_cut_by_the_rules(text: str, steps: list[str]) -> None:
    assert split_steps(text) == tuple(steps)


PIECES = [
    "Step 1:",
    "Step 2.",
    "# Step 3",
    "**Step 4:**",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    " ",
    "```",
    "~~~",
    "$$",
    "\\[",
    "\\]",
]
PIECES += ["\\begin{x}", "\\end{x}", "\\\\", "\\$", "a", "1. b", "- c", "### T", "---", "\u2028", "\x0b", "\x00", "∑"]


@given(st.lists(st.sampled_from(PIECES)).map("".join) | TEXT)
@example("\x0c\n\n\x1c")
def test_nothing_is_lost_but_whitespace(text: str) -> None:
    steps = split_steps(text)
    assert "".join("".join(steps).split()) == "".join(text.split())
    assert all(step and step == step.strip() for step in steps)


@pytest.mark.parametrize(
    "unit", ["\\begin{", "$$", "`", "\\[", "Step 1:\n", "\n", "# \n\n", "**", " ", "---\n\n", "\\"]
)
def test_hostile_text_takes_linear_time(unit: str) -> None:
    text = unit * (60_000 // len(unit))
    start = time.process_time()
    split_steps(text)
    split_document(text)
    split_document(f"**Problem{text}x\n# Step 1{text}x")
    assert time.process_time() - start < 0.8


DOCUMENTS = [
    ("# Problem\nWhat?\n\n## Solution\nBecause.\n\nSo.", ("What?", "Because.\n\nSo.")),
    ("Problem: What?\nSolution: Because.", ("What?", "Because.")),
    ("**Problem:** What?\n\n**Solution:**\n\nBecause.", ("What?", "Because.")),
    ("**Problem**: What?\n\nAnd?\n\n__Solution__\nBecause.", ("What?\n\nAnd?", "Because.")),
    ("PROBLEM:\nWhat?\nsolution:\nBecause.", ("What?", "Because.")),
    ("Question: What?\nAnswer: Because.", ("What?", "Because.")),
    ("### Question\n\nWhat?\n\nAnd?\n\n### Answer\n\nBecause.", ("What?\n\nAnd?", "Because.")),
    ("Problem: What?\n\nAnswer: Because.\n\nSo.", ("What?", "Because.\n\nSo.")),
    ("Problem: What?\nAnswer:\nBecause.", ("What?", "Because.")),
    ("# Problem\n\nWhat?\n\nBecause.\n\nSo.", ("What?", "Because.\n\nSo.")),
    ("What?\n\nAnd?\n\nSolution: Because.", ("What?\n\nAnd?", "Because.")),
    ("What?\r\n\r\nBecause.\r\n\r\nAnswer: 42", ("What?", "Because.\n\nAnswer: 42")),
    ("What?\nBecause.", ("What?\nBecause.", "")),
    ("What?", ("What?", "")),
    ("Problem: What?", ("What?", "")),
    ("# Problem\n\n# Solution\n\nBecause.", ("", "Because.")),
    ("Problem: What?\nSolution:", ("What?", "")),
    ("Solution: Because.", (None, "Because.")),
    ("## Answer\n\nBecause.", (None, "Because.")),
    # words that are no titles
    ("Problem solving is hard.\n\nSolution sets are easy.", ("Problem solving is hard.", "Solution sets are easy.")),
    ("What?\n\na\n```\nSolution: x\n```", ("What?", "a\n```\nSolution: x\n```")),
]


@pytest.mark.parametrize(("text", "parts"), DOCUMENTS)
def test_documents_are_cut_into_problem_and_solution(text: str, parts: tuple[str | None, str]) -> None:
    assert split_document(text) == parts


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("# Problem\n\nWhat?\n\nAnd?\n\n# Solution\n\nBecause.", "What?\n\nAnd?"),
        ("What?\n\nSolution: Because.", "What?"),
        ("Question: What?\nAnswer: Because.", "What?"),
        ("What?\r\n\r\nAnd?", "What?\n\nAnd?"),  # without a title it is a problem in two paragraphs
        ("# Problem\n\nWhat?", "What?"),
        ("Problem: What?\n\nAnswer: in a box.", "What?\n\nAnswer: in a box."),
        ("Find the solution: x + 1 = 2.", "Find the solution: x + 1 = 2."),
        ("# Problem\n\n# Solution\n\nBecause.", ""),
        ("# Solution\n\nBecause.", ""),
    ],
)
def test_the_problem_alone(text: str, problem: str) -> None:
    assert split_problem(text) == problem


@given(
    st.lists(st.sampled_from(["Problem", "# Solution", "Answer:", "**Question**", "\n", "\n\n", ":", "x", " ", "```"]))
)
def test_any_text_is_a_document(parts: list[str]) -> None:
    split_document("".join(parts))
    split_problem("".join(parts))
    split_answer("".join(parts))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Solution: a\nb", (False, "a\nb")),
        ("**Answer**\n\na", (False, "a")),
        ("a\nSolution: b", (False, "a\nSolution: b")),
        ("Question: a\nSolution: b", (True, "Question: a\nSolution: b")),
        ("", (False, "")),
    ],
)
def test_a_solution_alone_loses_its_title(text: str, parts: tuple[bool, str]) -> None:
    assert split_answer(text) == parts
