"""How one quantity of a problem follows from others: the table that every problem is made of.

A relation is told in the problem by one sentence, and worked out in a solution by one computation. ``form`` is that
computation in Python; ``a`` and ``b`` are the quantities that it follows from, ``k``, ``m``, ``p`` and ``q`` numbers
that its own sentence gives. In the texts ``{a}`` is what a quantity is called ("Ana's marbles"), ``{A}`` who has it
("Ana"), ``{who}`` a person not met before, ``{what}`` the things that the problem is about.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["count", "share", "money", "minutes", "hours", "length", "area", "volume", "number"]
"""What a quantity is. Relations say which kinds they take; ``count`` is the only one that people are compared by."""
Family = Literal[
    "given", "change", "comparison", "money", "rate", "percent", "fraction", "time", "mixture", "equation", "number"
]


@dataclass(frozen=True, slots=True)
class Relation:
    """One way in which a quantity follows from one or two others, or is given (no ``takes``)."""

    name: str
    family: Family
    takes: tuple[Kind, ...]
    """Kinds that ``a`` may be of; ``b`` is a count."""
    makes: Kind
    told: tuple[str, ...]
    """Sentences of a problem that say it. None begins with a figure, as is good style: who quotes one that does has to
    pick a number before a word has said which."""
    called: str
    """What the new quantity is called."""
    stated: str
    """A sentence about its value, which stands at ``{x}``."""
    form: str
    numbers: Mapping[str, tuple[int, int] | tuple[int, ...]]
    """For each number of the sentence the values that it may have: from and to, or more than two to choose from."""
    holder: str = "{A}"
    """Who has the new quantity."""
    name_in_code: str = "{holder}"
    """The variable that holds it in checks."""
    because: str = ""
    """The relation again, as a solution may say it before it computes."""
    wrong: tuple[str, ...] = ()
    """Computations that are mistaken for ``form``."""
    without_unit: tuple[str, ...] = ()
    """Computations in which a change of units is forgotten or turned around."""
    draws: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Words of the texts, each drawn from those that it may be."""
    weight: float = 1.0

    @property
    def n_parents(self) -> int:
        """How many quantities it follows from."""
        return len({"a", "b"} & set(re.findall(r"\b[ab]\b", self.form)))

    def variable(self, words: Mapping[str, str]) -> str:
        """The name in checks of a quantity whose texts are filled with ``words``."""
        return self.name_in_code.format(**words).lower().removeprefix("the ").replace(" ", "_")


COLOURS = ("red", "blue", "green", "white", "yellow", "black")
VEHICLES = ("train", "bus", "truck", "ship", "tram", "ferry")
PLACES = ("garden", "field", "hall", "yard", "floor", "park")
TREATS = ("lunch", "a book", "a gift", "a hat", "a ticket", "repairs")
DRINKS = ("juice", "syrup", "lemonade", "tea")
MACHINES = ("press", "robot", "mill", "printer")

GIVEN = Relation(
    "given", "given", (), "count",
    ("{who} has {k} {what}.", "{who} owns {k} {what}.", "There are {k} {what} in {who}'s bag."),
    "{who}'s {what}", "{who} has {x} {what}", "k", {"k": (12, 480)}, holder="{who}",
)  # fmt: skip

RELATIONS: tuple[Relation, ...] = (
    # Comparison
    Relation(
        "more", "comparison", ("count",), "count",
        ("{who} has {k} more {what} than {A}.", "{A} has {k} fewer {what} than {who}.",
         "Compared with {A}, {who} has {k} {what} more."),
        "{who}'s {what}", "{who} has {x} {what}", "a + k", {"k": (7, 290)}, holder="{who}",
        because="{who} has {k} more than {A}", wrong=("a - k", "a * k"), weight=1.5,
    ),
    Relation(
        "fewer", "comparison", ("count",), "count",
        ("{who} has {k} fewer {what} than {A}.", "{A} has {k} more {what} than {who}.",
         "Compared with {A}, {who} has {k} {what} less."),
        "{who}'s {what}", "{who} has {x} {what}", "a - k", {"k": (7, 290)}, holder="{who}",
        because="{who} has {k} fewer than {A}", wrong=("a + k", "a * k"), weight=1.5,
    ),
    Relation(
        "times", "comparison", ("count",), "count",
        ("{who} has {k} times as many {what} as {A}.", "For each of {A}'s {what}, {who} has {k}."),
        "{who}'s {what}", "{who} has {x} {what}", "a * k", {"k": (3, 19)}, holder="{who}",
        because="{who} has {k} times as many as {A}", wrong=("a + k", "a // k", "a * (k + 1)"), weight=1.5,
    ),
    Relation(
        "kth", "fraction", ("count",), "count",
        ("{who} has 1/{k} as many {what} as {A}.", "{A} has {k} times as many {what} as {who}."),
        "{who}'s {what}", "{who} has {x} {what}", "a // k", {"k": (2, 12)}, holder="{who}",
        because="{A} has {k} times as many as {who}", wrong=("a * k", "a - k"), weight=1.3,
    ),
    Relation(
        "fraction", "fraction", ("count",), "count",
        ("{who} has {p}/{q} as many {what} as {A}.", "{who}'s {what} are {p}/{q} as many as those of {A}."),
        "{who}'s {what}", "{who} has {x} {what}", "a * p // q", {"p": (2, 5), "q": (3, 8)}, holder="{who}",
        because="{who} has {p}/{q} as many as {A}", wrong=("a * q // p", "a // q", "a - a * p // q"), weight=1.3,
    ),
    Relation(
        "percent more", "percent", ("count",), "count",
        ("{who} has {p}% more {what} than {A}.", "{who}'s {what} are {p}% more than those of {A}."),
        "{who}'s {what}", "{who} has {x} {what}", "a * (100 + p) // 100",
        {"p": (5, 10, 15, 20, 25, 30, 40, 50, 60, 75)}, holder="{who}",
        because="{who} has {p}% more than {A}", wrong=("a * p // 100", "a + p", "a * (100 - p) // 100"), weight=1.3,
    ),
    Relation(
        "percent of", "percent", ("count",), "share",
        ("Among {A}'s {what}, {p}% are {colour}.", "Of {A}'s {what}, {p}% are {colour}."),
        "{A}'s {colour} {what}", "{A} has {x} {colour} {what}", "a * p // 100",
        {"p": (5, 10, 15, 20, 25, 30, 35, 40, 45, 60, 70, 75, 80)}, name_in_code="{A}_{colour}",
        because="{p}% of those of {A} are {colour}",
        wrong=("a * (100 - p) // 100", "a - p", "a // p"), draws={"colour": COLOURS}, weight=1.3,
    ),
    # Changes
    Relation(
        "old ones", "change", ("count",), "share",
        ("Apart from {k} old ones, all {what} of {A} are new.", "Among {A}'s {what}, {k} are old, the others new."),
        "{A}'s new {what}", "{A} has {x} new {what}", "a - k", {"k": (5, 190)},
        name_in_code="{A}_new", because="{k} of those of {A} are old", wrong=("a + k", "a * k"),
    ),
    Relation(
        "bags", "change", ("count",), "share",
        ("{A} fills {m} bags with {k} {what} each, and keeps the others loose.",
         "Into each of {m} bags {A} puts {k} {what}, the others stay loose."),
        "{A}'s loose {what}", "{A} has {x} loose {what}", "a - k * m", {"k": (3, 28), "m": (2, 9)},
        name_in_code="{A}_loose", because="{m} bags take {k} each",
        wrong=("a - k - m", "a + k * m", "a - k", "(a - k) * m"),
    ),
    Relation(
        "packs", "change", ("count",), "share",
        ("Tomorrow {A} gets {m} packs of {k} {what} more.", "To {A} come {m} packs of {k} {what} tomorrow."),
        "{A}'s later {what}", "{A} will have {x} {what}", "a + k * m", {"k": (6, 48), "m": (2, 12)},
        name_in_code="{A}_later", because="{m} packs of {k} come to those of {A}",
        wrong=("a + k + m", "a + k", "a - k * m", "(a + k) * m"),
    ),
    Relation(
        "together", "change", ("count",), "count",
        ("One {box} holds as many {what} as {A} and {B} have together.",
         "As many {what} as {A} and {B} have in all lie in one {box}."),
        "the {box}'s {what}", "the {box} holds {x} {what}", "a + b", {}, holder="the {box}",
        because="the {box} holds as many as {A} and {B}", wrong=("a - b", "a * b"),
        draws={"box": ("crate", "trunk", "basket", "cart", "drawer", "chest")}, weight=1.5,
    ),
    Relation(
        "gap", "comparison", ("count",), "number",
        ("{A} is ahead of {B} by some {what}.", "{B} would need some more {what} to have as many as {A}."),
        "the lead of {A} over {B}", "{A} is ahead of {B} by {x} {what}", "a - b", {}, holder="{A}",
        name_in_code="{A}_lead", because="{A} has more than {B}", wrong=("a + b",),
    ),
    Relation(
        "average", "fraction", ("count",), "number",
        ("If {A} and {B} shared all their {what}, both would get the same.",
         "Shared evenly, all {what} of {A} and of {B} would make two equal parts."),
        "the even part of {A} and {B}", "{A} and {B} would each get {x} {what}", "(a + b) // 2", {},
        name_in_code="{A}_half", because="{A} and {B} would get equal parts",
        wrong=("a + b", "(a - b) // 2", "a + b // 2"),
    ),
    # Sharing and packing
    Relation(
        "boxes", "number", ("count", "share"), "share",
        ("{A} packs {a} into boxes of {k}.",),
        "{A}'s boxes", "{A} fills {x} boxes", "a // k", {"k": (3, 24)},
        name_in_code="{A}_boxes", because="each box takes {k}", wrong=("a * k", "a - k"),
    ),
    Relation(
        "rows", "number", ("count",), "share",
        ("{A} lays {a} in rows of {k}, and some are left over.",
         "In full rows of {k}, not all {what} of {A} find a place."),
        "{A}'s leftover {what}", "{x} {what} of {A} are left over", "a % k", {"k": (5, 37)},
        name_in_code="{A}_over", because="full rows take {k} each", wrong=("a // k", "a - k"),
    ),
    Relation(
        "largest bag", "number", ("count",), "number",
        ("{A} and {B} fill bags of one size, as large as possible, with nothing left over.",
         "The bags of {A} and {B} are all of the same size, the largest that leaves nothing over."),
        "the size of the bags of {A} and {B}", "each bag of {A} and {B} holds {x} {what}", "gcd(a, b)", {},
        name_in_code="{A}_bag", because="the size divides both", wrong=("lcm(a, b)", "a - b", "(a + b) // 2"),
    ),
    Relation(
        "lamps", "number", (), "minutes",
        ("{who}'s bells ring every {k} and every {m} minutes, just now both at once.",
         "Every {k} minutes one bell of {who} rings, every {m} minutes the other, and both do now."),
        "{who}'s wait", "{who} waits {x} minutes for the next time", "lcm(k, m)", {"k": (6, 48), "m": (9, 60)},
        holder="{who}", name_in_code="{who}_wait", because="it is the least common multiple",
        wrong=("k * m", "gcd(k, m)", "k + m"),
    ),
    Relation(
        "stack", "number", (), "count",
        ("{who} lays {what} in {k} rows: 1 in the first, 2 in the second, and so on.",
         "{who} builds steps of {what}: 1, then 2, then 3, up to {k}."),
        "{who}'s {what}", "{who} has {x} {what}", "k * (k + 1) // 2", {"k": (8, 48)}, holder="{who}",
        because="the rows add up from 1 to {k}", wrong=("k * k", "k * (k - 1) // 2", "k * (k + 1)"),
    ),
    Relation(
        "doubles", "number", ("count",), "share",
        ("From now on, {A}'s {what} will double every week for {k} weeks.",
         "For the next {k} weeks, {A} will have twice as many {what} each week."),
        "{A}'s final {what}", "{A} will end with {x} {what}", "a * 2 ** k", {"k": (2, 5)},
        name_in_code="{A}_end", because="they will double {k} times", wrong=("a * 2 * k", "a * 2", "a + 2 ** k"),
    ),
    # Equations
    Relation(
        "sum and difference", "equation", (), "count",
        ("{who} and a twin have {m} {what} in all, the twin {k} more.",
         "A twin of {who} has {k} {what} more, and both have {m} in all."),
        "{who}'s {what}", "{who} has {x} {what}", "(m - k) // 2", {"k": (4, 90), "m": (90, 590)}, holder="{who}",
        because="without the {k} both would have the same", wrong=("(m + k) // 2", "m - k", "m // 2 - k"),
    ),
    Relation(
        "riddle", "equation", (), "count",
        ("If {who} had {k} times as many {what} and {m} more, it would be {p}.",
         "Taken {k} times, {who}'s {what} and {m} more would be {p}."),
        "{who}'s {what}", "{who} has {x} {what}", "(p - m) // k",
        {"k": (3, 12), "m": (5, 80), "p": (120, 990)}, holder="{who}",
        because="{k} times the number and {m} make {p}", wrong=("(p + m) // k", "p // k - m", "p - m * k", "p - m"),
    ),
    Relation(
        "part", "equation", (), "count",
        ("A bag with 1/{k} of {who}'s {what} holds {m}.", "A bag of {m} {what} is 1/{k} of all that {who} has."),
        "{who}'s {what}", "{who} has {x} {what}", "m * k", {"k": (3, 9), "m": (12, 96)}, holder="{who}",
        because="the whole is {k} times the part", wrong=("m // k", "m + k", "m * (k - 1)"),
    ),
    # Money
    Relation(
        "sells", "money", ("count", "share"), "money",
        ("{A} sells {a} at {k} dollars each.", "For each of {a}, {A} is paid {k} dollars."),
        "{A}'s income", "{A} takes in {x} dollars", "a * k", {"k": (3, 48)},
        name_in_code="{A}_income", because="each brings {k} dollars", wrong=("a + k", "a // k"), weight=1.5,
    ),
    Relation(
        "spends", "money", ("money",), "money",
        ("Out of {a}, {k} dollars go for {treat}.", "{A} takes {k} dollars from {a} for {treat}."),
        "{A}'s remaining money", "{A} has {x} dollars left", "a - k", {"k": (6, 240)},
        name_in_code="{A}_money", because="{k} dollars are spent on {treat}", wrong=("a + k", "a * k"),
        draws={"treat": TREATS},
    ),
    Relation(
        "discount", "percent", ("money",), "money",
        ("A fee of {p}% is taken off {a}.", "{A} pays {p}% of {a} as tax."),
        "{A}'s net sum", "{A} is left with {x} dollars", "a * (100 - p) // 100",
        {"p": (5, 10, 15, 20, 25, 30, 40, 60)}, name_in_code="{A}_net", because="{p}% are taken off",
        wrong=("a * p // 100", "a - p", "a * (100 + p) // 100"), weight=1.2,
    ),
    Relation(
        "saves", "money", ("money",), "money",
        ("On top of {a}, {A} saves {k} dollars a week for {m} weeks.",
         "For {m} weeks, {A} adds {k} dollars a week to {a}."),
        "{A}'s savings", "{A} has {x} dollars saved", "a + k * m", {"k": (5, 60), "m": (3, 26)},
        name_in_code="{A}_saved", because="{m} weeks bring {k} dollars each",
        wrong=("a + k + m", "a * m + k", "a - k * m", "k * m"),
    ),
    Relation(
        "buys", "money", ("money",), "share",
        ("With {a}, {A} buys tickets at {k} dollars each.", "{A} turns {a} into tickets, {k} dollars each."),
        "{A}'s tickets", "{A} gets {x} tickets", "a // k", {"k": (3, 25)},
        name_in_code="{A}_tickets", because="a ticket costs {k} dollars", wrong=("a * k", "a - k"),
    ),
    # Time and rates
    Relation(
        "takes time", "time", ("count", "share"), "minutes",
        ("{A} needs {k} minutes for each of {a}.", "Each of {a} takes {A} {k} minutes."),
        "{A}'s working time", "{A} works for {x} minutes", "a * k", {"k": (3, 48)},
        name_in_code="{A}_time", because="each takes {k} minutes", wrong=("a + k", "a // k"),
    ),
    Relation(
        "in seconds", "time", ("minutes",), "number",
        ("{A}'s clock shows {a} in seconds.", "{A} notes {a} in seconds."),
        "{A}'s seconds", "{A} counts {x} seconds", "a * 60", {},
        name_in_code="{A}_seconds", because="a minute has 60 seconds",
        without_unit=("a * 100", "a // 60", "a * 24"), wrong=("a + 60",),
    ),
    Relation(
        "days", "time", (), "hours",
        ("{who} works {k} hours a day for {m} weeks, every day.", "For {m} weeks, {who} works {k} hours each day."),
        "{who}'s hours", "{who} works {x} hours", "k * m * 7", {"k": (3, 12), "m": (2, 14)}, holder="{who}",
        name_in_code="{who}_hours", because="a week has 7 days",
        without_unit=("k * m", "k * m * 5", "k * m * 30"), wrong=("(k + m) * 7",),
    ),
    Relation(
        "wage", "rate", ("hours",), "money",
        ("For every hour, {A} earns {k} dollars.", "{A}'s wage is {k} dollars an hour."),
        "{A}'s pay", "{A} earns {x} dollars", "a * k", {"k": (9, 48)},
        name_in_code="{A}_pay", because="every hour brings {k} dollars", wrong=("a + k", "a // k"), weight=1.5,
    ),
    Relation(
        "machine", "rate", (), "count",
        ("A {machine} makes {k} {what} a minute and runs for {m} hours.",
         "For {m} hours, a {machine} makes {k} {what} every minute."),
        "the {machine}'s {what}", "the {machine} makes {x} {what}", "k * m * 60", {"k": (2, 18), "m": (2, 9)},
        holder="the {machine}", because="an hour has 60 minutes",
        without_unit=("k * m", "k * m * 24", "k * m * 100"), wrong=("(k + m) * 60",), draws={"machine": MACHINES},
    ),
    Relation(
        "two rates", "rate", (), "count",
        ("In team {who} one makes {k} {what} an hour, the other {m}, and both work {p} hours.",
         "For {p} hours team {who} works: one makes {k} {what} each hour, the other {m}."),
        "team {who}'s {what}", "team {who} makes {x} {what}", "(k + m) * p",
        {"k": (6, 48), "m": (5, 39), "p": (3, 12)}, holder="team {who}", name_in_code="{who}_team",
        because="each hour brings {k} and {m}", wrong=("k * p + m", "k * m * p", "(k - m) * p", "k + m * p"),
    ),
    Relation(
        "drives", "rate", (), "length",
        ("A {vehicle} goes {k} km an hour for {m} hours.", "For {m} hours, a {vehicle} travels at {k} km an hour."),
        "the {vehicle}'s way", "the {vehicle} covers {x} km", "k * m", {"k": (24, 118), "m": (3, 19)},
        holder="the {vehicle}", name_in_code="{holder}_km", because="it covers {k} km every hour",
        wrong=("k + m", "k // m"),
        draws={"vehicle": VEHICLES},
    ),
    Relation(
        "longer", "comparison", ("length",), "length",
        ("{who} travels {k} km further than {A}.", "{A} stops {k} km earlier than {who}."),
        "{who}'s way", "{who} travels {x} km", "a + k", {"k": (12, 290)}, holder="{who}",
        name_in_code="{who}_km", because="{who} goes {k} km further", wrong=("a - k", "a * k"),
    ),
    Relation(
        "fuel", "rate", ("length",), "volume",
        ("Every {k} km cost {A} {m} litres of fuel.", "{A} burns {m} litres of fuel on {k} km."),
        "{A}'s fuel", "{A} burns {x} litres", "a * m // k", {"k": (2, 20), "m": (3, 9)},
        name_in_code="{A}_fuel", because="{k} km take {m} litres",
        wrong=("a * k // m", "a * m", "a * m * k", "a // k"),
    ),
    Relation(
        "tank", "money", ("volume",), "number",
        ("Each litre of {a} costs {A} {k} dollars.", "{A} pays {k} dollars for each litre of {a}."),
        "{A}'s bill", "{A} pays {x} dollars", "a * k", {"k": (2, 19)},
        name_in_code="{A}_bill", because="a litre costs {k} dollars", wrong=("a + k", "a // k"),
    ),
    # Areas
    Relation(
        "area", "number", (), "area",
        ("{who}'s {place} is {k} m long and {m} m wide.", "{who} has a {place} of {k} m by {m} m."),
        "{who}'s {place}", "{who}'s {place} has {x} square metres", "k * m", {"k": (12, 95), "m": (8, 60)},
        holder="{who}", name_in_code="{who}_area", because="the area is length times width",
        wrong=("2 * (k + m)", "k + m", "k * m * 2"),
        draws={"place": PLACES},
    ),
    Relation(
        "tiles", "rate", ("area",), "count",
        ("Each square metre of {a} takes {k} {what}.", "On each square metre of {a}, {A} lays {k} {what}."),
        "{A}'s {what}", "{A} lays {x} {what}", "a * k", {"k": (3, 24)},
        because="a square metre takes {k}", wrong=("a + k", "a // k"), weight=1.5,
    ),
    # Mixtures
    Relation(
        "sugar", "mixture", (), "volume",
        ("{who} mixes {k} litres of {drink} with {p}% sugar and {m} litres with {q}%.",
         "{who} pours {k} litres of {drink} with {p}% sugar to {m} litres with {q}%."),
        "{who}'s sugar", "{who} has {x} litres of sugar in it", "(k * p + m * q) // 100",
        {"k": (20, 180), "m": (10, 160), "p": (5, 10, 15, 20, 25, 30, 40), "q": (10, 20, 35, 45, 50, 60)},
        holder="{who}", name_in_code="{who}_sugar", because="the parts of sugar add up", draws={"drink": DRINKS},
        wrong=("(k + m) * (p + q) // 100", "k * p // 100", "(k * q + m * p) // 100"),
    ),
    Relation(
        "blend", "mixture", (), "money",
        ("{who} blends {k} kg of tea at {p} dollars a kg with {m} kg at {q} dollars.",
         "{who} adds {m} kg of tea at {q} dollars a kg to {k} kg at {p} dollars."),
        "the value of {who}'s blend", "{who}'s blend is worth {x} dollars", "k * p + m * q",
        {"k": (3, 28), "m": (4, 26), "p": (5, 29), "q": (6, 32)}, holder="{who}",
        name_in_code="{who}_value", because="both parts of the tea count",
        wrong=("(k + m) * (p + q)", "k * q + m * p", "k * p", "k * p - m * q"),
    ),
)  # fmt: skip
