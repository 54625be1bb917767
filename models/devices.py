"""Where a model computes."""

from configs.errors import VitrinaError


def resolve(name: str) -> str:
    """A torch device: that of the name, or a GPU where the name is auto and there is one.

    Raises:
        VitrinaError: this machine has no such device.
    """
    import torch  # seconds, which who only names models need not wait

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise VitrinaError(f"device {name!r} is not available here; allowed: auto, cpu, cuda") from error
    return name
