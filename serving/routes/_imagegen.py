"""What clients send to have an image drawn and get back, and how answers are made of drawings."""

import base64
import secrets
import uuid
from typing import Annotated, Any

from fastapi import Response
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, create_model
from pydantic.fields import FieldInfo

from configs.schema import ImagesConfig
from models.imagegen import answers
from models.imagegen.answers import MAX_GUIDANCE, MAX_SEED, MAX_STEPS, MIN_STEPS, Drawing, Prompt, Sampler, Style
from models.imagegen.metadata import png
from serving.errors import InvalidInput, PromptRefused
from serving.prompts import screened
from serving.schemas import PRINTABLE, RequestModel, ResponseModel, Served, printable, whole
from serving.slots import Answer

MODEL = "imagegen"
SIZE = r"^[1-9][0-9]{1,3}x[1-9][0-9]{1,3}$"
PNG = "image/png"
HEADERS = {
    "Vitrina-Prediction-Id": "names this prediction in the log",
    "Vitrina-Version": "registered version of imagegen that drew it",
    "Vitrina-Seed": "draws it again",
    "Vitrina-Score": "0 to 1, the overall score",
}
"""Of an answer that is the image itself."""
_WORDS = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f]*[^\s\x00-\x1f][^\x00-\x08\x0b\x0c\x0e-\x1f]*$"


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("says nothing; give at least one word")
    return text


class ImageIn(RequestModel):
    """What is to be drawn, and how; only the prompt is needed."""

    prompt: str = Field(description="what the image shows, best as a title says it", examples=["Men Blue Running Shoes"])
    negative_prompt: str = Field("", description="what it should not look like", examples=["blurry, dark"])
    style: Style = Field("photorealistic", description="how it looks")
    size: Annotated[str | None, Field(pattern=SIZE)] = Field(
        None,
        description="width x height in pixels, one of the sizes of the version that answers; its first where it is not said",
        examples=["64x64"],
    )
    steps: Annotated[int, Field(ge=MIN_STEPS, le=MAX_STEPS), BeforeValidator(whole)] = Field(
        20, description="of the sampler; more take longer and give finer images"
    )
    guidance: float | None = Field(
        None,
        ge=1,
        le=MAX_GUIDANCE,
        description="how closely the image follows the prompt; the version's own where it is not said",
        examples=[3.0],
    )
    sampler: Sampler = Field("dpm-solver++", description="how noise becomes an image")
    seed: Annotated[int, Field(ge=0, le=MAX_SEED), BeforeValidator(whole)] | None = Field(
        None,
        description="the same request with the same seed gives the same image on the same machine; drawn by chance where it is "
        "not said, and returned",
        examples=[7],
    )
    candidates: int = Field(1, description="images that are drawn, of which the one with the highest score is kept")
    all_candidates: bool = Field(
        False, description="whether the others come back as well, after the best; a PNG is the best alone"
    )


def image_in(config: ImagesConfig) -> type[ImageIn]:
    """`ImageIn` with the lengths and numbers that this service allows."""
    most = config.prompts.max_characters
    said = WithJsonSchema({"type": "string", "maxLength": most, "pattern": _WORDS})
    kinds: dict[str, Any] = {
        "prompt": Annotated[str, Field(max_length=most), AfterValidator(printable), AfterValidator(_said), said],
        "negative_prompt": Annotated[
            str, Field(max_length=most, json_schema_extra={"pattern": PRINTABLE}), AfterValidator(printable)
        ],
        "candidates": Annotated[int, Field(ge=1, le=config.max_candidates), BeforeValidator(whole)],
    }
    fields: dict[str, Any] = {name: (kind, _again(ImageIn.model_fields[name])) for name, kind in kinds.items()}
    return create_model("ImageIn", __base__=ImageIn, __doc__=ImageIn.__doc__, **fields)


def images_in(one: type[ImageIn], limit: int) -> type[RequestModel]:
    """Schema of at most `limit` images."""
    bounded: Any = (list[one], Field(min_length=1, max_length=limit))  # type: ignore[valid-type]  # made when it runs
    return create_model("ImagesIn", __base__=RequestModel, __doc__="Several images; always drawn in a job.", items=bounded)


def _again(field: FieldInfo) -> Any:
    """Default, description and examples of a field, for one of another kind."""
    return Field(field.default, description=field.description, examples=field.examples)


def asked(body: ImageIn, config: ImagesConfig) -> Prompt:
    """As the model takes it, with a seed drawn by chance where none is given.

    The negative prompt is not screened: it says what must not be seen, and those who write "nudity, blood" there mean well.

    Raises:
        PromptRefused: the policy of the service does not let it be drawn.
    """
    reason = screened(body.prompt, config.prompts)
    if reason is not None:
        told = reason.replace("_", " ")
        raise PromptRefused(f"prompt: refused by the policy of this service ({told}); describe a product instead", "prompt")
    seed = secrets.randbelow(MAX_SEED + 2 - body.candidates) if body.seed is None else body.seed
    if seed + body.candidates - 1 > MAX_SEED:
        most = MAX_SEED + 1 - body.candidates
        raise InvalidInput(f"seed: with {body.candidates} candidates, each of the next seed, at most {most} is allowed", "seed")
    return Prompt(
        text=" ".join(body.prompt.split()),
        style=body.style,
        negative=" ".join(body.negative_prompt.split()),
        size=_size(body.size),
        steps=body.steps,
        guidance=body.guidance,
        sampler=body.sampler,
        seed=seed,
        candidates=body.candidates,
    )


def _size(text: str | None) -> answers.Size | None:
    if text is None:
        return None
    width, height = text.split("x")
    return int(width), int(height)


class Nearest(ResponseModel):
    """The training photo that is most like the image."""

    product_id: str = Field(description="whose photo it is", examples=["1163"])
    distance: float = Field(description="1 - cosine of the embeddings of both, 0 to 2", examples=[0.21])
    memorised: bool = Field(description="nearer than photos of different products are to each other: it may be a copy")


class Shown(ResponseModel):
    """What the image is taken for."""

    article_type: str = Field(examples=["Sports Shoes"])
    probability: float = Field(examples=[0.83])


class Score(ResponseModel):
    """How good the image is; all numbers from 0 to 1, more is better."""

    overall: float = Field(description="the weighted mean of the others, by which candidates are ranked", examples=[0.81])
    agreement: float = Field(
        description="whether it shows what the prompt says: share of real photos that fit their own title less", examples=[0.72]
    )
    sharpness: float = Field(description="share of training photos that are less sharp", examples=[0.44])
    exposure: float = Field(description="1 where neither too dark nor burnt out", examples=[0.97])
    white_background: float = Field(description="share of the border that is white", examples=[1.0])
    nearest: Nearest
    shows: Shown | None = Field(description="null where the version tells no types")


class Image(ResponseModel):
    """One image."""

    png: str = Field(
        description="the file as base64; it says in its metadata how it was made",
        json_schema_extra={"format": "byte", "contentEncoding": "base64", "contentMediaType": PNG},
    )
    seed: int = Field(description="draws this image again, with one candidate", examples=[7])
    score: Score


class Drawn(ResponseModel):
    """The image for a prompt, its score, and what it was drawn with."""

    prediction_id: str = Field(description="names this prediction in the log")
    model: Served
    images: list[Image] = Field(description="the best first; alone unless all candidates were asked for")
    seed: int = Field(description="of the request: its first candidate was drawn from it, the next from the next number")
    size: str = Field(description="width x height in pixels", examples=["64x64"])
    style: Style
    negative_prompt: str = Field(description="as used; a style may add to what was asked")
    steps: int
    guidance: float
    sampler: Sampler
    candidates: int
    unknown_words: list[str] = Field(
        description="words of the prompt that no training text held, so that the version cannot know what they look like"
    )
    cut: bool = Field(description="whether the prompt is longer than what the version reads, so that its end was not read")


def drawn(answer: Answer, all_candidates: bool) -> Drawn:
    """The whole answer."""
    drawing: Drawing = answer.prediction
    prompt = drawing.prompt
    assert prompt.size is not None and prompt.guidance is not None, "a drawing says with what it was made"
    width, height = prompt.size
    return Drawn(
        prediction_id=str(uuid.uuid4()),
        model=Served(name=MODEL, version=answer.version),
        images=[
            Image(
                png=base64.b64encode(png(prompt, picture, answer.version)).decode(),
                seed=picture.seed,
                score=_score(picture.score),
            )
            for picture in (drawing.pictures if all_candidates else drawing.pictures[:1])
        ],
        seed=prompt.seed,
        size=f"{width}x{height}",
        style=prompt.style,
        negative_prompt=prompt.negative,
        steps=prompt.steps,
        guidance=prompt.guidance,
        sampler=prompt.sampler,
        candidates=prompt.candidates,
        unknown_words=list(drawing.unknown_words),
        cut=drawing.cut,
    )


def as_png(reply: Drawn) -> Response:
    """The best image itself."""
    best = reply.images[0]
    said = (reply.prediction_id, reply.model.version, best.seed, best.score.overall)
    headers = {name: str(value) for name, value in zip(HEADERS, said, strict=True)}
    return Response(base64.b64decode(best.png), media_type=PNG, headers=headers)


def _image(prompt: Prompt, picture: answers.Picture, version: int) -> Image:
    encoded = base64.b64encode(png(prompt, picture, version)).decode()
    return Image(png=encoded, seed=picture.seed, score=_score(picture.score))


def _score(score: answers.Score) -> Score:
    nearest = score.nearest
    return Score(
        overall=round(score.overall, 6),
        agreement=round(score.agreement, 6),
        sharpness=round(score.sharpness, 6),
        exposure=round(score.exposure, 6),
        white_background=round(score.white_background, 6),
        nearest=Nearest(product_id=nearest.product_id, distance=round(nearest.distance, 6), memorised=nearest.memorised),
        shows=Shown(article_type=score.shows[0], probability=round(score.shows[1], 6)) if score.shows else None,
    )
