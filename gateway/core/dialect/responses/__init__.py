"""OpenAI's Responses wire format: responses, their compaction and token counts, and stored ones by id."""
