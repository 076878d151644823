"""Two answers to one request, and what is different between them: pure, so that stored pairs can be compared again."""
