"""Providers: endpoints, credentials, retries, breakers. Every failure becomes a Fault here, once."""
