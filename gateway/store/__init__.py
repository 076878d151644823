"""The only room that knows Redis, and the host's own log. `keys.py` holds every key; one file per record kind."""
