"""The shadow: repeats live exchanges on a candidate and compares the answers. It cannot reach a client."""
