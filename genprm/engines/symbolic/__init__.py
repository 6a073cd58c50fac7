"""A critic without weights: it finds what a computation can settle in a step, and writes the check that settles it.

It sees: arithmetic with fractions, decimals, percentages, powers, roots, factorials, binomials, sums, logarithms and
trigonometric values; roundings and comparisons; congruences and number bases; expressions that are said to be equal
for all values of their symbols; equations in one unknown that lost all their solutions on the way; values that do not
solve the equations of the problem, or none of those that the steps made; letters with one value and functions with one
formula, put into what is said of them later; remainders, percentages, parts, multiples and primes in words.

It does not see whether a step answers the question, uses the right numbers or theorem, forgets a case, or draws: most
errors of mathematical reasoning. A step that it lets stand is therefore no more than not refuted, and its confidence
says so (``genprm.engines.symbolic.confidence``). What may be meant otherwise (a rounding, a unit, a condition instead
of an identity, a trial, a contradiction on purpose) it leaves alone: it prefers silence to a false alarm.

From text to verdict: ``lexer`` -> ``parser`` -> ``chains`` (what is said to be equal) -> ``arithmetic``, ``algebra``,
``derivations``, ``solving``, ``carried``, ``wordings`` (claims, with ``doubts`` against them) -> ``checks`` (Python
source) -> ``reading``.
"""

from genprm.engines.symbolic.engine import SymbolicEngine

__all__ = ["SymbolicEngine"]
