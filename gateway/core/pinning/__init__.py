"""Which model ids float, by vendor, from a table."""
