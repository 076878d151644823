"""What an operator asks of releases, aliases and rollouts, decided by the core and written to the store."""
