"""Names and things of the generated problems."""

PEOPLE = (
    "Ada", "Amir", "Ana", "Anton", "Bela", "Ben", "Bruno", "Carla", "Chen", "Clara", "Dan", "Dora", "Esra", "Emil",
    "Erik", "Eva", "Fatima", "Felix", "Finn", "Gita", "Hana", "Hugo", "Ida", "Igor", "Ines", "Ivan", "Jana", "Jonas",
    "Kofi", "Lara", "Leo", "Lina", "Luis", "Maja", "Marta", "Mei", "Milo", "Nadia", "Nils", "Nora", "Omar", "Oskar",
    "Paula", "Pedro", "Petra", "Ravi", "Rosa", "Samir", "Sara", "Sofia", "Tariq", "Tom", "Tova", "Uma", "Vera",
    "Viktor", "Wanda", "Yara", "Yusuf", "Zoe",
)  # fmt: skip
THINGS = (
    "apples", "balls", "beads", "bells", "books", "bottles", "buttons", "cards", "chairs", "coins", "cups", "eggs",
    "flags", "jars", "keys", "lamps", "lemons", "marbles", "masks", "nails", "nuts", "pears", "pencils", "pins",
    "plants", "plates", "plums", "ribbons", "rings", "roses", "shells", "spoons", "stamps", "stones", "tiles", "toys",
)  # fmt: skip
ASIDES = (
    "{who} is {k} years old.", "The house of {who} has number {k}.", "It is {k} minutes past noon.",
    "{who} has lived here for {k} years.", "The bus of {who} is line {k}.", "Last year {who} read {k} letters.",
    "The shoes of {who} have size {k}.", "{who} slept {k} hours in three nights.",
)  # fmt: skip
"""Sentences with a number that no step needs."""
