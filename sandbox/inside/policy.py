"""What may not be written in a check: a static gate, in front of the sandbox and never instead of it.

    review("import os\\nos.system('ls')")  ->  ["line 1: import of os", "line 2: attribute system"]

RestrictedPython names the constructs that lead out of plain computation: double-underscored names, frames, ``exec``
and its like, and it refuses what it does not know. Its transformer also refuses much that mathematics needs (``from
sympy import *``, ``d[k] += 1``, annotations, operators of classes, ``match``); that is admitted here, since nothing
is guarded at run time and so no guard can be got round. Refused on top: modules that a check has no business with,
functions that read and write files, and texts that such functions as ``sympify`` would run as code.

**This is never the boundary.** It reads the code and does not run it, so it cannot see: a text or a name that is put
together while the check runs (``"__cl" + "ass__"`` in a format, or for ``sympify``); what a name stands for once it was
passed on, kept in a container or returned (``f = np; f.load``); what a library does when it is called; how long
anything takes or how much it fills. The operating system holds all that. A refusal is a remark on the check, or spares
its run; an admission means nothing more than that nothing was noticed.

Code that is not Python is not refused: the run will say so.
"""

import ast
import re
import unicodedata
import warnings
from collections.abc import Iterator
from typing import TypeVar

from RestrictedPython.transformer import INSPECT_ATTRIBUTES, RestrictingNodeTransformer

from genprm.sandbox.inside.vocabulary import (
    ATTRIBUTES,
    BUILTINS,
    BY_NAME,
    EVALUATORS,
    IN_PART,
    LABELS,
    MODULES,
    NOT_BELOW,
    OF_MODULES,
    OPERATORS,
    SHADOWED,
    USUAL,
)

_MOST_REASONS = 20
_NAME_SHOWN = 40
_Node = TypeVar("_Node", bound=ast.AST)


def _any_of(*names: frozenset[str]) -> str:
    return "|".join(sorted(frozenset().union(*names)))


_CALLED = _any_of(BUILTINS, SHADOWED, frozenset(BY_NAME))
_DUNDER = r"__(?!(?:main|name|doc|version)__)[^\W_]\w*?__"
_FORBIDDEN = re.compile(rf"{_DUNDER}|\b(?:{_any_of(INSPECT_ATTRIBUTES)})\b")
"""What no honest text holds, be it a format, the name of an attribute or an expression."""
_SUSPECT = re.compile(rf"\b(?:{_CALLED})\b|\b_*(?:{_any_of(ATTRIBUTES)})\b")
"""What makes a text worth a second look."""
_RUN = re.compile(rf"\b(?:{_CALLED})\s*\(|\bimport\b|\.\s*_*(?:{_any_of(ATTRIBUTES)})\b")
"""What is refused in a text that will be rewritten and then run, so that it need not be Python yet."""


def review(code: str) -> list[str]:
    """The reasons why the policy refuses ``code``, as ``line 3: ...`` and in order; none when it is admitted."""
    policy = _Policy()
    try:
        policy.read(_parse(code, "exec"))
    except (RecursionError, MemoryError):
        return ["line 1: too deeply nested or too large to read"]
    except (SyntaxError, ValueError):  # ValueError: a NUL, half a character
        return []
    return policy.reasons()


def _parse(code: str, mode: str) -> ast.AST:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "\s" in a docstring
        return ast.parse(code, mode=mode)


class _Policy(RestrictingNodeTransformer):
    """Visits every node once, from a list and not by recursion: deep code costs no more than long code.

    Nothing is rewritten: where RestrictedPython puts in a guard, the node is only looked into.
    """

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[ast.AST] = []
        self._found: set[tuple[int, str]] = set()
        self._imported: dict[str, str] = {}
        """What names stand for a module, or for something of one: ``np`` for ``numpy``."""
        self._starred = False
        self._bound: set[str] = set()
        self._alone: list[ast.Name] = []
        """Names that are read for themselves, and not for an attribute."""
        self._chains: list[tuple[str, list[ast.Attribute]]] = []
        """Attributes that start from a name, nearest first."""

    def read(self, tree: ast.AST) -> None:
        self._waiting.append(tree)
        while self._waiting:
            self.visit(self._waiting.pop())
        for name, chain in self._chains:
            if path := self._module_of(name):
                self._check_chain(path, chain)
        for node in self._alone:
            self._check_alone(node)

    def reasons(self) -> list[str]:
        found = [f"line {line}: {info}" for line, info in sorted(self._found)]
        more = len(found) - _MOST_REASONS
        return found if more <= 0 else [*found[:_MOST_REASONS], f"and {more} more"]

    def error(self, node: ast.AST, info: str) -> None:
        self._found.add((getattr(node, "lineno", 1), info))

    def not_allowed(self, node: ast.AST) -> None:
        self.error(node, f"{type(node).__name__} is not admitted")

    def node_contents_visit(self, node: _Node) -> _Node:
        self._waiting += [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr_context)]
        return node

    # constructs that RestrictedPython refuses, or guards at run time

    def guard_iter(self, node: ast.For | ast.comprehension) -> ast.AST:
        return self.node_contents_visit(node)

    def inject_print_collector(self, node: ast.Module | ast.FunctionDef, position: int = 0) -> None:
        pass

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        return self.node_contents_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        return self.node_contents_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        return self.node_contents_visit(node)

    def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.AST:
        return self.node_contents_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        return self.node_contents_visit(node)

    def visit_With(self, node: ast.With) -> ast.AST:
        return self.node_contents_visit(node)

    def visit_Match(self, node: ast.Match) -> ast.AST:
        return self.node_contents_visit(node)

    def visit_match_case(self, node: ast.match_case) -> ast.AST:
        return self.node_contents_visit(node)

    def visit_MatchValue(self, node: ast.MatchValue) -> ast.AST:
        return self.node_contents_visit(node)

    def visit_MatchSingleton(self, node: ast.MatchSingleton) -> ast.AST:
        return node

    def visit_MatchSequence(self, node: ast.MatchSequence) -> ast.AST:
        return self.node_contents_visit(node)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> ast.AST:
        self.check_name(node, node.rest)
        return self.node_contents_visit(node)

    def visit_MatchClass(self, node: ast.MatchClass) -> ast.AST:
        for name in node.kwd_attrs:  # an attribute is read here too
            self._check_attribute(node, name)
        return self.node_contents_visit(node)

    def visit_MatchStar(self, node: ast.MatchStar) -> ast.AST:
        self.check_name(node, node.name)
        return node

    def visit_MatchAs(self, node: ast.MatchAs) -> ast.AST:
        self.check_name(node, node.name)
        return self.node_contents_visit(node)

    def visit_MatchOr(self, node: ast.MatchOr) -> ast.AST:
        return self.node_contents_visit(node)

    # names

    def check_name(self, node: ast.AST, name: str | None, allow_magic_methods: bool = False) -> None:
        if name is not None and _is_dunder(name) and name not in OPERATORS | LABELS:
            self.error(node, f"name {_short(name)}")

    def visit_Name(self, node: ast.Name) -> ast.AST:
        self.check_name(node, node.id)
        if isinstance(node.ctx, ast.Load):
            self._alone.append(node)
        else:
            self._bound.add(node.id)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self._bound.add(node.name)
        super().visit_FunctionDef(node)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        self._bound.add(node.arg)
        return self.node_contents_visit(node)

    def _check_alone(self, node: ast.Name) -> None:
        name = node.id
        if name in BUILTINS or name in BY_NAME or (name in SHADOWED and name not in self._bound):
            self.error(node, f"name {name}")
        elif (path := self._module_of(name)) in IN_PART:
            self.error(node, f"{path} passed on whole")
        elif self._starred and name not in self._bound and name in ATTRIBUTES | OF_MODULES:
            self.error(node, f"name {name} from an import of everything")

    def _module_of(self, name: str) -> str:
        """What is known to be imported under this name, here or (by its usual name) in an earlier check."""
        if name in self._bound:
            return self._imported.get(name, "")
        return USUAL.get(name, name if name in MODULES or name in IN_PART else "")

    # attributes

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        chain: list[ast.Attribute] = []
        value: ast.expr = node
        while isinstance(value, ast.Attribute):
            if not (value.attr == "__class__" and chain and chain[-1].attr == "__name__"):
                self._check_attribute(value, value.attr)
            chain.append(value)
            value = value.value
        if isinstance(value, ast.Name):
            self.check_name(value, value.id)
            self._chains.append((value.id, chain[::-1]))
        else:
            self._waiting.append(value)
        return node

    def _check_attribute(self, node: ast.AST, name: str) -> None:
        forbidden = name in INSPECT_ATTRIBUTES or name.strip("_") in ATTRIBUTES
        if forbidden or (_is_dunder(name) and name not in OPERATORS | LABELS):
            self.error(node, f"attribute {_short(name)}")

    def _check_chain(self, path: str, chain: list[ast.Attribute]) -> None:
        """Attributes of something imported: more is refused there, since little else is known of it."""
        if path in IN_PART and chain[0].attr not in IN_PART[path]:
            self.error(chain[0], f"attribute {_short(chain[0].attr)} of {path}")
        for depth, node in enumerate(chain):
            if node.attr in OF_MODULES or (node.attr.startswith("_") and not _is_dunder(node.attr)):
                self.error(node, f"attribute {_short(node.attr)} of {_short(path)}")
            if depth < 3 and ".".join([path, *(link.attr for link in chain[: depth + 1])]) in NOT_BELOW:
                self.error(node, f"use of {_short(path)}.{_short(node.attr)}")

    # imports

    def check_import_names(self, node: ast.ImportFrom | ast.Import) -> ast.AST:
        for alias in node.names:
            if isinstance(node, ast.ImportFrom):
                module, taken = node.module or "", alias.name
                self._check_taken(node, module, taken)
                name, path = alias.asname or taken, f"{module}.{taken}"
            else:
                module = path = alias.name
                name = alias.asname or module.partition(".")[0]
                path = module if alias.asname else name
            self._starred |= alias.name == "*"
            self._check_module(node, module)
            self.check_name(node, alias.asname)
            self._imported[name] = path
            self._bound.add(name)
        return node

    def _check_module(self, node: ast.AST, module: str) -> None:
        parts = module.split(".")
        known = parts[0] in MODULES or module in IN_PART
        private = any(part.startswith("_") for part in parts) and module != "__future__"
        below = any(".".join(parts[:depth]) in NOT_BELOW for depth in (2, 3))
        if getattr(node, "level", 0) or not known or private or below or not ATTRIBUTES.isdisjoint(parts[1:]):
            self.error(node, f"import of {_short(module)}")

    def _check_taken(self, node: ast.AST, module: str, name: str) -> None:
        if module in IN_PART:
            refused = name not in IN_PART[module]
        else:
            private = name.startswith("_") and name not in LABELS
            refused = private or name.strip("_") in ATTRIBUTES | OF_MODULES or f"{module}.{name}" in NOT_BELOW
        if refused:
            self.error(node, f"import of {_short(name)} from {_short(module)}")

    # calls and texts

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = _name_of(node.func)
        if name == "print":
            self._waiting += [part for part in _arguments(node) for part in _said(part)]
        else:
            self._waiting += _arguments(node)
        if name in EVALUATORS:
            for part in _arguments(node):
                if isinstance(part, ast.Constant) and isinstance(part.value, str) and _RUN.search(_plain(part.value)):
                    self.error(part, f"text for {name} that holds code")
        if name in BY_NAME:
            self._check_by_name(node, name, BY_NAME[name])
        if name in SHADOWED and isinstance(node.func, ast.Name):
            self.error(node, f"call of {name}")
        if not (name in BY_NAME and isinstance(node.func, ast.Name)):
            self._waiting.append(node.func)
        return node

    def _check_by_name(self, node: ast.Call, name: str, place: int) -> None:
        read = node.args[place] if len(node.args) > place else None
        if isinstance(read, ast.Constant) and isinstance(read.value, str):
            for part in read.value.split("."):
                self._check_attribute(node, part)
        else:
            self.error(node, f"{name} of a name that is not in the code")

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        if node.arg == "allow_pickle" and not (isinstance(node.value, ast.Constant) and node.value.value is False):
            self.error(node.value, "allow_pickle")
        return self.node_contents_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        return node if isinstance(node.value, ast.Constant) else self.node_contents_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if not isinstance(node.value, str):
            return node
        text = _plain(node.value)
        if found := _FORBIDDEN.search(text):
            self.error(node, f"text that holds {_short(found.group())}")
        elif _SUSPECT.search(text) and _is_refused_expression(text):
            self.error(node, "text that would be refused as code")
        return node


def _is_refused_expression(text: str) -> bool:
    policy = _Policy()
    try:
        policy.read(_parse(text.strip(), "eval"))
    except (SyntaxError, ValueError):
        return False
    return bool(policy.reasons()) and not text.strip().isidentifier()


def _plain(text: str) -> str:
    """As the parser would read its names: ``ｅｘｅｃ`` is ``exec``."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def _said(part: ast.AST) -> Iterator[ast.AST]:
    """What is left to look at in something that is only printed."""
    if isinstance(part, ast.JoinedStr):
        yield from (value for value in part.values if not isinstance(value, ast.Constant))
    elif not isinstance(part, ast.Constant):
        yield part


def _arguments(node: ast.Call) -> list[ast.AST]:
    return [*node.args, *node.keywords]


def _name_of(function: ast.expr) -> str:
    if isinstance(function, ast.Name):
        return function.id
    return function.attr if isinstance(function, ast.Attribute) else ""


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__") and name.strip("_") != ""


def _short(name: str) -> str:
    """To be shown: a name that is given as a text may hold anything."""
    name = name if name.isprintable() else ascii(name)[1:-1]
    return name if len(name) <= _NAME_SHOWN else name[:_NAME_SHOWN] + "..."
