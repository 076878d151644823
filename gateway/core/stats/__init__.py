"""Statistics that stay valid however often somebody looks: e-values for streams of pairs, score intervals for shares."""
