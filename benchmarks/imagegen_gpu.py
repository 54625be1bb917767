"""How long does a 512 x 512 image take on a GPU, and which share of the GPU's peak does the U-Net reach in training?

Both with fresh weights, in the sizes of the preset `gpu`: what they say does not change the time. The U-Net's operations of one
forward and backward pass are counted by torch; the peak is the maker's figure for dense bf16. Where there is no GPU, or its peak
is not known, it says so and writes nothing.

    python -m benchmarks.imagegen_gpu [--rows 32] [--steps 20] [--set model.unet.channels=[256,512,768]]
"""

import argparse
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.attention import PEAK
from benchmarks.machine import write
from benchmarks.product import alternate, device, milliseconds
from configs.load import environment_file, load
from models.imagegen.codec.kl import KLCodec
from models.imagegen.config import ImagegenModelConfig, ImagegenRunConfig
from models.imagegen.own.denoiser import new_unet, velocity
from models.imagegen.own.pipeline import ProductImagePipeline, Told
from models.imagegen.own.prior import RidgePrior
from models.imagegen.own.task import scheduler_of
from models.imagegen.own.text import PromptEncoder

SIZE = (512, 512)
GOALS = {"seconds_an_image": 30.0, "share_of_peak": 0.30}
VOCABULARY, FEATURES = 8000, 1024
"""About those of a product version of 40,000 products."""


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=32, help="images a training step")
    parser.add_argument("--steps", type=int, default=20, help="of the sampler")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--no-compile", action="store_true", help="leave the compiled step out: compiling takes minutes")
    parser.add_argument("--dry", action="store_true", help="print the result, write no file")
    parser.add_argument("--set", action="append", default=[], help="value of the configuration")
    options = parser.parse_args()
    missing = unmeasurable()
    if missing is not None:
        print(f"not measured: {missing}")
        return
    model = load(ImagegenRunConfig, environment_file("gpu", "imagegen"), options.set).model
    result = {
        "accelerator": torch.cuda.get_device_name(),
        "goals": GOALS,
        "drawing": drawing(model, options.steps, options.repeats),
        "training": training(model, options.rows, options.repeats, not options.no_compile),
    }
    print(json.dumps(result, indent=1))
    if not options.dry:
        write("imagegen_gpu", result)


def unmeasurable() -> str | None:
    """Why nothing can be measured here; None where it can."""
    if not torch.cuda.is_available():
        return "there is no GPU here"
    name = torch.cuda.get_device_name()
    return None if peak_of(name) else f"the peak of {name} is not known; known are {', '.join(PEAK)}"


def peak_of(name: str) -> float | None:
    """Dense bf16 FLOP/s of a GPU by its name; None where they are not known."""
    return next((value for key, value in PEAK.items() if key in name), None)


def share_of_peak(operations: float, seconds: float, peak: float) -> float:
    """Of what the GPU could compute in that time."""
    return operations / seconds / peak


def drawing(model: ImagegenModelConfig, steps: int, repeats: int) -> dict[str, Any]:
    """Seconds for one image with guidance, decoded."""
    codec = KLCodec.new(model.codec)
    shape = (*SIZE, codec.channels, SIZE[1] // codec.factor, SIZE[0] // codec.factor)
    text = model.text
    encoder = PromptEncoder(VOCABULARY, text.tokens, FEATURES, text.width, text.layers, text.heads)
    prior = RidgePrior(FEATURES, model.prior.rank, [shape])
    pipeline = ProductImagePipeline(new_unet(model, codec.channels), encoder, codec, prior, scheduler_of(model.diffusion))
    pipeline.to(device())
    wanted, unwanted = (told(model, there) for there in (True, False))
    draw = partial(pipeline, wanted, unwanted, SIZE, steps, model.generation.guidance, model.generation.sampler, seeds=[0])

    def image() -> Tensor:
        with torch.autocast(device(), torch.bfloat16):
            return draw()

    timed = milliseconds(alternate({"image": image}, repeats)["image"])
    return {"size": SIZE, "steps": steps, "seconds_an_image": round(timed["ms"] / 1000, 3), **timed}


def told(model: ImagegenModelConfig, there: bool) -> Told:
    """One prompt of full length, or none."""
    ids = torch.arange(1, model.text.tokens + 1, device=device())[None]
    styles = torch.zeros(1, dtype=torch.int64, device=device())
    return Told(ids, torch.randn(1, FEATURES, device=device()), styles, torch.tensor([there], device=device()))


def training(model: ImagegenModelConfig, rows: int, repeats: int, compiled: bool) -> dict[str, Any]:
    """Time and operations of a training step of the U-Net, as it is and compiled."""
    peak = peak_of(torch.cuda.get_device_name())
    assert peak is not None
    step = TrainingStep(model, rows)
    with FlopCounterMode(display=False) as counter:
        step()
    operations = counter.get_total_flops()
    ways: dict[str, Callable[[], Any]] = {"eager": step}
    if compiled:
        ways["compiled"] = TrainingStep(model, rows, compiled=True)
    found: dict[str, Any] = {"rows": rows, "size": SIZE, "tflops_a_step": round(operations / 1e12, 3)}
    for name, seconds in alternate(ways, repeats, warm=3).items():
        timed = milliseconds(seconds)
        found[name] = timed | {"share_of_peak": round(share_of_peak(operations, timed["ms"] / 1000, peak), 3)}
    return found


class TrainingStep:
    """Forward and backward pass of the U-Net on latents of `SIZE`, in bf16, channels last."""

    def __init__(self, model: ImagegenModelConfig, rows: int, compiled: bool = False) -> None:
        codec = KLCodec.new(model.codec)
        shape = (rows, codec.channels, SIZE[1] // codec.factor, SIZE[0] // codec.factor)
        self.unet = new_unet(model, codec.channels).to(device(), memory_format=torch.channels_last).train()
        if compiled:
            self.unet.compile()
        generator = torch.Generator().manual_seed(0)
        self.noisy, self.mean, self.wanted = (torch.randn(shape, generator=generator).to(device()) for _ in range(3))
        self.times = torch.randint(model.diffusion.steps, (rows,), generator=generator).to(device())
        states = torch.randn(rows, model.text.tokens + 2, model.text.width, generator=generator).to(device())
        there = torch.ones(rows, model.text.tokens + 2, dtype=torch.bool, device=device())
        self.told = states, there, torch.randn(rows, model.text.width, generator=generator).to(device())
        self.levels = torch.full((rows, 1, 1, 1), 0.5**0.5, device=device())

    def __call__(self) -> Tensor:
        """The loss; gradients are left in the weights."""
        self.unet.zero_grad(set_to_none=True)
        with torch.autocast(device(), torch.bfloat16):
            found = velocity(self.unet, self.noisy, self.times, self.mean, self.levels, self.levels, self.told)
        loss = (found.float() - self.wanted).square().mean()
        loss.backward()
        return loss


if __name__ == "__main__":
    main()
