"""What a style of images is made of."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from models.imagegen.answers import Style


@dataclass(frozen=True)
class Look:
    """A style: how photos look in it, and how it is said in words.

    Attributes:
        name: As prompts ask for it.
        render: Photos (B, 3, H, W), RGB in 0 to 1, as they look in this style. Deterministic, each photo by itself, and the same
            at every resolution: its sizes are shares of the photo's shorter side. A generator that is trained on photos learns
            the style from what this gives.
        plain: Undoes `render` as far as it can be told: the product on its plain ground again, for whoever judges images of this
            style by what they know of plain photos.
        template: The prompt in words, with `{prompt}` where it goes; for pipelines that learned styles by words.
        negative: What such pipelines should stay away from in this style.
    """

    name: Style
    render: Callable[[Tensor], Tensor]
    plain: Callable[[Tensor], Tensor]
    template: str
    negative: str

    def worded(self, prompt: str) -> str:
        """The prompt in the words of the style; braces in it stay what they are."""
        return self.template.replace("{prompt}", prompt)
