"""Config files to frozen values. An unknown key is an error with file, line and key."""
