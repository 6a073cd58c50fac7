"""Any text. Hypothesis' own strategy needs the table of Unicode's categories, a second and more of each process."""

from hypothesis import strategies as st

CHARACTERS = st.one_of(st.integers(0x20, 0x7E), st.integers(0, 0xD7FF), st.integers(0xE000, 0x10FFFF)).map(chr)
SURROGATES = st.integers(0xD800, 0xDFFF).map(chr)
TEXT = st.text(CHARACTERS)
