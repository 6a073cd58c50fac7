"""The static gate: what honest checks need is admitted, ways out are refused, and no text upsets it."""

import ast
import asyncio
import contextlib
import json
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genprm.sandbox import Result, Sandbox
from genprm.sandbox.inside.policy import review
from tests.rooms import room
from tests.texts import CHARACTERS, SURROGATES

ADMITTED = {
    "star import": "from sympy import *\nfrom math import *\nprint(sqrt(2))",
    "imports": "import math, numpy as np, sympy as sp\nfrom fractions import Fraction as F\nimport numpy.linalg as la",
    "submodules": "from sympy.ntheory.modular import crt\nfrom scipy.optimize import brentq\nimport scipy.signal",
    "future": "from __future__ import annotations",
    "items": "d = {}\nd['a'] = 1\nd['a'] += 1\ndel d['a']\nm = [[1]]\nm[0][0] *= 2\nm[0][:1] = [3]",
    "attributes": "p.x = 1\np.x += 1\ndel p.x",
    "main": "def main():\n    print(1)\nif __name__ == '__main__':\n    main()",
    "annotations": "x: int = 1\ndef f(a: 'int', *b: float) -> list[int]:\n    y: str\n    return [a]",
    "match value": "match n:\n    case 0 | 1: pass\n    case -1: pass\n"
    "    case math.pi: pass\n    case None: pass\n    case _: pass",
    "match shape": "match p:\n    case [a, *_]: pass\n    case {'k': v, **r}: pass\n    case P(x=0) as q: pass",
    "nonlocal": "def f():\n    n = 0\n    def g():\n        nonlocal n\n        n += 1\n    return g",
    "global": "n = 0\ndef f():\n    global n\n    n += 1",
    "underscores": "_x = 1\nfor _ in range(3): _x += 1\n"
    "try: pass\nexcept ValueError as _e: print(_e)\ndef _f(_a): return _a",
    "private attributes": "class P:\n    def __init__(self): self._x, self.__y = 1, 2\nprint(P()._x, q._replace(a=1))",
    "operators": "class V:\n    def __add__(self, o): return self\n"
    "    __radd__ = __add__\n    def __repr__(self): return 'V'",
    "super": "class A(B):\n    __slots__ = ('x',)\n"
    "    def __init__(self):\n        super().__init__()\n        A.__add__(1, 2)",
    "sympy class": "class f(Function):\n    @classmethod\n    def eval(cls, x):\n        return x\nprint(f.eval(1))",
    "dataclass": "from dataclasses import dataclass, field\n@dataclass(frozen=True)\n"
    "class P:\n    x: int\n    y: list = field(default_factory=list)",
    "type name": "print(type(x).__name__, self.__class__.__name__, sympy.__version__, f.__doc__)",
    "f-strings": "print(f'{x:.2f} {x!r:>{w}} {d[\"a\"]} {x=}')",
    "format": "print('{} {0.real} {x[0]:>3}'.format(a, x=b), '%s' % a)",
    "lambda": "f = lambda x, *a, k=1, **kw: (x, a, k, kw)\nprint(sorted(d, key=lambda t: -t[1]))",
    "walrus": "if (n := 10) > 5: print([y := 1, y**2])",
    "stars": "a, *b = c\n(d, (e, f)) = g\nprint(*b, **k)\nx = [*a, *b]\ny = {**c, 'd': 1}",
    "generators": "def g():\n    x = yield 1\n"
    "    yield from range(3)\nprint(sum(i for i in g() if i), {i: j for i, j in z})",
    "with": "with localcontext() as (a, b), workdps(50) as c: pass",
    "try": "try:\n    x = 1 / 0\nexcept (ZeroDivisionError, ValueError) as e:\n"
    "    raise TypeError('no') from e\nelse: pass\nfinally: pass",
    "assert": "assert x == 1, 'not one'\nwhile True:\n    break\nelse: pass",
    "operations": "print(a @ b, ~a ^ b | c & d, a << 1 >> 2, not a, a is not b, a not in"
    " b, a if b else c, a // b % c ** -d)",
    "slices": "print(a[1:2, ::3], a[..., None], a[-1])",
    "sys": "import sys\nsys.setrecursionlimit(10**6)\nprint(sys.maxsize, file=sys.stderr)\nsys.exit(0)",
    "sys names": "from sys import setrecursionlimit, maxsize",
    "in memory": "from io import StringIO\nimport types\n"
    "n = types.SimpleNamespace(a=1)\nfrom timeit import default_timer",
    "input": "n = int(input())",
    "names by text": "print(getattr(x, 'real'), hasattr(x, 'y'))\nsetattr(x, 'y', 1)\n"
    "from operator import attrgetter\nattrgetter('a.b')",
    "vars": "vars = symbols('x y')\nprint(solve(e, vars))",
    "own words": "load = 3\nbeam.load = load\nbeam.save(1)\nprinted = True\ncompile_ = 1\nself.open = 2",
    "own words beside everything": "from sympy import *\nload, save = symbols('load save')\nprint(load + save)",
    "usual names of one's own": "random = 3\nmp = [1]\nprint(random, mp.load)",
    "sympify": "from sympy import *\n"
    "print(sympify('x**2 + sin(x)/2'), S('1/3'), parse_expr('2*x'), symbols('alpha:3'))",
    "words in texts": "print('open(1, 2) import os __class__ eval(x)')\n"
    "y = 'the open (0, 1) interval'\nz = f'eval ({y})'",
    "words in docstrings": 'def f():\n    """Calls eval(x) of __class__, \\\\sqrt."""\n    return "______"',
    "bad escapes": "x = '\\d \\sqrt'",
    "decorators": "from functools import lru_cache, reduce\n@lru_cache(maxsize=None)\n"
    "def f(n): return n\n@property\ndef g(self): ...",
    "arrays": "a = np.zeros(3)\na[0] += 1\nprint(np.linalg.det(m), np.random.default_rng(0), a.T.dot(a), np.trace(m))",
    "long sum": "x = " + " + ".join(["1"] * 500),
    "unicode": "π = 3\nprint(π, '²')",
    "nothing": "",
    "not python": "Let x = 3.",
}
OUTSIDE = """
os subprocess socket ctypes shutil pathlib importlib multiprocessing threading asyncio signal builtins gc inspect pickle
marshal tempfile glob runpy code pty resource urllib.request requests concurrent.futures pandas torch genprm
RestrictedPython
"""
REFUSED = {
    "exec": "exec('1')",
    "eval": "print(eval('1 + 1'))",
    "eval kept": "e = eval\ne('1')",
    "eval passed on": "list(map(eval, ['1']))",
    "eval as decorator": "@eval\ndef f(): pass",
    "eval in wide letters": "ｅｖａｌ('1')",
    "compile": "compile('1', '', 'eval')",
    "open": "print(open('/etc/passwd').read())",
    "open with": "with open('x', 'w') as f: pass",
    "breakpoint": "breakpoint()",
    "__import__": "__import__('os')",
    "globals": "globals()['x'] = 1",
    "locals": "locals()",
    "vars called": "vars(x)['y']",
    "vars kept": "v = vars",
    "vars shadowed and called": "vars = 1\ndel vars\nvars(x)",
    "getattr dunder": "getattr(x, '__class__')",
    "getattr frame": "getattr(g, 'gi_frame')",
    "getattr put together": "getattr(x, '__cl' + 'ass__')",
    "getattr passed on": "map(getattr, a, b)",
    "setattr dunder": "setattr(x, '__class__', y)",
    "delattr": "delattr(x, '__dict__')",
    "attrgetter": "import operator\noperator.attrgetter('__class__.__mro__')(x)",
    "methodcaller": "from operator import methodcaller\nmethodcaller(name)(x)",
    "class": "x.__class__",
    "class of a name": "x.__class__.__base__.__name__",
    "subclasses": "().__class__.__bases__[0].__subclasses__()",
    "globals of a function": "f.__globals__",
    "dict": "x.__dict__['a']",
    "module": "f.__module__",
    "builtins": "__builtins__['eval']",
    "loader": "__loader__.load_module('os')",
    "dunder store": "x.__class__ = y",
    "dunder argument": "def f(__builtins__): pass",
    "dunder handler": "try: pass\nexcept E as __builtins__: pass",
    "dunder alias": "import math as __builtins__",
    "dunder method": "class A:\n    def __getattribute__(self, n): pass",
    "dunder finaliser": "class A:\n    def __del__(self): pass",
    "dunder pattern": "match x:\n    case object(__class__=c): pass",
    "dunder capture": "match x:\n    case [*__builtins__]: pass",
    "dunder rest": "match x:\n    case {**__builtins__}: pass",
    "dunder in f-string": "print(f'{x.__class__}')",
    "generator frame": "(i for i in x).gi_frame.f_back",
    "traceback frame": "try: 1 / 0\nexcept Exception as e: print(e.__traceback__.tb_frame)",
    "frame": "f.f_globals",
    "code": "f.gi_code",
    "metaclass": "class A(metaclass=B): pass",
    "try star": "try: pass\nexcept* ValueError: pass",
    "async": "async def f():\n    await g()",
    "format": "'{0.__class__}'.format(x)",
    "format kept": "t = '{0.__class__}'\nt.format(x)",
    "format printed": "print('{0.__class__}'.format(x))",
    "format frame": "'{0.gi_frame}'.format(g)",
    "format built as f-string": "f'{{0.__class__}}{x}'.format(x)",
    "formatter": "import string\nstring.Formatter().format(t, x)",
    "sympify": "sympify(\"__import__('os').system('ls')\")",
    "sympify call": "from sympy import S\nS(\"open('/etc/passwd')\")",
    "sympify rewritten": "import sympy as sp\nsp.sympify('5! + eval(chr(49))')",
    "sympify wide": "sympify('ｅｖａｌ(1)')",
    "parse_expr": "parse_expr('().__class__')",
    "parse_expr of a name": "t = \"open('x').read()\"\nparse_expr(t)",
    "lambdify": "lambdify(Symbol(\"x=__import__('os')\"), 1)",
    "symbol": "Symbol('x: exec(chr(1))')",
    "import module": "from sympy.external import import_module",
    "import module by attribute": "import sympy\nsympy.external.import_module('os')",
    "import module below": "sympy.external.importtools.import_module('os')",
    "autowrap": "from sympy.utilities.autowrap import autowrap",
    "codegen": "import sympy.utilities.codegen",
    "preview": "from sympy import preview",
    "numpy load": "import numpy as np\nnp.load('x', allow_pickle=True)",
    "numpy load taken": "from numpy import load",
    "numpy load of an earlier import": "np.load('x')",
    "numpy load among everything": "from numpy import *\nload('x')",
    "numpy fromfile among everything": "from numpy import *\nfromfile('x')",
    "sys of an earlier import": "s = sys",
    "evaluation by sympy's parser": "from sympy.parsing.sympy_parser import eval_expr",
    "annotation": "def f(x: \"open('y')\"): pass",
    "way to the builtins": "print.__self__.open('x')",
    "numpy fromfile": "a = np.fromfile('/etc/passwd')",
    "numpy tofile": "a.tofile('x')",
    "numpy ctypeslib": "import numpy.ctypeslib",
    "numpy f2py": "import numpy\nnumpy.f2py.compile('x')",
    "pickles": "np.foo(x, allow_pickle=True)",
    "module leak": "import random\nrandom._os.system('ls')",
    "module leak taken": "from random import _os",
    "module leak public": "import statistics\nstatistics.sys.modules",
    "module leak below": "import sympy as sp\nsp.core.basic._aresame",
    "sys modules": "import sys\nsys.modules['os']",
    "sys frame": "import sys\nsys._getframe()",
    "sys taken": "from sys import modules",
    "sys star": "from sys import *",
    "sys passed on": "import sys\nf(sys)",
    "relative": "from . import x",
    "private module": "import _posixsubprocess",
    "part of a private module": "from numpy._core import x",
    "os path": "import os.path",
    **{f"import {name}": f"import {name}" for name in OUTSIDE.split()},
}
NESTED = {
    "parentheses": "(" * 65_536,
    "balanced": "(" * 32_768 + ")" * 32_768,
    "lists": "[" * 150 + "]" * 150,
    "calls": "f(" * 150 + ")" * 150,
    "signs": "-" * 65_535 + "1",
    "nots": "not " * 16_000 + "x",
    "sum": "+".join("1" * 32_768),
    "attributes": "a" + ".b" * 32_000,
    "short attributes": "a" + ".b" * 400,
    "subscripts": "a" + "[0]" * 20_000,
    "called results": "a" + "()" * 32_000,
    "lambdas": "lambda:" * 9_000 + "0",
    "powers": "2" + "**2" * 20_000,
    "comparisons": "1" + "<1" * 32_000,
    "ifs": "".join(" " * depth + "if 1:\n" for depth in range(99)) + " " * 99 + "pass",
    "elifs": "if 1: pass\n" + "elif 1: pass\n" * 4_000,
    "f-strings": "f'" + "{x}" * 20_000 + "'",
    "texts in texts": "x = " + repr(repr(repr(repr("eval(" + repr("eval(1)") + ")")))),
    "many reasons": "eval\n" * 13_000,
    "many classes": "class a:0\n" * 6_000,
    "one long name": "x" * 65_000 + ".__" + "y" * 500 + "__",
    "underscores": "x = '" + "__a" * 20_000 + "'",
    "suspect text": "x = '" + "eval(" * 13_000 + "'",
    "decorators": "@a\n" * 20_000 + "def f(): pass",
    "big number": "x = " + "9" * 65_000,
}
ODD = [
    "\0",
    "x = 1\0",
    "\ud800",
    "x = '\ud800'",
    "\ufeffx",
    "\x0c",
    "\\",
    "x\\\n",
    "\r",
    "if 1:\n\tx\n        y",
    "'",
    "x = 1;;",
]
WORDS = """
import from as def class lambda if else for in while try except with match case not and or return yield print eval open
sys os np __class__ _x x y getattr sympify 'os' '__class__' '{0.a}' 1 2.5 ( ) [ ] { } . , : = += := * ** - @ ~ ;
"""


@pytest.mark.parametrize("name", ADMITTED)
def test_admitted(name: str) -> None:
    assert review(ADMITTED[name]) == []


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    ast.parse(REFUSED[name])  # else it would be let pass
    reasons = review(REFUSED[name])
    assert reasons
    assert all(reason.startswith("line ") for reason in reasons)


def test_reasons_say_where_and_what() -> None:
    assert review("x = 1\nimport os\n\nos.system('ls'); y.__class__") == [
        "line 2: import of os",
        "line 4: attribute __class__",
        "line 4: attribute system",
    ]


def test_reasons_are_few_and_short() -> None:
    reasons = review("eval\n" * 1000 + "x.__" + "a" * 5000 + "__")
    assert reasons[-1] == "and 981 more"
    assert len(reasons) == 21
    assert all(len(reason) < 100 for reason in review("x.__" + "a" * 5000 + "__"))


@pytest.mark.slow
@pytest.mark.parametrize("name", NESTED)
def test_deep_and_long_code_ends_soon(name: str) -> None:
    began = time.process_time()
    check_reasons(review(NESTED[name]))
    assert time.process_time() - began < 2.0


def test_what_is_too_deep_is_said() -> None:
    assert review(NESTED["signs"]) == ["line 1: too deeply nested or too large to read"]


@pytest.mark.parametrize("code", ODD)
def test_odd_text(code: str) -> None:
    assert review(code) == []


def test_warnings_of_the_code_are_not_ours() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert review("x = '\\d'\nx is 1\nimport os") == ["line 3: import of os"]


def test_the_code_is_only_read() -> None:
    assert review("raise SystemExit\nx = 1 / 0\nwhile True: pass") == []


@given(st.text(CHARACTERS, max_size=400) | st.text(CHARACTERS | SURROGATES, max_size=100))
def test_any_text_gets_an_answer(code: str) -> None:
    check_reasons(review(code))


@given(st.lists(st.sampled_from([*WORDS.split(), "\n"]), max_size=40).map(" ".join))
def test_any_heap_of_words_gets_an_answer(code: str) -> None:
    check_reasons(review(code))


@given(st.deferred(lambda: EXPRESSIONS))
def test_any_program_gets_an_answer(code: str) -> None:
    check_reasons(review(f"def f(a, *b):\n    for x in {code}:\n        y[{code}] += {code}\n    return {code}"))


@given(st.deferred(lambda: EXPRESSIONS), st.sampled_from(["x.__class__", "eval(x)", "(lambda: open)", "x.gi_frame"]))
def test_a_way_out_is_seen_wherever_it_stands(code: str, way: str) -> None:
    assert review(f"z = [{code}, {way}, {code}]")
    assert review(f"def f():\n    class A:\n        b: {way} = {code}")


@settings(max_examples=50)
@given(st.data())
def test_damaged_checks_get_an_answer(data: st.DataObject) -> None:
    code = data.draw(st.sampled_from([*ADMITTED.values(), *REFUSED.values()]))
    place = data.draw(st.integers(0, len(code)))
    check_reasons(review(code[:place] + data.draw(st.text(CHARACTERS, max_size=5)) + code[place + 1 :]))


def test_names_that_are_texts_are_shown_in_one_line() -> None:
    reasons = review("import operator\noperator.attrgetter('__class__.__\x1f\x85ro__')(x)")
    assert any("__\\x1f\\x85ro__" in reason for reason in reasons)
    check_reasons(reasons)


def test_honest_blocks_are_admitted(shared_data: Callable[[str], Path]) -> None:
    """At least 98 in 100 of what models wrote while solving problems."""
    blocks = honest_blocks(shared_data)
    refused = {block["uid"]: reasons for block in blocks if (reasons := review(block["code"]))}
    assert len(refused) <= 0.02 * len(blocks), refused


def test_a_review_costs_little(shared_data: Callable[[str], Path]) -> None:
    """Against Python's own compilation of the same code, so that a slow machine is no failure."""
    codes = [block["code"] for block in honest_blocks(shared_data)][:300]
    ours, theirs = median_s(review, codes), median_s(compiled, codes)
    assert ours < 4 * theirs, (ours, theirs)


EXPRESSIONS: st.SearchStrategy[str] = st.recursive(
    st.sampled_from(["x", "1", "2.5", "'a b'", "None", "f'{x:>{y}}'", "...", "_t", "-1", "b'x'", "'{0.real}'"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda p: f"({p[0]} + {p[1]})"),
        st.tuples(inner, inner).map(lambda p: f"f({p[0]}, *[{p[1]}], k={p[0]})"),
        st.tuples(inner, inner).map(lambda p: f"({p[0]}).a[{p[1]}:]"),
        st.tuples(inner, inner).map(lambda p: f"[i for i in ({p[0]}) if ({p[1]})]"),
        st.tuples(inner, inner).map(lambda p: f"(lambda a, *b: ({p[0]}) if ({p[1]}) else a)"),
        st.tuples(inner, inner).map(lambda p: f"{{({p[0]}): ({p[1]})}}"),
        inner.map(lambda p: f"(w := ({p}))"),
    ),
    max_leaves=8,
)


def check_reasons(reasons: object) -> None:
    assert isinstance(reasons, list)
    assert all(isinstance(reason, str) and reason.isprintable() for reason in reasons)


def honest_blocks(shared_data: Callable[[str], Path]) -> list[dict[str, str]]:
    path = shared_data("code_blocks") / "blocks.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def compiled(code: str) -> None:
    with contextlib.suppress(SyntaxError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compile(code, "check", "exec")


def median_s(act: Callable[[str], object], codes: list[str]) -> float:
    def once(code: str) -> float:
        began = time.process_time()
        act(code)
        return time.process_time() - began

    return statistics.median(min(once(code) for _ in range(3)) for code in codes)


# --- in force ------------------------------------------------------------------------------------------------------

HOSTILE = "import os\nprint(os.getpid() > 0)"


@pytest.mark.slow
def test_audit_flags_enforce_refuses_off_says_nothing() -> None:
    async def main(sandbox: Sandbox) -> list[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
        async with sandbox.session() as session:
            results = [await session.run(code) for code in ("x = 1", HOSTILE, "print(x)")]
            return [(r.status, r.stdout, r.flags, r.policy) for r in results[1:]]

    said = ("line 1: import of os",)
    well = ("ok", "1\n", (), ())
    assert room().run(main, "audit") == [("ok", "True\n", ("policy",), said), well]
    assert room().run(main, "enforce") == [("refused", "", ("policy",), said), well]
    assert room().run(main, "off") == [("ok", "True\n", (), ()), well]


@pytest.mark.slow
def test_a_lost_reviewer_is_replaced_and_accuses_nobody() -> None:
    async def main(sandbox: Sandbox) -> list[Result]:
        async with sandbox.session() as session:
            results = [await session.run("print(0)  # to be reviewed anew")]
            for _ in range(5):
                worker = sandbox._reviewer._worker
                assert worker is not None
                worker.kill()
                results.append(await session.run(f"print({len(results)})  # to be reviewed anew"))
            return results

    assert {result.flags for result in room().run(main)} == {()}


@pytest.mark.slow
@pytest.mark.parametrize("text", ["(" * 60_000, "x = " + "-" * 60_000 + "1", "a" + ".b" * 30_000, "f'{" * 9_000])
def test_text_that_upsets_a_parser_upsets_nobody_else(text: str) -> None:
    async def main(sandbox: Sandbox) -> Result:
        async with sandbox.session() as session:
            await session.run(text)
            return await session.run("print(1)")

    assert room().run(main).stdout == "1\n"


def test_findings_outlive_the_one_who_asked_first() -> None:
    async def main(sandbox: Sandbox) -> tuple[str, ...]:
        unseen = f"{HOSTILE}  # and asked for twice"
        asking = asyncio.ensure_future(sandbox.review(unseen))
        await asyncio.sleep(0)
        asking.cancel()
        return await sandbox.review(unseen)

    assert room().run(main) == ("line 1: import of os",)
