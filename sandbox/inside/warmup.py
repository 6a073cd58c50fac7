"""Some of every kind of mathematics, so that sympy's late imports, tables and caches are there once and for all.

What a child meets for the first time it pays for, and throws away at its end: a check takes about a third longer in a
process that has only imported sympy. The zygote does the first lines before it serves, and the rest, a line at a time,
while nobody asks it for anything.
"""

import contextlib
import sys
from collections.abc import Iterator

_FIRST = """
expand((x + y)**3)
factor(x**2 - 1)
simplify(sin(x)**2 + cos(x)**2)
solve(x**2 - 5*x + 6, x)
solve([x + y - 3, x - y - 1], [x, y])
diff(x**3, x)
integrate(x**2, (x, 0, 1))
limit(sin(x)/x, x, 0)
Matrix([[1, 2], [3, 4]]).det()
factorint(360)
str(sqrt(2)*x/y + pi - Rational(1, 3).evalf())
repr(Eq(x, y))
"""

_ALGEBRA = """
expand((2*x - y)**4)
factor(x**3 - y**3), factor(6*x**2 + 5*x - 4)
cancel((x**2 - 4)/(x - 2)), apart(1/(x*(x + 1))), together(1/x + 1/(x + 2))
simplify((x**2 - y**2)/(x + y) - exp(2*x)/exp(x))
simplify(log(8)/log(2) + sqrt(12) + sqrt(27)/3)
simplify((x + 1/x)**2 - Abs(-3) + 2**(n + 1)/2**n).subs(x, 7).evalf()
simplify((a + b)**2 - a**2 - 2*a*b - b**2), expand((a*b - c*d)**2), factor(a**2 - b**2)
simplify((a*d + b*c)**2 - (a*d - b*c)**2)
solve(x**2 - 7*x + 10, x), solve(Eq(3*x - 5, 16), x), solve(a**2 - 4*b, a)
solve(x**3 - 6*x**2 + 11*x - 6, x)
solve(x**4 - 3*x**2 + 1, x)
solve([2*x + y - 7, x - 3*y], [x, y])
solve([x + y + z - 6, x - y, z - 3*x], [x, y, z], dict=True)
solve([x*y - 12, x + y - 7], [x, y])
solve(sqrt(x + 3) - 4, x), solve(2**x - 32, x), solve(log(x) - 2, x)
solve(sin(x) - Rational(1, 2), x)
solve(x**2 - 9 < 0, x)
solveset(x**2 - 5, x, domain=S.Reals)
roots(Poly(x**3 - 2*x + 4, x)), Poly(x**4 + 2*x + 1, x).all_coeffs(), nsimplify(0.125)
"""

_CALCULUS = """
diff(x**4 - 2*x, x), diff(sin(3*x)*exp(x), x, 2).subs(x, 2), diff(log(x**2 + 1)/x, x), diff(sqrt(1 + x**2), x)
integrate(x**3 + 4*x, x), integrate((2*x + 1)/(x**2 + x + 3), x)
integrate(x**2*exp(-2*x), x), integrate(exp(x)*cos(x), x)
integrate(x*sin(2*x), x), integrate(x**2*cos(x), x), integrate(sin(x)**3, x)
integrate(log(x), x), integrate(1/(1 + x**2), x)
integrate(sqrt(x + 1), x)
integrate(x/sqrt(9 - x**2), x)
simplify(integrate(x**2*exp(-x), (x, 0, oo)).evalf(12)), integrate(exp(-3*x), (x, 0, oo))
integrate(exp(-x**2), (x, -oo, oo))
simplify(integrate(x*cos(x), (x, 0, pi)).evalf(12))
integrate(sqrt(4 - x**2), (x, 0, 2)), integrate(1/x, (x, 1, E)), integrate(x**3, (x, 0, 2))
limit((1 - cos(x))/x**2, x, 0), limit((exp(x) - 1)/x, x, 0), limit(sin(5*x)/x, x, 0)
limit((1 + 3/x)**x, x, oo), limit(log(x)/x, x, oo)
limit((3*x**2 + 1)/(x**2 - 5), x, oo), limit((sqrt(x + 4) - 2)/x, x, 0), Limit((x**2 - 9)/(x - 3), x, 3).doit()
series(sin(x), x, 0, 6), series(exp(2*x), x, 0, 6), series(1/(1 - x), x, 0, 6)
series(log(1 + x), x, 0, 6), series(cos(x)*exp(x), x, 0, 6)
simplify(sin(2*x) - 2*sin(x)*cos(x)), simplify(cos(2*x) - 1 + 2*sin(x)**2), trigsimp(tan(x)*cos(x))
"""

_ONCE = """
summation(k**2, (k, 1, n)), simplify(Sum(k*(k + 1), (k, 1, n)).doit()), summation(1/2**k, (k, 0, oo))
dsolve(Eq(Function("f")(x).diff(x), 3*Function("f")(x)), Function("f")(x))
simplify(cos(2*acos(Rational(3, 5)))), simplify(sin(acos(Rational(5, 13)))), acos(Rational(1, 2)).evalf(), deg(atan(1))
solve(Abs(Symbol("r", real=True) - 2) - 5)
sin(pi/3)*cos(pi/6), asin(sqrt(2)/2).evalf(8), rad(60).evalf(), (1 + 2*I)*(3 - I), Abs(3 + 4*I), arg(1 + I)
factorint(2**4*3**3*101), divisors(720), divisor_count(720), totient(84), isprime(10007), nextprime(100), prime(20)
list(primerange(2, 200)), gcd(84, 126), lcm(12, 18), igcd(12, 18), ilcm(4, 6), mod_inverse(3, 11), Mod(17, 5)
ntheory.modular.crt([3, 5], [2, 3]), binomial(10, 3), factorial(12), fibonacci(20), Integer(7)**30 % 13
Interval(0, 5).intersect(Interval(3, 9)), FiniteSet(1, 2).union(FiniteSet(2, 3)), Rational(22, 7).limit_denominator(9)
Matrix([[2, 1, 0], [1, 3, 1], [0, 1, 4]]).inv(), Matrix([[2, 1], [1, 3]]).rank(), Matrix([[2, 1], [1, 3]]).rref()
Matrix([[4, 1], [2, 3]]).eigenvals(), Matrix([[4, 1], [2, 3]]).eigenvects(), Matrix([[1, 2], [2, 4]]).nullspace()
Matrix([[a, b], [b, a]]).det(), Matrix([[2, 1], [1, 3]]).solve(Matrix([1, 2])), Matrix([[2, 1], [1, 3]])**2 + eye(2)
Matrix([[2, 1], [1, 3]]).charpoly(x), Matrix([1, 2, 3]).dot(Matrix([4, 5, 6])), Matrix([1, 2, 3]).cross(ones(3, 1))
Triangle(Point(0, 0), Point(6, 0), Point(0, 8)).circumcircle.radius, Triangle((0, 0), (6, 0), (0, 8)).area
Point(1, 2).distance(Point(4, 6)), Segment(Point(0, 0), Point(2, 2)).midpoint, Polygon((0, 0), (4, 0), (4, 3)).perimeter
Line(Point(0, 0), Point(1, 1)).intersection(Line(Point(0, 4), Point(4, 0)))
Circle(Point(0, 0), 5).intersection(Line(Point(-5, 3), Point(5, 3)))
latex(sqrt(2)*x/(y + 1)), pretty(x**2/3), N(pi*x, 20), sympify("x**2 + 3/4*y"), str({"a": [x, y]})
"""

_NUMPY = """
linalg.solve(array([[2.0, 1.0], [1.0, 3.0]]), array([1.0, 2.0])), linalg.det(eye(2)), linalg.inv(eye(2))
linalg.eig(eye(2)), array([[1, 2]]) @ array([[1], [2]]), array([1, 2]).sum(axis=0), mean([1, 2]), dot([1, 2], [3, 4])
str(array([[2.0, 1.0], [1.0, 3.0]])), repr(arange(10).cumsum()), linspace(0, 1, 5).mean(), isclose(0.1 + 0.2, 0.3)
polyfit([0, 1, 2], [1, 3, 7], 2), roots([1, -3, 2]), sort(array([3, 1, 2])), diff(array([1, 4, 9])), array([1.5]).std()
"""

_KINDS: tuple[dict[str, bool], ...] = ({}, {"real": True}, {"positive": True}, {"integer": True})


def first() -> None:
    """What no check should wait for."""
    for _ in _evaluate(_FIRST, _sympy({})):
        pass


def rest() -> Iterator[None]:
    """The rest, in parts of some 10 ms."""
    for kind in _KINDS:
        yield from _evaluate(_ALGEBRA, _sympy(kind))
        if "integer" not in kind:
            yield from _evaluate(_CALCULUS, _sympy(kind))
    yield from _evaluate(_ONCE, _sympy({}))
    if (numpy := sys.modules.get("numpy")) is not None:
        yield from _evaluate(_NUMPY, {name: getattr(numpy, name) for name in numpy.__all__})


def _sympy(kind: dict[str, bool]) -> dict[str, object]:
    import sympy

    names = {name: getattr(sympy, name) for name in sympy.__all__} | {"ntheory": sympy.ntheory}
    return names | {name: sympy.Symbol(name, **kind) for name in "abcdknxyz"}


def _evaluate(lines: str, names: dict[str, object]) -> Iterator[None]:
    for line in filter(None, lines.split("\n")):
        with contextlib.suppress(Exception):  # another version of a library may not know all of it
            eval(line, names)
        yield
