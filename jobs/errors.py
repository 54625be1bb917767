"""How work ends that is not done."""

from configs.errors import VitrinaError


class NameTaken(VitrinaError):
    """A running worker has this name."""


class Stopping(BaseException):
    """The worker is to end: the work stays as it is, and whoever takes it next goes on. Not an error, so that nobody keeps it."""
