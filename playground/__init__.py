"""The page where people see what Vitrina does: a client of its API like any other, which can do nothing else."""
