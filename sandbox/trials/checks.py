"""Thirty checks as a verifier writes them: ten solutions of three steps, the later steps on names of the earlier ones.

They are the mix that every figure of the sandbox is measured on. All print, none reads or writes anything, and all
print the same in every run of the same Python and libraries.
"""

import importlib.util
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CheckedSolution:
    """The checks of one solution, in the order of its steps."""

    name: str
    checks: tuple[str, ...]
    needs: str = ""
    """A package that it cannot run without."""


def checked_solutions() -> tuple[tuple[CheckedSolution, ...], tuple[CheckedSolution, ...]]:
    """Those that can run with the packages installed here, and those that have to be left out."""
    there = tuple(s for s in SOLUTIONS if not s.needs or importlib.util.find_spec(s.needs))
    return there, tuple(s for s in SOLUTIONS if s not in there)


SOLUTIONS = (
    CheckedSolution(
        "orchard",
        (
            """\
# Step 1 says that 14 rows of 23 trees and 9 rows of 17 trees make 475 trees.
long_rows = 14 * 23
short_rows = 9 * 17
trees = long_rows + short_rows
print(f"{long_rows} + {short_rows} = {trees}")
print("475 trees:", trees == 475)
""",
            """\
# Step 2 says that a fifth of them is cut, then 3/4 of what is left bears fruit.
from fractions import Fraction

left = trees * (1 - Fraction(1, 5))
bearing = left * Fraction(3, 4)
print("left", left, "bearing", bearing, "whole:", bearing.denominator == 1)
""",
            """\
# Step 3 spreads 62 kg per bearing tree over crates of 18 kg, the last one not full.
harvest = int(bearing) * 62
full, rest = divmod(harvest, 18)
print(f"{harvest} kg: {full} full crates and {rest} kg")
print(f"share of the last crate {rest / 18:.1%}, mean per tree and row {harvest / 23:.4f}")
""",
        ),
    ),
    CheckedSolution(
        "two trains",
        (
            """\
# The trains meet where 84 t = 510 - 96 (t - 1/2).
import sympy as sp

t = sp.symbols("t", positive=True)
meeting = sp.solve(sp.Eq(84 * t, 510 - 96 * (t - sp.Rational(1, 2))), t)
print("t =", meeting, [sp.nsimplify(m) for m in meeting])
""",
            """\
# The place is claimed to be 1302/5 km from the first town.
place = 84 * meeting[0]
print(place, float(place), sp.simplify(place - sp.Rational(1302, 5)) == 0)
""",
            """\
# With an unknown delay d the first speed v and d follow from two meetings.
v, d = sp.symbols("v d")
answer = sp.solve([v * 3 + 96 * (3 - d) - 510, v * 2 + 96 * (4 - d) - 522], [v, d])
for name, value in sorted(answer.items(), key=lambda item: str(item[0])):
    print(name, "=", value)
""",
        ),
    ),
    CheckedSolution(
        "polynomial",
        (
            """\
from sympy import Poly, Symbol, expand, factor, roots

x = Symbol("x")
p = x**4 - 5*x**3 + 5*x**2 + 5*x - 6
print("factored:", factor(p))
print("claimed form is the same:", expand((x - 1)*(x + 1)*(x - 2)*(x - 3) - p) == 0)
""",
            """\
found = roots(Poly(p, x))
print({int(r): m for r, m in sorted(found.items())})
print("sum of the roots", sum(r * m for r, m in found.items()), "product", Poly(p, x).coeff_monomial(1))
""",
            """\
from sympy import apart, cancel, div

quotient, remainder = div(Poly(p, x), Poly(x**2 - 4, x))
print(quotient.as_expr(), "rest", remainder.as_expr())
print(apart(cancel((x**2 + 1) / factor(p)), x))
""",
        ),
    ),
    CheckedSolution(
        "remainders",
        (
            """\
# The smallest n with n = 2 (mod 3), n = 3 (mod 5), n = 2 (mod 7).
from math import gcd

n = next(k for k in range(1, 3 * 5 * 7 + 1) if (k % 3, k % 5, k % 7) == (2, 3, 2))
print("n =", n, "next", n + 105, [gcd(n, m) for m in (3, 5, 7)])
""",
            """\
from sympy.ntheory.modular import crt

value, modulus = crt([3, 5, 7, 11], [2, 3, 2, 9])
print(value, modulus, value % 105 == n)
print("inverse of 3 mod 11:", pow(3, -1, 11), "last two digits of 7^2026:", pow(7, 2026, 100))
""",
            """\
from sympy import factorint, isprime, totient

m = modulus**2 - 1
print(factorint(m), isprime(1155 * 2 + 1), totient(modulus))
print(sum(1 for a in range(modulus) if gcd(a, modulus) == 1) == totient(modulus))
""",
        ),
    ),
    CheckedSolution(
        "committees",
        (
            """\
from math import comb, factorial, perm

# 4 of 7 women and 3 of 6 men.
ways = comb(7, 4) * comb(6, 3)
print(ways, perm(10, 3), factorial(13) // (factorial(7) * factorial(6)) == comb(13, 6))
""",
            """\
# Two certain people refuse to sit together: counted one by one.
from itertools import combinations

people = [f"w{i}" for i in range(7)] + [f"m{i}" for i in range(6)]
good = 0
for group in combinations(people, 7):
    women = sum(p[0] == "w" for p in group)
    if women == 4 and not {"w0", "m0"} <= set(group):
        good += 1
print(good, ways - comb(6, 3) * comb(5, 2), "of", ways)
""",
            """\
from collections import Counter
from fractions import Fraction
from itertools import product

sums = Counter(a + b + c for a, b, c in product(range(1, 7), repeat=3))
chance = Fraction(sum(v for k, v in sums.items() if k >= 14), 6**3)
print("P(sum >= 14) =", chance, float(chance))
print("P(group is good) =", Fraction(good, comb(13, 7)), sums.most_common(2))
""",
        ),
    ),
    CheckedSolution(
        "triangle",
        (
            """\
import math

a, b, c = 13, 14, 15
s = (a + b + c) / 2
area = math.sqrt(s * (s - a) * (s - b) * (s - c))
print(f"s = {s}, area = {area:.6f}, inradius = {area / s:.4f}, circumradius = {a * b * c / (4 * area):.4f}")
""",
            """\
from sympy import Point, Triangle

t = Triangle(Point(0, 0), Point(14, 0), Point(5, 12))
print("area", t.area, "matches", abs(float(t.area) - area) < 1e-9)
print("sides", sorted(t.sides[i].length for i in range(3)), "centroid", t.centroid)
""",
            """\
from sympy import Rational, acos, cos, deg, simplify

cosine = Rational(a**2 + b**2 - c**2, 2 * a * b)
angle = acos(cosine)
print("cos C =", cosine, "C =", f"{float(deg(angle)):.4f}", "degrees")
print(simplify(cos(2 * angle) - (2 * cosine**2 - 1)) == 0, t.is_right(), t.is_scalene())
""",
        ),
    ),
    CheckedSolution(
        "area under a curve",
        (
            """\
from sympy import *

x = symbols("x", real=True)
F = integrate(x * exp(-x), x)
print("F(x) =", F, "| F' - f =", simplify(diff(F, x) - x * exp(-x)))
""",
            """\
whole = integrate(x * exp(-x), (x, 0, oo))
part = integrate(x**2 * sin(x), (x, 0, pi))
print(whole, part, part.evalf(12))
print("claimed pi**2 - 4:", simplify(part - (pi**2 - 4)) == 0)
""",
            """\
print(limit(sin(3*x) / x, x, 0), limit((1 + 2/x)**x, x, oo), limit((sqrt(x + 1) - 1) / x, x, 0))
print(series(exp(x) * cos(x), x, 0, 5), F.subs(x, 0))
""",
        ),
    ),
    CheckedSolution(
        "linear map",
        (
            """\
from sympy import Matrix, eye, symbols

A = Matrix([[2, 1, 0], [1, 3, 1], [0, 1, 2]])
print("det", A.det(), "trace", A.trace(), "rank", A.rank())
print("eigenvalues", dict(sorted(A.eigenvals().items(), key=lambda item: float(item[0]))))
""",
            """\
k = symbols("k")
print("characteristic polynomial", A.charpoly(k).as_expr())
inverse = A.inv()
print(inverse, A * inverse == eye(3))
""",
            """\
b = Matrix([1, 2, 3])
solution = A.LUsolve(b)
print("x =", list(solution), "check", list(A * solution))
print((A**5)[0, 2], (A - 2 * eye(3)).nullspace())
""",
        ),
    ),
    CheckedSolution(
        "measured data",
        (
            """\
import numpy as np

hours = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
level = np.array([2.1, 3.9, 6.2, 7.8, 10.1, 11.9])
print("mean", level.mean().round(4), "std", level.std(ddof=1).round(4), "steps", np.diff(level).round(2))
""",
            """\
slope, start = np.polyfit(hours, level, 1)
residual = level - (slope * hours + start)
print(f"level = {slope:.4f} t + {start:.4f}, largest residual {np.abs(residual).max():.4f}")
print("claimed 1.97:", bool(np.isclose(slope, 1.97, atol=0.01)))
""",
            """\
system = np.array([[3.0, 1.0, -1.0], [1.0, 2.0, 4.0], [2.0, -1.0, 1.0]])
answer = np.linalg.solve(system, np.array([4.0, 17.0, 3.0]))
print(answer.round(6), round(float(np.linalg.det(system)), 6))
print(np.cumsum(np.arange(1, 11) ** 2)[-1] == 10 * 11 * 21 // 6, (level > slope * 3).sum())
""",
        ),
        needs="numpy",
    ),
    CheckedSolution(
        "Gaussian integers",
        (
            """\
class G:
    \"\"\"A whole number a + bi.\"\"\"

    def __init__(self, a, b=0):
        self.a, self.b = a, b

    def __add__(self, other):
        return G(self.a + other.a, self.b + other.b)

    def __mul__(self, other):
        return G(self.a * other.a - self.b * other.b, self.a * other.b + self.b * other.a)

    def __eq__(self, other):
        return (self.a, self.b) == (other.a, other.b)

    def __repr__(self):
        return f"{self.a}{self.b:+d}i"

    @property
    def norm(self):
        return self.a**2 + self.b**2


z, w = G(3, 2), G(1, -4)
print(z + w, z * w, (z * w).norm == z.norm * w.norm, z * w == w * z)
""",
            """\
# Every prime 4k + 1 below 2000 is a norm, no prime 4k + 3 is.
def is_prime(n):
    if n < 2:
        return False
    d = 2
    while d * d <= n:
        if n % d == 0:
            return False
        d += 1
    return True


norms = {G(a, b).norm for a in range(45) for b in range(a + 1)}
ones = [p for p in range(5, 2000) if is_prime(p) and p % 4 == 1]
threes = [p for p in range(3, 2000) if is_prime(p) and p % 4 == 3]
print(len(ones), len(threes), all(p in norms for p in ones), any(p in norms for p in threes))
""",
            """\
import sympy as sp

a, b, c, d = sp.symbols("a b c d", integer=True)
left = (a**2 + b**2) * (c**2 + d**2)
right = (a*c - b*d)**2 + (a*d + b*c)**2
print("identity holds:", sp.simplify(left - right) == 0, sp.Eq(sp.expand(left), sp.expand(right)))
power = G(1)
for _ in range(8):
    power = power * z
print("z^8 =", power, "norm", power.norm == 13**8)
""",
        ),
    ),
)
