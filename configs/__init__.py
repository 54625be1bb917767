"""Typed configuration: schemas, the YAML that overrides them, and where state lives."""
