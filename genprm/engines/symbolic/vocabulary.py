"""Words, commands and characters with a meaning for the engine."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


CONNECTIVES = _words(
    "and or so is are was of the to then that this which gives give you equals for if when we get have has a an "
    "at by from with in on than as but since because thus hence therefore more less left plus minus times into "
    "out implies means yields where simplifies becomes leads not"
)
"""Words that are no units: the sentence goes on."""

LINKS = _words(
    "so then gives give giving get gets simplify simplifies simplifying simplified which implies implying "
    "therefore thus hence solve solves solving divide divides dividing subtract subtracts subtracting add adds "
    "adding multiply multiplying multiplies both sides side by we have has this yields leads to equation the "
    "terms term like combine combining expand expanding rearrange rearranging becomes become reduces reduce is "
    "from find finding isolate isolating factor factoring following into obtain can us our it as left right hand "
    "of that in next step now first finally further also rewrite rewriting written distribute distributing "
    "cancel cancelling canceling taking take square root roots squaring move moving constant constants common "
    "out quadratic equals equal means meaning for value be a an variable on other let's lets using same where "
    "single combined solution solutions positive negative and or need simplification factors factored resulting "
    "result does do since gather collecting collect multiplied divided subtracted added rid remaining fraction "
    "fractions denominator denominators clear eliminate formula number"
)
"""Words of a derivation: what stands between an equation and one that follows from it."""

GREEK = _words(
    "alpha beta gamma delta epsilon varepsilon theta vartheta phi varphi lambda mu nu omega psi rho sigma tau xi "
    "eta zeta kappa ell Delta Omega Sigma Gamma Phi Theta Lambda chi"
)
"""Commands that are symbols."""

FUNCTIONS = _words(
    "frac sqrt binom choose sin cos tan cot sec csc arcsin arccos arctan ln log lg gcd lcm max min pi sum prod "
    "lfloor rfloor lceil rceil overline underline bar cdot times div pm mp infty circ degree pmod bmod mod boxed "
    "exp vert lvert rvert fbox"
)
"""Commands that the parser knows."""

CHARACTERS = str.maketrans(
    {
        "×": "*", "·": "*", "⋅": "*", "∙": "*", "•": " ; ", "÷": "÷", "−": "-", "–": "-", "—": " ; ",
        "²": "^2", "³": "^3",
        "≤": " \\le ", "≥": " \\ge ", "≈": " \\approx ", "≠": " \\ne ", "≡": " \\equiv ", "π": "\\pi ",
        "°": "^\\circ ", "√": "\\sqrt ", "½": " 1/2", "¼": " 1/4", "¾": " 3/4", "…": "\\ldots ", "⇒": " \\Rightarrow ",
        "→": " \\to ", "’": "'", "“": '"', "”": '"', "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u200b": "",
        "€": "$", "£": "$", "¥": "$", "\0": " ", "∗": "*", "✓": " ", "θ": "\\theta ", "α": "\\alpha ",
        "β": "\\beta ", "γ": "\\gamma ", "φ": "\\phi ", "λ": "\\lambda ", "±": "\\pm ", "∞": "\\infty ",
    }
)  # fmt: skip
"""Look-alikes, to what the lexer reads."""

RELATIONS = {
    "\\le": "<=", "\\leq": "<=", "\\leqslant": "<=", "\\ge": ">=", "\\geq": ">=", "\\geqslant": ">=", "\\lt": "<",
    "\\gt": ">", "\\approx": "~", "\\simeq": "~", "\\doteq": "~", "\\sim": "other", "\\ne": "!=", "\\neq": "!=",
    "\\equiv": "===", "\\mid": "mid", "\\nmid": "nmid", "\\cong": "other", "\\propto": "other", "\\in": "other",
    "\\notin": "other", "\\subset": "other", "\\ll": "other", "\\gg": "other", "\\parallel": "other", "\\perp": "other",
    "\\iff": "arrow", "\\Leftrightarrow": "arrow", "\\Longleftrightarrow": "arrow", "\\longleftrightarrow": "arrow",
    "\\Rightarrow": "arrow", "\\implies": "arrow", "\\rightarrow": "arrow", "\\to": "arrow",
    "\\Longrightarrow": "arrow",
    "\\longrightarrow": "arrow", "\\longarrow": "arrow", "\\therefore": "arrow",
}  # fmt: skip


TEXT = {"\\text", "\\mathrm", "\\textbf", "\\mbox", "\\operatorname", "\\textit", "\\mathbf", "\\textrm", "\\hbox"}
PROSE_FUNCTIONS = {
    "sin", "cos", "tan", "cot", "sec", "csc", "log", "ln", "gcd", "lcm", "sqrt", "pi", "mod", "arcsin",
    "arccos", "arctan",
}  # fmt: skip
OPS = {"\\cdot": "*", "\\times": "*", "\\div": "/", "\\bullet": "*", "\\%": "%", "÷": "/", "\\{": "{{"}
DOTS = {"\\ldots", "\\cdots", "\\dots", "\\dotsb", "\\vdots", "\\dotsc", "\\ddots"}
PRODUCTS = {"xy", "yz", "xz", "ab", "bc", "ac", "zx", "ca"}
