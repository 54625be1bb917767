"""What goes wrong in models."""

from configs.errors import VitrinaError


class TrainingError(VitrinaError):
    """Training cannot start, go on or resume."""
