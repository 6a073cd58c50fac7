"""From problems to training data."""
