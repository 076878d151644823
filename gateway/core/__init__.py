"""The basement: values in, values out. No I/O, clock, randomness, logger or event loop lives here."""
