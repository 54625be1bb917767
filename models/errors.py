"""What goes wrong in models."""

from configs.errors import VitrinaError


class TrainingError(VitrinaError):
    """Training cannot start, go on or resume."""


class NotSupported(VitrinaError):
    """The request is right, and this model or version cannot do what it asks for; asking again does not help."""


class Outdated(VitrinaError):
    """What the request names was made by another version, and this one cannot use it: it must be made again."""


class OutOfMemory(VitrinaError):
    """The request is right, and what it needs does not fit into the memory that is free now; less of it, or later, may fit."""


class NothingToEmbed(VitrinaError):
    """No product of a catalogue says anything that vectors are made of."""
