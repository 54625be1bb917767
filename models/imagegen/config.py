"""Settings of the image generator."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from configs.schema import Optimizer, PositiveFloat, PositiveInt, RunConfig, Share, StrictModel
from models.imagegen.answers import MAX_GUIDANCE, MAX_STEPS, MIN_STEPS, Sampler

Side = Annotated[int, Field(ge=16, le=2048, multiple_of=8)]


class CodecConfig(StrictModel):
    """How photos become latents."""

    kind: Literal["block", "kl"] = Field(
        "block", description="block: a linear transform of 8x8 blocks, fitted in seconds; kl: AutoencoderKL, trained first"
    )
    coefficients: PositiveInt = Field(24, description="numbers a block that are kept of 192 (block)")
    tempering: Share = Field(
        0.5,
        description="exponent of each number's deviation in its scale (block): at 1 all vary alike, at 0 as they do in photos, "
        "where fine detail is small and drowns in noise first",
    )
    folder: str | None = Field(
        None, description="folder of an AutoencoderKL in safetensors that is used as it is; else one is trained (kl)"
    )
    latent_channels: PositiveInt = Field(4, description="numbers a cell (kl)")
    widths: tuple[PositiveInt, ...] = Field(
        (64, 128, 256, 256), min_length=2, description="channels of the autoencoder at each resolution; each halves it (kl)"
    )
    layers: PositiveInt = Field(2, description="residual blocks a resolution (kl)")
    groups: PositiveInt = Field(32, description="groups of its GroupNorm; they divide all its channels (kl)")
    kl_weight: PositiveFloat = Field(1e-6, description="weight of the divergence beside the reconstruction error (kl)")
    crop: Side = Field(
        256, description="pixels of the squares that it is trained on, cut from photos at chance; what it learns is local (kl)"
    )
    epochs: PositiveInt = Field(4, description="passes of its training over the photos (kl)")
    batch_size: PositiveInt = Field(16, description="squares a step (kl)")
    learning_rate: PositiveFloat = Field(3e-4, description="peak of its schedule (kl)")
    share_of_time: Share = Field(0.3, description="share of trainer.max_minutes that its training may take (kl)")

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if wrong := [width for width in self.widths if width % self.groups]:
            raise ValueError(f"codec.widths {wrong[0]} is not divisible by codec.groups {self.groups}")
        return self


class TextConfig(StrictModel):
    """The text transformer."""

    width: PositiveInt = Field(128, description="dimensions of a token's state")
    layers: PositiveInt = Field(6, description="transformer blocks")
    heads: PositiveInt = Field(4, description="attention heads; they divide the width")
    tokens: PositiveInt = Field(32, description="tokens of a prompt that are read; an answer says where there are more")


class UNetConfig(StrictModel):
    """The U-Net, `diffusers.UNet2DConditionModel`."""

    channels: tuple[PositiveInt, ...] = Field((64, 128), description="channels at each resolution, from the latents' downwards")
    attention: tuple[bool, ...] = Field(
        (False, True), description="whether a resolution attends to the prompt; the middle, at the lowest, always does"
    )
    layers: PositiveInt = Field(1, description="residual blocks a resolution")
    heads: PositiveInt = Field(4, description="attention heads; they divide every number of channels")
    groups: PositiveInt = Field(32, description="groups of GroupNorm; they divide every number of channels")


class PriorConfig(StrictModel):
    """The mean latents that a linear model sees in a prompt: the network learns what is left (PriorGrad, Lee et al. 2022)."""

    rank: PositiveInt = Field(96, description="principal components of the latents that are predicted")
    penalty: PositiveFloat = Field(3.0, description="ridge penalty, for features of unit length")


class DiffusionConfig(StrictModel):
    """What the network learns: to predict v, at every level of noise."""

    steps: PositiveInt = Field(1000, description="noise levels of training")
    schedule: Literal["squaredcos_cap_v2", "scaled_linear", "linear"] = Field("squaredcos_cap_v2", description="how noise grows")
    snr_gamma: PositiveFloat = Field(
        5.0, description="min-SNR weighting (Hang et al. 2023): higher ratios of signal to noise count as this"
    )
    condition_dropout: Share = Field(0.1, description="share of examples whose prompt is hidden, for classifier-free guidance")


class StylesConfig(StrictModel):
    """How styles are learned."""

    share: Share = Field(0.2, description="share of examples that are shown in another style than photorealistic")
    attribute: str | None = Field(
        "Image Style",
        description="attribute of products that says in which style their photo is; such photos are shown as they are",
    )


class StartConfig(StrictModel):
    """A Stable-Diffusion-class pipeline to start from, instead of training from nothing."""

    folder: str = Field(min_length=1, description="folder of a StableDiffusionPipeline, weights in safetensors")
    method: Literal["full", "lora"] = Field(
        "lora", description="train the whole U-Net, or low-rank changes of its attention (LoRA)"
    )
    rank: PositiveInt = Field(16, description="rank of the changes (lora)")
    alpha: PositiveInt = Field(16, description="the changes are scaled by alpha / rank (lora)")
    lora_rate: PositiveFloat = Field(0.1, description="learning rate as a factor of trainer.learning_rate (lora)")
    full_rate: PositiveFloat = Field(
        0.01, description="the same (full): a network that was trained for long forgets what it knows when it learns faster"
    )


class GenerationConfig(StrictModel):
    """How images are drawn where the prompt does not say."""

    guidance: float = Field(3.0, ge=1.0, le=MAX_GUIDANCE, description="classifier-free guidance; chosen on validation prompts")
    steps: int = Field(20, ge=MIN_STEPS, le=MAX_STEPS, description="steps when a version is measured")
    sampler: Sampler = Field("dpm-solver++", description="sampler when a version is measured")
    max_candidates: PositiveInt = Field(8, description="candidates of a prompt at most")


class ScoreConfig(StrictModel):
    """What the overall score of an image is made of, as weights of a mean, and what it is compared with."""

    agreement: Share = Field(0.6, description="weight")
    sharpness: Share = Field(0.15, description="weight")
    exposure: Share = Field(0.1, description="weight")
    white_background: Share = Field(0.1, description="weight")
    novelty: Share = Field(0.05, description="weight of not being memorised")
    compared: PositiveInt = Field(
        400, description="validation photos, at most, whose agreement with their own and with others' titles the scale is made of"
    )
    memorised: Share = Field(
        0.05,
        description="share of real validation photos that lie nearer to a training photo than what counts as memorised: near 0, "
        "yet above the share of photos that a catalogue shows twice (2 % on Myntra), for those lie at 0",
    )

    @model_validator(mode="after")
    def _weighted(self) -> Self:
        if not any((self.agreement, self.sharpness, self.exposure, self.white_background, self.novelty)):
            raise ValueError("all weights of the score are 0; give at least one of them more")
        return self


class JudgeConfig(StrictModel):
    """The classifier of types and colours that generated images are measured by: own seed, real photos only."""

    seed: int = Field(4711, ge=0, description="of its weights and order; not the generator's")
    side: Side = Field(64, description="pixels of the square to which photos and images are fitted, whatever is drawn")
    channels: tuple[PositiveInt, ...] = Field((32, 64, 128, 192), min_length=1, description="channels of its stages")
    features: PositiveInt = Field(
        64,
        description="width of the layer before the heads, in which sets of images are compared: few, as their covariance is "
        "estimated from some hundred images",
    )
    min_photos: PositiveInt = Field(8, description="training photos of a type or colour; rarer ones are not learned or judged")
    photos: PositiveInt = Field(
        40_000, description="photos it learns from at most, as they are held in memory; others are left out"
    )
    epochs: PositiveInt = Field(4, description="passes over the training photos")
    batch_size: PositiveInt = Field(128, description="photos a step")
    low_res_share: Share = Field(
        0.0,
        description="the first share of the passes sees photos at three quarters of the side, for half of the work; not where "
        "max_minutes may end it in these passes: it then knows no photo of full size",
    )
    optimizer: Optimizer = Field("muon", description="as trainer.optimizer: muon learns more in the few updates that there are")
    learning_rate: PositiveFloat = Field(6e-3, description="peak of the schedule")
    ema_decay: float = Field(0.99, ge=0.0, lt=1.0, description="decay of the weight average: there are a thousand updates")
    smoothing: Share = Field(0.05, description="label smoothing of both heads")
    zoom: Share = Field(0.08, description="photos are shrunk or enlarged by up to this share")
    shift: Share = Field(0.05, description="and moved by up to this share of their side")
    blur: Share = Field(1.0, description="and softened by up to this share of a blur of 1.2 pixels: drawings are less sharp")
    noise: Share = Field(0.02, description="and get noise of up to this deviation, white being 1")
    max_minutes: PositiveFloat | None = Field(8.0, description="stops its training after this much wall time")


class MeasuredConfig(StrictModel):
    """What a version is measured on."""

    products: PositiveInt = Field(400, description="prompts, titles of products, at most")
    candidates: PositiveInt = Field(4, description="images a prompt: the first is 'best of 1', the best by score 'best of N'")
    gallery: PositiveInt = Field(64, description="images on the report's page")
    swept: PositiveInt = Field(6, description="prompts that are drawn with several guidances, steps and styles")


class ImagegenModelConfig(StrictModel):
    """Everything but the training."""

    sizes: tuple[tuple[Side, Side], ...] = Field(
        ((64, 64),),
        min_length=1,
        description="width and height of images that are learned and offered; each batch has one of them",
    )
    start: StartConfig | None = Field(
        None, description="pipeline to start from; its own codec, text encoder and sizes' factor count"
    )
    codec: CodecConfig = CodecConfig()
    text: TextConfig = TextConfig()
    unet: UNetConfig = UNetConfig()
    prior: PriorConfig = PriorConfig()
    diffusion: DiffusionConfig = DiffusionConfig()
    styles: StylesConfig = StylesConfig()
    generation: GenerationConfig = GenerationConfig()
    score: ScoreConfig = ScoreConfig()
    judge: JudgeConfig = JudgeConfig()
    measured: MeasuredConfig = MeasuredConfig()

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        for channels in self.unet.channels:
            if channels % self.unet.heads or channels % self.unet.groups:
                raise ValueError(
                    f"unet.channels {channels} is not divisible by heads {self.unet.heads} and groups {self.unet.groups}"
                )
        if len(self.unet.attention) != len(self.unet.channels):
            raise ValueError(
                f"unet.attention has {len(self.unet.attention)} entries, unet.channels {len(self.unet.channels)}; one each"
            )
        if self.text.width % self.text.heads:
            raise ValueError(f"text.width {self.text.width} is not divisible by text.heads {self.text.heads}")
        return self


class ImagegenRunConfig(RunConfig):
    """A training run of the image generator."""

    model: ImagegenModelConfig = ImagegenModelConfig()
