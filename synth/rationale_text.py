"""A rationale's text -> its parts, strictly: what is not of the protocol's form is refused under a name."""

import re

from genprm.protocols.genprm import ANALYZE, VERIFY, code_blocks, read_verdict
from genprm.protocols.pieces import OUTPUT, genprm_pieces
from genprm.sandbox.result import Result
from genprm.types import Check, Completion, Rationale

_TAG = re.compile(r"</?(?:analyze|verify|output)>")
_FORMS = {
    "<analyze></analyze><verify></verify><output></output>",
    "<analyze></analyze><output></output>",
    "<verify></verify><output></output>",
    "<output></output>",
}
_OPENING = re.compile(re.escape(ANALYZE).replace(re.escape("{t}"), r"([0-9]{1,9})"))
_FAILED = re.compile(r"Code execute Error: |Code format error: |(?P<late>Code execute time out: )")


class Malformed(ValueError):
    """A text or a conversation that is not of the form. ``reason`` is a short name that can be counted."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


def read_rationale(text: str, step: int) -> Rationale:
    """The rationale of ``step`` (from 0) in the protocol ``genprm``, in any of its forms.

    Code without an output was not run: it stays in the text and is no check. Outputs are as they stand in the text.

    Raises:
        Malformed: ``no_tags``, ``tags`` (missing, twice, out of order), ``opening``, ``paragraph`` (of another step),
            ``after_end``, ``open_code``, ``output_without_code``, ``no_verdict`` (none, or two that differ).
    """
    _require_form(text)
    analysis = _analysis(text, step)
    verdict = read_verdict(Completion(text))
    if verdict is None:
        raise Malformed("no_verdict")
    return Rationale(0, "ok", text=text, analysis=analysis, checks=_checks(text), verdict=verdict.yes)


def _require_form(text: str) -> None:
    tags = "".join(_TAG.findall(text))
    if tags not in _FORMS:
        raise Malformed("tags" if tags else "no_tags", tags[:80])
    if text.partition("</output>")[2].strip():
        raise Malformed("after_end", text.partition("</output>")[2].strip()[:40])
    if not text.startswith("<"):
        raise Malformed("opening", text[:40])


def _analysis(text: str, step: int) -> str:
    if not text.startswith("<analyze>"):
        return ""
    opening = _OPENING.match(text)
    if opening is None:
        raise Malformed("opening", text[:60])
    if int(opening[1]) != step + 1:
        raise Malformed("paragraph", f"{opening[1]} in place of {step + 1}")
    return text[opening.end() :].partition("</analyze>")[0].strip()


def _checks(text: str) -> tuple[Check, ...]:
    start = text.find("<verify>")
    if start < 0:
        if "[Code Output]" in text:
            raise Malformed("output_without_code")
        return ()
    if not text.startswith(VERIFY, start):
        raise Malformed("opening", text[start : start + 60])
    if code_blocks(text[start:].partition("</verify>")[0])[1]:
        raise Malformed("open_code")
    checks: list[Check] = []
    at = 0
    for piece in genprm_pieces(text):
        if not piece.own and piece.text.startswith(OUTPUT):
            code = code_blocks(text[start:at])[0][-1]
            checks.append(Check(code, _result(piece.text.removeprefix(OUTPUT))))
        elif piece.own and "[Code Output]" in piece.text:
            raise Malformed("output_without_code")
        at += len(piece.text)
    return tuple(checks)


def _result(shown: str) -> Result:
    """What the text tells of a run; its time it does not tell."""
    output = shown.removesuffix("\n```\n")
    failed = _FAILED.match(output)
    if failed is None:
        return Result("ok", stdout=output)
    return Result("timeout" if failed["late"] else "error", error=output[failed.end() :])
