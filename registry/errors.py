"""What can go wrong with the registry, in one line each."""

from configs.errors import CheckFailed, VitrinaError


class RegistryError(VitrinaError):
    """A model, version or alias does not exist, or MLflow refused a request."""


class RegistryUnreachable(RegistryError):
    """The MLflow server or store does not answer."""


class TamperedBundle(RegistryError):
    """A bundle's files are not those that were registered."""


class PromotionRefused(CheckFailed):
    """The version may not become champion."""
