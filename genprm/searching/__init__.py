"""The parts of :mod:`genprm.search`: policies that propose steps, scores that rank them, the tree, the choice."""
