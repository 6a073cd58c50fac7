"""``genprm bench``: how fast the critic judges, against what, and what its stopping saves."""
