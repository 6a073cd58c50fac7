"""Text that is judged, as it stands in a message: it must not pose as anything else."""

import re

_MARKS = re.compile(
    r"""
    <(?= [|｜]                                                      # <|im_start|>, <｜User｜>
       | /?(?:s|bos|eos|sop|think|thinking|thought|tool_call|tool_response|start_of_turn|end_of_turn|paragraph_\d{1,9})>
       | </?SYS>>
       | /?seed: )
    | \[(?= /?(?:INST|SYSTEM_PROMPT|TOOL_RESULTS|TOOL_CALLS|AVAILABLE_TOOLS|THINK|gMASK)\] )
    | \](?= ~[a-z!] )
    """,
    re.IGNORECASE | re.VERBOSE,
)


def material(text: str) -> str:
    """``text`` with a zero-width space in whatever could pose as a turn, a thought or a paragraph."""
    return _MARKS.sub(lambda found: found.group() + "\u200b", text)
