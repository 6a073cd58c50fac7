"""The words that the policy knows: what a check may import, and the names that it has no business with."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MODULES = _words(
    "__future__ abc array base64 binascii bisect calendar cmath collections colorsys contextlib copy csv"
    " dataclasses datetime decimal difflib enum fractions functools graphlib hashlib heapq itertools json keyword math"
    " numbers operator pprint queue random re reprlib secrets statistics string struct textwrap time traceback typing"
    " typing_extensions unicodedata uuid warnings weakref zlib zoneinfo"
    " gmpy2 matplotlib mpmath networkx numpy scipy sympy z3"
)
"""Top-level modules that a check may import whole."""

IN_PART = {
    "sys": _words(
        "maxsize setrecursionlimit getrecursionlimit set_int_max_str_digits get_int_max_str_digits float_info int_info"
        " hash_info version version_info exit stdout stderr stdin argv getsizeof byteorder platform"
    ),
    "io": _words("StringIO BytesIO"),
    "types": _words("SimpleNamespace MappingProxyType"),
    "timeit": _words("default_timer"),
}
"""Modules of which only these names are harmless."""

USUAL = {"np": "numpy", "sp": "sympy", "sym": "sympy", "plt": "matplotlib.pyplot", "nx": "networkx", "mp": "mpmath"}
"""What such names stand for where an earlier check of the session imported it."""

NOT_BELOW = _words(
    "sympy.external sympy.testing sympy.interactive.session sympy.utilities.autowrap sympy.utilities.codegen"
    " sympy.utilities.runtests sympy.utilities.source sympy.utilities.mathml sympy.plotting.pygletplot"
    " numpy.ctypeslib numpy.distutils numpy.f2py numpy.testing numpy.lib.format numpy.lib.npyio scipy.io"
    " networkx.readwrite"
)
"""Parts of those modules that compile, open or run things."""

BUILTINS = _words("exec eval compile open breakpoint globals locals __import__")
"""Never, under whatever name they are kept."""
SHADOWED = _words("vars")
"""A usual name for a list of unknowns, so refused only where it is called, or is nothing of the check's own."""
BY_NAME = {"getattr": 1, "setattr": 1, "delattr": 1, "attrgetter": 0, "methodcaller": 0}
"""What reaches an attribute through a text, and which argument holds it."""

ATTRIBUTES = _words(
    "asyncio builtins codeop ctypes gc getframe importlib importtools inspect linecache marshal meta_path modules"
    " multiprocessing os path_hooks pathlib pickle pkgutil popen posix pty runpy shutil socket subprocess sys"
    " system tempfile threading"
    " autowrap ctypeslib distutils eval_expr exec_ f2py import_module ufuncify"
    " dump fromfile fromregex genfromtxt loadtxt memmap open_memmap savefig savetxt savez savez_compressed to_pickle"
    " tofile"
)
"""Ways out of a harmless module: modules that it happens to hold, what runs text as code, what opens files."""
OF_MODULES = _words("Formatter external load open preview runstring rundocs save")
"""The same, but too usual as names: refused where they are reached through something imported."""

EVALUATORS = _words(
    "Dummy Eq Function Integer Matrix N Rational S Symbol diff expand factor integrate lambdify limit nsimplify"
    " parse_expr simplify solve solveset symbols sympify var"
)
"""What makes code of a text, after rewriting it: a text need not be Python to get through."""

OPERATORS = _words(
    "__abs__ __add__ __and__ __bool__ __call__ __ceil__ __complex__ __contains__ __delitem__ __divmod__ __enter__"
    " __eq__ __exit__ __float__ __floor__ __floordiv__ __format__ __ge__ __getitem__ __gt__ __hash__ __iadd__ __iand__"
    " __ifloordiv__ __ilshift__ __imatmul__ __imod__ __imul__ __index__ __init__ __int__ __invert__ __ior__ __ipow__"
    " __irshift__ __isub__ __iter__ __itruediv__ __ixor__ __le__ __len__ __length_hint__ __lshift__ __lt__ __matmul__"
    " __missing__ __mod__ __mul__ __ne__ __neg__ __new__ __next__ __or__ __pos__ __post_init__ __pow__ __radd__"
    " __rand__ __rdivmod__ __repr__ __reversed__ __rfloordiv__ __rlshift__ __rmatmul__ __rmod__ __rmul__ __ror__"
    " __round__ __rpow__ __rrshift__ __rshift__ __rsub__ __rtruediv__ __rxor__ __setitem__ __str__ __sub__ __truediv__"
    " __trunc__ __xor__"
)
"""What a class may define, and what may be called by name."""
LABELS = _words("__all__ __author__ __doc__ __match_args__ __name__ __slots__ __version__")
"""Double-underscored names that lead nowhere."""
