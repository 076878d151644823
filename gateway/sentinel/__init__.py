"""Looks at the models behind the releases when nobody asks: whether they are still the same, can be called, and for how long."""
