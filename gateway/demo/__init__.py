"""The mock provider and the story that `make demo` tells."""
