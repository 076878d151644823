"""Tables that ship in the wheel. Every row has a source and a date."""
