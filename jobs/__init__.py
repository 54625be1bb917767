"""Durable work on DBOS: a worker that does what clients left, and looks at champions on a schedule."""
