"""Draws one product photo: fabric, folds, shadow, background and sensor noise around a shape."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 60, 80
_SCALE = 4

Colour = tuple[int, int, int]
Points = Sequence[tuple[float, float]]

WHITE: Colour = (246, 246, 244)
GOLD: Colour = (196, 158, 78)
SILVER: Colour = (182, 186, 192)
GREY: Colour = (110, 110, 114)

COLOURS: dict[str, Colour] = {
    "Black": (38, 37, 40),
    "White": (244, 243, 239),
    "Blue": (58, 104, 178),
    "Navy Blue": (34, 44, 86),
    "Red": (188, 42, 48),
    "Green": (62, 126, 74),
    "Grey": (138, 140, 144),
    "Brown": (114, 74, 46),
    "Pink": (228, 134, 164),
    "Purple": (112, 68, 140),
    "Yellow": (234, 196, 62),
    "Orange": (226, 120, 46),
    "Beige": (212, 190, 156),
    "Silver": (186, 190, 196),
    "Gold": (198, 162, 84),
}


class Pen:
    """A canvas with one fabric; coordinates are those of the finished 60 × 80 photo, jittered as a whole."""

    def __init__(self, colour: str, pattern: str, rng: np.random.Generator, dark: bool = False) -> None:
        self._size = (WIDTH * _SCALE, HEIGHT * _SCALE)
        level = rng.uniform(70, 115) if dark else rng.uniform(226, 252)
        tint = np.clip(level + rng.normal(0, 3, 3), 0, 255)
        self._background: Colour = (int(tint[0]), int(tint[1]), int(tint[2]))
        base = np.clip(np.array(COLOURS[colour]) * rng.normal(1.0, 0.08) + rng.normal(0, 5, 3), 12, 250)
        self._base = base
        self._fabric = fabric(base, pattern, self._size, rng)
        self._canvas = Image.new("RGB", self._size, self._background)
        self._cover = Image.new("L", self._size, 0)
        angle, zoom = np.deg2rad(rng.normal(0, 2.5)), rng.uniform(0.86, 1.02)
        self._turn = zoom * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        if rng.random() < 0.25:
            self._turn[0] *= -1  # seen from the other side
        self._shift = np.array([WIDTH / 2, HEIGHT / 2]) + rng.normal(0, 1.1, 2)
        self._rng = rng
        self._dark = dark

    def fill(self, points: Points, colour: Colour | None = None, shade: float = 1.0, smooth: bool = False) -> None:
        """A surface of the fabric, times `shade`, or of one colour."""
        outline = self._place(_rounded(points, closed=True) if smooth else points)
        mask = Image.new("L", self._size, 0)
        ImageDraw.Draw(mask).polygon(outline, fill=255)
        self._paint(mask, colour, shade)
        edge = _times(colour or self._base, 0.62 * shade)
        ImageDraw.Draw(self._canvas).line([*outline, outline[0]], fill=edge, width=2, joint="curve")

    def line(self, points: Points, width: float, colour: Colour | None = None, shade: float = 1.0, smooth: bool = False) -> None:
        """A seam, strap or thread `width` units wide."""
        path = self._place(_rounded(points, closed=False) if smooth else points)
        thick = max(1, round(width * _SCALE))
        ink = colour or _times(self._base, shade)
        for target, fill in ((self._canvas, ink), (self._cover, 255)):
            ImageDraw.Draw(target).line(path, fill=fill, width=thick, joint="curve")

    def disc(
        self, x: float, y: float, rx: float, ry: float, colour: Colour | None = None, shade: float = 1.0, background: bool = False
    ) -> None:
        """An ellipse; `background` cuts a hole."""
        around = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        points = [(x + rx * float(np.cos(a)), y + ry * float(np.sin(a))) for a in around]
        if background:
            outline = self._place(points)
            ImageDraw.Draw(self._canvas).polygon(outline, fill=self._background)
            ImageDraw.Draw(self._cover).polygon(outline, fill=0)
        else:
            self.fill(points, colour, shade)

    def photo(self) -> NDArray[np.uint8]:
        """The finished 60 × 80 photo, height × width × 3."""
        rng = self._rng
        drawn = np.asarray(self._canvas.reduce(_SCALE), dtype=np.float32)
        cover = self._cover.reduce(_SCALE)
        inside = np.asarray(cover, dtype=np.float32)[..., None] / 255
        folds = _smooth_noise(rng, 7, 5) * 0.14 + 1.0
        light = np.linspace(1.05, 0.93, WIDTH, dtype=np.float32)[None, :, None]
        drawn = drawn * (1 + inside * (folds * light - 1))
        shadow = np.asarray(cover.filter(ImageFilter.GaussianBlur(2.5)), dtype=np.float32)[..., None] / 255
        shadow = np.roll(shadow, (2, 1), axis=(0, 1))
        ground = 1 - 0.22 * shadow + 0.02 * _smooth_noise(rng, 3, 3)
        drawn = drawn * (inside + (1 - inside) * ground)
        if self._dark:
            drawn = drawn * rng.uniform(0.62, 0.8) * np.array([1.08, 1.0, 0.86], dtype=np.float32)
        noisy = drawn + rng.normal(0, 3.5, drawn.shape)
        photo: NDArray[np.uint8] = np.clip(noisy, 0, 255).astype(np.uint8)
        return photo

    def _paint(self, mask: Image.Image, colour: Colour | None, shade: float) -> None:
        box = mask.getbbox()  # a stroke covers little of the canvas: only that part is worked on
        if box is None:
            return
        mask = mask.crop(box)
        if colour is not None:
            self._canvas.paste(_times(colour, shade), box, mask)
        elif shade == 1.0:
            self._canvas.paste(self._fabric.crop(box), box, mask)
        else:
            shaded = [int(min(255, level * shade)) for level in range(256)]
            self._canvas.paste(self._fabric.crop(box).point(shaded * 3), box, mask)
        self._cover.paste(255, box, mask)

    def _place(self, points: Points) -> list[tuple[float, float]]:
        centred = np.asarray(points, dtype=np.float64) - (WIDTH / 2, HEIGHT / 2)
        placed = (centred @ self._turn.T + self._shift) * _SCALE
        return [(float(x), float(y)) for x, y in placed]


def jpeg(photo: NDArray[np.uint8]) -> bytes:
    """Encoded as shops do."""
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def mirrored(right: Points, top: tuple[float, float]) -> list[tuple[float, float]]:
    """A closed outline from `top` down the right side, and back up its mirror image."""
    return [top, *right, *((WIDTH - x, y) for x, y in reversed(right))]


def fabric(base: NDArray[Any], pattern: str, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Cloth of one colour with a pattern in a second one."""
    cloth = Image.new("RGB", size, _times(base, 1.0))
    draw = ImageDraw.Draw(cloth)
    second = _times(base, 0.45) if base.mean() > 120 else _times(base * 0.25 + 185, 1.0)
    step = int(rng.integers(14, 30))
    match pattern:
        case "Striped":
            across = rng.random() < 0.55
            for start in range(0, max(size), step):
                box = (0, start, size[0], start + step // 3) if across else (start, 0, start + step // 3, size[1])
                draw.rectangle(box, fill=second)
        case "Checked":
            for start in range(0, max(size), step):
                draw.rectangle((0, start, size[0], start + step // 4), fill=second)
            blend = Image.new("RGB", size, _times(base, 1.0))
            for start in range(0, max(size), step):
                ImageDraw.Draw(blend).rectangle((start, 0, start + step // 4, size[1]), fill=second)
            cloth = Image.blend(cloth, blend, 0.5)
        case "Dotted":
            radius = step // 5
            for row, y in enumerate(range(0, size[1], step)):
                for x in range((row % 2) * step // 2, size[0], step):
                    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=second)
        case "Printed":
            for _ in range(26):
                x, y = int(rng.integers(0, size[0])), int(rng.integers(0, size[1]))
                petal = int(rng.integers(6, 15))
                ink = _times(np.array(COLOURS[list(COLOURS)[int(rng.integers(len(COLOURS)))]]), 1.0)
                for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                    draw.ellipse((x + dx * petal - 5, y + dy * petal - 5, x + dx * petal + 5, y + dy * petal + 5), fill=ink)
        case _:
            pass
    return cloth


def _rounded(points: Points, closed: bool, steps: int = 6) -> list[tuple[float, float]]:
    """Catmull-Rom curve through the points."""
    p = np.asarray(points, dtype=np.float64)
    p = np.vstack([p[-1], p, p[0], p[1]]) if closed else np.vstack([p[0], p, p[-1]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    curve = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(p[:-3], p[1:-2], p[2:-1], p[3:], strict=True)
    ]
    joined = np.vstack(curve if closed else [*curve, p[-1:]])
    return [(float(x), float(y)) for x, y in joined]


def _times(colour: Any, shade: float) -> Colour:
    red, green, blue = np.clip(np.asarray(colour, dtype=np.float64) * shade, 0, 255).astype(int).tolist()
    return red, green, blue


def _smooth_noise(rng: np.random.Generator, rows: int, columns: int) -> NDArray[np.float32]:
    """Slow variation around 0, height × width × 1."""
    coarse = Image.fromarray(rng.normal(0, 1, (rows, columns)).astype(np.float32))
    return np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), dtype=np.float32)[..., None]
