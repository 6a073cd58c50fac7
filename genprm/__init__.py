"""genprm: a generative process reward model with code verification.

For every step of a solution a language model writes an analysis and a Python check, a sandbox runs the check, the
output goes back to the model, the model gives its verdict; N such rationales vote.
"""

__version__ = "0.1.0"
