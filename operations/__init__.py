"""Running pipelines and reading what they found, local processes, and the machine's examination."""
