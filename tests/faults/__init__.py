"""Faults and bad input, each test named by its row in the table of faults; all against real gateway processes."""
