"""The HTTP API, served by BentoML."""
