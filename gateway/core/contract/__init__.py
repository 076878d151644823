"""The nouns that flow between rooms, as frozen values. A reader who knows them can guess the rest."""
