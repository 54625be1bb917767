"""The error every package derives from: one line that says what, where, and what is allowed."""


class VitrinaError(ValueError):
    """Something the caller can mend. The command line prints it in one line and exits with `exit_code`."""

    exit_code = 2


class ConfigError(VitrinaError):
    """A configuration value, key or file is wrong."""


class CheckFailed(VitrinaError):
    """A gate or a check said no; nothing is broken, the answer is no."""

    exit_code = 1
