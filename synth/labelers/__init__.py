"""Labelers: each says of every step of an attempt whether it is right, how it scores it, and how sure it is."""

from genprm.synth.labelers.base import Labeler

__all__ = ["Labeler"]
