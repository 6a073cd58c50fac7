"""What the zygote loads and warms, so that a check finds it ready."""

import contextlib
import importlib
import os
import random
import sys
from collections.abc import Iterable

_ALWAYS = (
    "bisect cmath collections copy ctypes dataclasses datetime decimal enum fractions functools heapq itertools json"
    " math numbers operator random re resource signal statistics string textwrap time traceback typing"
)
_IF_THERE = "numpy"
# Needed to start some Pythons at all.
_PASSED_ON = ("LD_LIBRARY_PATH",)


def environment(seed: int | None) -> dict[str, str]:
    """All that the zygote sees of the host's environment (keys and tokens stay behind)."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | {
        # One thread: forks of a process with threads are unsafe, and user namespaces are refused to it.
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"),
        "PYTHONHASHSEED": "random" if seed is None else str(seed % 2**32),
        "PYTHONUTF8": "1",
        "LC_ALL": "C.UTF-8",
        "PATH": "/usr/bin:/bin",
    }


def preload(wanted: Iterable[str] = ()) -> list[str]:
    """Import the libraries of the checks; returns the folders that hold them. ``wanted`` must be there."""
    import sympy  # noqa: F401

    for name in (*_ALWAYS.split(), *_IF_THERE.split()):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for name in wanted:
        importlib.import_module(name)
    sys.dont_write_bytecode = True
    roots = (sys.modules.get(name.split(".")[0]) for name in ("sympy", "mpmath", *_IF_THERE.split(), *wanted))
    return [os.path.dirname(os.path.dirname(root.__file__)) for root in roots if root and root.__file__]


def warm_up(seed: int | None) -> None:
    """Some of every kind of mathematics, so that sympy's late imports, tables and caches are there once and for all.

    What a child meets for the first time it pays for, and throws away at its end: without this a check takes a third
    longer. An operation that some version of sympy lacks is left out.
    """
    for act in (_algebra, _calculus, _numbers, _matrices, _shapes, _printing, _arrays):
        with contextlib.suppress(ImportError, AttributeError, NotImplementedError):
            act()
    reseed(seed)


def _algebra() -> None:
    from sympy import (
        Abs,
        Eq,
        Poly,
        Rational,
        S,
        Symbol,
        apart,
        cancel,
        cos,
        exp,
        expand,
        factor,
        log,
        nsimplify,
        roots,
        simplify,
        sin,
        solve,
        solveset,
        sqrt,
        symbols,
        tan,
        together,
        trigsimp,
    )

    x, y, z = symbols("x y z")
    n, r = Symbol("n", integer=True, positive=True), Symbol("r", real=True)
    expand((2 * x - y) ** 4)
    factor(x**3 - y**3)
    factor(6 * x**2 + 5 * x - 4)
    cancel((x**2 - 4) / (x - 2))
    apart(1 / (x * (x + 1)))
    together(1 / x + 1 / (x + 2))
    for expression in (
        sin(x) ** 2 + cos(x) ** 2 - tan(y) * cos(y) / sin(y),
        (x**2 - y**2) / (x + y) - exp(2 * x) / exp(x),
        sqrt(12) + sqrt(27) * Rational(1, 3),
        log(8) / log(2) + n ** Rational(3, 2) / n,
        (x + 1 / x) ** 2 - Abs(-3) + 2 ** (n + 1) / 2**n,
    ):
        simplify(expression)
        expression.subs(x, 7).evalf()
    trigsimp(2 * sin(x) * cos(x))
    solve(x**2 - 7 * x + 10, x)
    solve(Eq(3 * x - 5, 16), x)
    solve(x**3 - 6 * x**2 + 11 * x - 6, x)
    solve(x**4 - 3 * x**2 + 1, x)
    solve([2 * x + y - 7, x - 3 * y], [x, y])
    solve([x + y + z - 6, x - y, z - 3 * x], [x, y, z], dict=True)
    solve([x * y - 12, x + y - 7], [x, y])
    solve(sqrt(x + 3) - 4, x)
    solve(2**x - 32, x)
    solve(sin(x) - Rational(1, 2), x)
    solve(x**2 - 9 < 0, x)
    solve(Abs(r - 2) - 5, r)
    solveset(x**2 - 5, x, domain=S.Reals)
    roots(Poly(x**3 - 2 * x + 4, x))
    Poly(x**4 + 2 * x + 1, x).all_coeffs()
    nsimplify(0.125)


def _calculus() -> None:
    from sympy import (
        Eq,
        Function,
        Integral,
        Limit,
        Sum,
        cos,
        diff,
        dsolve,
        exp,
        integrate,
        limit,
        log,
        oo,
        pi,
        series,
        simplify,
        sin,
        sqrt,
        summation,
        symbols,
    )

    x, k, n = symbols("x k n")
    f = Function("f")
    for expression in (x**4 - 2 * x, sin(3 * x) * exp(x), log(x**2 + 1) / x, sqrt(1 + x**2)):
        diff(expression, x)
        diff(expression, x, 2).subs(x, 2)
    for expression in (x**3 + 4 * x, x * exp(x), sin(x) * cos(x), 1 / (x**2 + 4), x * log(x), x / sqrt(9 - x**2)):
        integrate(expression, x)
    integrate(x**2 + 1, (x, 0, 3))
    integrate(sin(x) ** 2, (x, 0, pi))
    integrate(exp(-(x**2)), (x, -oo, oo))
    Integral(x * sin(x), (x, 0, pi)).doit()
    limit((1 - cos(x)) / x**2, x, 0)
    limit((1 + 2 / x) ** x, x, oo)
    limit((3 * x**2 + 1) / (x**2 - 5), x, oo)
    Limit((x**2 - 9) / (x - 3), x, 3).doit()
    series(exp(x) * cos(x), x, 0, 5)
    summation(k**2, (k, 1, n))
    simplify(Sum(k * (k + 1), (k, 1, n)).doit())
    summation(1 / 2**k, (k, 0, oo))
    dsolve(Eq(f(x).diff(x), 3 * f(x)), f(x))


def _numbers() -> None:
    from decimal import Decimal
    from fractions import Fraction

    from sympy import (
        Integer,
        Interval,
        Mod,
        Rational,
        binomial,
        divisor_count,
        divisors,
        factorial,
        factorint,
        fibonacci,
        gcd,
        igcd,
        ilcm,
        isprime,
        lcm,
        mod_inverse,
        nextprime,
        prime,
        primerange,
        sieve,
        totient,
    )
    from sympy.ntheory.modular import crt

    factorint(2**4 * 3**3 * 101)
    _ = divisors(720), divisor_count(720), totient(84), isprime(10007), nextprime(100), prime(20)
    _ = list(primerange(2, 200)), list(sieve.primerange(1, 50))
    _ = gcd(84, 126), lcm(12, 18), igcd(12, 18), ilcm(4, 6), mod_inverse(3, 11), Mod(17, 5), crt([3, 5], [2, 3])
    _ = binomial(10, 3), factorial(12), fibonacci(20), Integer(7) ** 30 % 13, Rational(22, 7).limit_denominator(10)
    _ = str(Fraction(3, 4) + Fraction(5, 6)), str(Decimal("1.10") * 3), Interval(0, 5).intersect(Interval(3, 9))


def _matrices() -> None:
    from sympy import Matrix, Rational, eye, symbols

    a, b = symbols("a b")
    matrix = Matrix([[2, 1, 0], [1, 3, 1], [0, 1, 4]])
    _ = matrix.det(), matrix.inv(), matrix.rank(), matrix.T * matrix + eye(3), matrix.rref(), matrix.nullspace()
    _ = Matrix([[4, 1], [2, 3]]).eigenvals(), Matrix([[4, 1], [2, 3]]).eigenvects()
    _ = Matrix([[a, b], [b, a]]).det(), matrix.solve(Matrix([1, 2, 3])), matrix**2 * Rational(1, 2)
    _ = Matrix([1, 2, 3]).dot(Matrix([4, 5, 6])), Matrix([1, 2, 3]).cross(Matrix([4, 5, 6])), Matrix([3, 4]).norm()


def _shapes() -> None:
    from sympy import Circle, Line, Point, Segment, Triangle, acos, atan, cos, deg, pi, rad, sin, sqrt

    triangle = Triangle(Point(0, 0), Point(6, 0), Point(0, 8))
    _ = triangle.area, triangle.perimeter, triangle.centroid, triangle.circumcircle.radius, triangle.incircle
    _ = Point(1, 2).distance(Point(4, 6)), Segment(Point(0, 0), Point(2, 2)).midpoint
    Line(Point(0, 0), Point(1, 1)).intersection(Line(Point(0, 4), Point(4, 0)))
    Circle(Point(0, 0), 5).intersection(Line(Point(-5, 3), Point(5, 3)))
    _ = sin(pi / 3) * cos(pi / 6), deg(acos(sqrt(3) / 2)), rad(60).evalf(), atan(1)


def _printing() -> None:
    from sympy import Eq, N, Rational, latex, oo, pi, pretty, sqrt, symbols, sympify

    x, y = symbols("x y")
    expression = sqrt(2) * x / (y + Rational(1, 3)) - pi * x**2 + 2.5
    _ = (
        str(expression),
        repr(expression),
        latex(expression),
        pretty(expression),
        N(expression, 20),
        str(Eq(x, y)),
        str(-oo),
    )
    _ = sympify("x**2 + 3/4*y")
    _ = (
        str({"a": [x, y], "b": (x, Rational(1, 2))}),
        float(sqrt(2)),
        int(Rational(9, 2)),
        round(Rational(7, 3).evalf(), 2),
    )


def _arrays() -> None:
    if (numpy := sys.modules.get("numpy")) is None:
        return
    array = numpy.array([[2.0, 1.0], [1.0, 3.0]])
    _ = numpy.linalg.solve(array, numpy.array([1.0, 2.0])), numpy.linalg.det(array), numpy.linalg.inv(array)
    _ = numpy.linalg.eig(array), array @ array, array.sum(axis=0), array.mean(), numpy.roots([1, -3, 2])
    _ = str(array), repr(array), numpy.arange(10).cumsum(), numpy.linspace(0, 1, 5), numpy.isclose(0.1 + 0.2, 0.3)
    _ = numpy.polyfit([0, 1, 2], [1, 3, 7], 2), numpy.trapezoid(array[0]), numpy.sort(array, axis=None)


def reseed(seed: int | None) -> None:
    """Set every random state that a program has without asking for it. None: fresh randomness."""
    from sympy.core import random as of_sympy

    random.seed(seed)
    of_sympy.seed(seed)
    if (of_numpy := sys.modules.get("numpy.random")) is not None:
        of_numpy.seed(None if seed is None else seed % 2**32)
