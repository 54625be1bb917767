"""What each article type looks like, as strokes in a 60 × 80 frame (origin top left)."""

from collections.abc import Callable

import numpy as np

from catalog.sample.pen import GOLD, GREY, SILVER, WHITE, Pen, mirrored

DARK = (45, 42, 44)
CREAM = (236, 228, 212)


def _tshirt(pen: Pen, rng: np.random.Generator) -> None:
    sleeve, hem = rng.uniform(-3, 4), rng.uniform(-5, 3)
    pen.fill(mirrored([(35, 13), (43, 16), (55, 29 + sleeve), (48, 36 + sleeve), (44, 31), (45, 67 + hem)], top=(30, 19)))
    pen.line([(25, 13), (27, 17.5), (30, 19.5), (33, 17.5), (35, 13)], 1.4, shade=0.7)
    if rng.random() < 0.3:
        pen.disc(37, 29, 2.2, 2.2, colour=WHITE)


def _shirt(pen: Pen, rng: np.random.Generator) -> None:
    hem = rng.uniform(-3, 3)
    sleeve = 58.0 if rng.random() < 0.75 else 34.0
    reach = 54.0 if sleeve > 40 else 53.0
    pen.fill(
        mirrored(
            [(35, 12), (43, 15), (reach, sleeve), (reach - 6, sleeve + 1), (44, 31), (44, 69 + hem), (37, 72 + hem)], top=(30, 17)
        )
    )
    pen.fill([(30, 18), (24, 11), (22, 18), (27, 22)], shade=0.85)
    pen.fill([(30, 18), (36, 11), (38, 18), (33, 22)], shade=0.85)
    pen.line([(30, 18), (30, 71 + hem)], 1.0, shade=0.65)
    for y in np.arange(25, 66, 7.5):
        pen.disc(31.6, float(y), 0.8, 0.8, colour=CREAM)
    pen.line([(34, 32), (41, 32), (41, 39), (34, 39), (34, 32)], 0.6, shade=0.75)
    if sleeve > 40:
        for side in (reach, 60 - reach):
            inner = side - 6 if side > 30 else side + 6
            pen.line([(side, sleeve - 4), (inner, sleeve - 3)], 0.8, shade=0.7)


def _sweater(pen: Pen, rng: np.random.Generator) -> None:
    hem = rng.uniform(-4, 2)
    pen.fill(mirrored([(36, 14), (44, 17), (56, 58), (49, 61), (45, 36), (46, 66 + hem)], top=(30, 18)), smooth=False)
    for y in np.arange(22, 64, 2.6):
        pen.line([(16, float(y)), (44, float(y))], 0.35, shade=0.88)
    pen.fill([(14, 64 + hem), (46, 64 + hem), (45, 69 + hem), (15, 69 + hem)], shade=0.72)
    pen.fill([(49, 61), (56, 58), (56.5, 62), (50, 65)], shade=0.72)
    pen.fill([(11, 61), (4, 58), (3.5, 62), (10, 65)], shade=0.72)
    neck = [(24, 14), (30, 25), (36, 14)] if rng.random() < 0.5 else [(24, 14), (27, 18.5), (30, 19.5), (33, 18.5), (36, 14)]
    pen.line(neck, 2.4, shade=0.68)


def _jacket(pen: Pen, rng: np.random.Generator) -> None:
    hem = rng.uniform(-3, 5)
    pen.fill(mirrored([(36, 12), (46, 16), (57, 58), (49, 61), (46, 36), (47, 68 + hem)], top=(30, 15)))
    opening = rng.uniform(1.0, 4.0)
    pen.fill(
        [(27, 14), (33, 14), (30 + opening, 68 + hem), (30 - opening, 68 + hem)], colour=CREAM if rng.random() < 0.5 else DARK
    )
    pen.fill([(26, 11), (31, 15), (25, 33), (19, 21)], shade=0.75)
    pen.fill([(34, 11), (29, 15), (35, 33), (41, 21)], shade=0.75)
    pen.line([(30 - opening, 68 + hem), (28.5, 28)], 0.8, colour=SILVER)
    for side in (-1, 1):
        pen.line([(30 + side * 9, 52), (30 + side * 14, 47)], 1.2, shade=0.55)
    pen.line([(13.5, 65 + hem), (26, 66 + hem)], 0.8, shade=0.65)
    pen.line([(34, 66 + hem), (46.5, 65 + hem)], 0.8, shade=0.65)


def _legs(pen: Pen, length: float, hem: float, waist: float) -> None:
    pen.fill(
        mirrored(
            [(30 + waist, 12), (32 + waist + 1, 26), (34 + hem, length), (30 + hem * 0.35, length + 0.5), (30.6, 34)],
            top=(30, 12),
        )
    )
    pen.fill([(30 - waist, 11), (30 + waist, 11), (30 + waist + 0.4, 15), (30 - waist - 0.4, 15)], shade=0.82)
    pen.line([(30, 15), (30, 33)], 0.8, shade=0.6)


def _jeans(pen: Pen, rng: np.random.Generator) -> None:
    _legs(pen, rng.uniform(70, 75), rng.uniform(6, 9), rng.uniform(10, 12))
    for side in (-1, 1):
        pen.line([(30 + side * 10, 16), (30 + side * 8, 22), (30 + side * 3, 23)], 0.6, colour=GOLD)
        pen.line([(30 + side * 9, 24), (30 + side * 9.5, 68)], 0.45, colour=GOLD)
        pen.fill([(30 + side * 5, 34), (30 + side * 8, 34), (30 + side * 8, 54), (30 + side * 6, 54)], shade=1.18)
    pen.disc(30, 13, 1.0, 1.0, colour=GOLD)


def _trousers(pen: Pen, rng: np.random.Generator) -> None:
    _legs(pen, rng.uniform(70, 75), rng.uniform(5, 8), rng.uniform(9, 11))
    for side in (-1, 1):
        pen.line([(30 + side * 6, 18), (30 + side * 6.5, 70)], 0.6, shade=0.72)
        pen.line([(30 + side * 10.5, 16), (30 + side * 8.5, 25)], 0.7, shade=0.6)


def _shorts(pen: Pen, rng: np.random.Generator) -> None:
    length, hem = rng.uniform(44, 54), rng.uniform(11, 14)
    pen.fill(mirrored([(43, 20), (46, 32), (33 + hem, length), (32, length + 1), (30.6, 39)], top=(30, 20)))
    pen.fill([(17, 18), (43, 18), (43.4, 23), (16.6, 23)], shade=0.8)
    pen.line([(30, 23), (30, 38)], 0.8, shade=0.6)
    pen.line([(28, 22), (27, 31)], 0.7, colour=WHITE)
    pen.line([(32, 22), (33, 30)], 0.7, colour=WHITE)


def _skirt(pen: Pen, rng: np.random.Generator) -> None:
    length, flare = rng.uniform(48, 70), rng.uniform(16, 24)
    pen.fill(
        mirrored(
            [(39, 16), (30 + flare * 0.7, 16 + (length - 16) * 0.5), (30 + flare, length), (30 + flare * 0.5, length + 2)],
            top=(30, 16),
        )
    )
    pen.fill([(21, 13), (39, 13), (39.5, 18), (20.5, 18)], shade=0.75)
    for share in np.linspace(-0.75, 0.75, int(rng.integers(4, 8))):
        pen.line([(30 + 8 * float(share), 19), (30 + flare * float(share), length)], 0.6, shade=0.74)


def _dress(pen: Pen, rng: np.random.Generator) -> None:
    length, flare = rng.uniform(64, 75), rng.uniform(14, 22)
    if rng.random() < 0.4:
        pen.fill(mirrored([(38, 12), (49, 24), (44, 28), (39, 23)], top=(30, 14)))
    pen.fill(
        mirrored(
            [(36, 9), (39, 10), (39, 21), (36, 33), (30 + flare * 0.8, 56), (30 + flare, length), (30 + flare * 0.4, length + 2)],
            top=(30, 20),
        )
    )
    pen.fill([(24, 32), (36, 32), (36.5, 35.5), (23.5, 35.5)], shade=0.65)
    for share in (-0.6, -0.2, 0.25, 0.6):
        pen.line([(30 + 6 * share, 37), (30 + flare * share, length)], 0.5, shade=0.78)


def _sports_shoe(pen: Pen, rng: np.random.Generator) -> None:
    sole = WHITE if rng.random() < 0.7 else DARK
    pen.fill([(7, 33), (15, 30), (20, 37), (33, 41), (50, 47), (55, 53), (53, 57), (6, 57), (5, 45)], smooth=True)
    pen.fill([(4, 54), (30, 56), (56, 54), (57, 59), (52, 62), (8, 62), (4, 60)], colour=sole)
    pen.line([(5, 57), (56, 57)], 0.7, shade=0.7)
    for x in (20, 24, 28, 32):
        pen.line([(x, 36 + (x - 20) * 0.4), (x + 3.5, 41 + (x - 20) * 0.3)], 1.0, colour=WHITE if sole == DARK else DARK)
    for offset in (0, 4):
        pen.line([(13 + offset, 53), (25 + offset, 42)], 1.6, colour=sole)
    pen.fill([(44, 46), (53, 51), (54, 54), (44, 54)], shade=0.8)


def _formal_shoe(pen: Pen, rng: np.random.Generator) -> None:
    toe = rng.uniform(54, 58)
    pen.fill(
        [(6, 40), (9, 34), (13, 33), (20, 38), (25, 36), (31, 39), (40, 46), (50, 49), (toe, 54), (toe, 57), (7, 57), (6, 48)]
    )
    pen.fill([(9, 35), (13, 34), (20, 39), (25, 37), (24, 40), (16, 41)], colour=DARK)
    pen.fill([(5, 56), (toe, 56), (toe, 58.5), (19, 58.5), (19, 62), (5, 62)], colour=DARK)
    pen.line([(40, 46), (38, 51), (40, 56)], 0.7, shade=0.55, smooth=True)
    for x in (27, 30, 33):
        pen.line([(x, 37 + (x - 27) * 0.6), (x - 3, 42 + (x - 27) * 0.5)], 0.8, shade=0.5)
    pen.line([(8, 45), (20, 47), (33, 51)], 0.5, shade=0.6, smooth=True)


def _boot(pen: Pen, rng: np.random.Generator) -> None:
    shaft = rng.uniform(12, 26)
    pen.fill([(13, shaft), (31, shaft), (32, 45), (40, 51), (51, 55), (54, 62), (53, 65), (12, 65), (14, 48)], smooth=False)
    pen.fill([(11, 64), (55, 64), (55, 68), (26, 68), (25, 71), (11, 71)], colour=DARK)
    pen.fill([(13, shaft - 1), (31, shaft - 1), (31, shaft + 3), (13, shaft + 3)], shade=0.7)
    if rng.random() < 0.6:
        for y in np.arange(shaft + 7, 50, 5):
            pen.line([(27, float(y)), (32, float(y) + 2)], 0.9, colour=CREAM)
    else:
        pen.line([(22, shaft + 3), (22, 60)], 0.8, colour=SILVER)


def _heel(pen: Pen, rng: np.random.Generator) -> None:
    height = rng.uniform(10, 20)
    back = 60 - height
    pen.fill(
        [
            (8, back - 10),
            (11, back - 9),
            (15, back + 1),
            (30, 54),
            (46, 57),
            (53, 60),
            (50, 62),
            (40, 62),
            (26, 60),
            (13, back + 5),
            (8, back),
        ],
        smooth=True,
    )
    pen.fill([(8, back - 2), (14, back + 3), (11.5, 63), (9, 63)], shade=0.75)
    pen.line([(14, back + 4), (26, 60.5), (51, 62.5)], 1.1, colour=DARK)
    if rng.random() < 0.5:
        pen.line([(10, back - 7), (20, back - 8), (24, back + 6)], 1.2, shade=0.8)


def _sandal(pen: Pen, rng: np.random.Generator) -> None:
    pen.fill([(5, 55), (18, 53), (34, 56), (56, 55), (57, 59), (52, 61), (34, 61), (20, 59), (6, 62)], colour=(150, 112, 74))
    pen.fill([(38, 56), (42, 45), (51, 45), (54, 56), (49, 56), (48, 50), (44, 50), (43, 56)])
    pen.fill([(9, 55), (10, 40), (14, 39), (15, 54)], shade=0.9)
    pen.line([(11, 42), (20, 40), (28, 46), (32, 56)], 2.2)
    if rng.random() < 0.5:
        pen.line([(28, 46), (44, 48)], 1.8, shade=0.9)
    pen.disc(20, 40.5, 1.2, 1.2, colour=GOLD)


def _flip_flop(pen: Pen, rng: np.random.Generator) -> None:
    for x in (19.0, 41.0):
        pen.fill(
            [(x, 12), (x + 8, 20), (x + 7, 38), (x + 6, 54), (x + 3, 66), (x - 4, 66), (x - 6, 54), (x - 6, 38), (x - 8, 22)],
            smooth=True,
        )
        pen.line([(x - 7, 42), (x - 1, 26), (x + 7, 42)], 2.2, shade=0.5, smooth=True)


def _handbag(pen: Pen, rng: np.random.Generator) -> None:
    top, handle = rng.uniform(30, 38), rng.uniform(12, 20)
    pen.line([(20, top + 2), (21, handle + 4), (30, handle - 3), (39, handle + 4), (40, top + 2)], 2.2, shade=0.65, smooth=True)
    pen.fill(mirrored([(44, top), (51, 63), (49, 66)], top=(30, top)))
    pen.fill(mirrored([(44, top), (46, top + 10), (36, top + 15)], top=(30, top)), shade=0.82)
    pen.disc(30, top + 14.5, 2.0, 2.0, colour=GOLD)
    pen.line([(11, 63), (49, 63)], 0.6, shade=0.6)


def _backpack(pen: Pen, rng: np.random.Generator) -> None:
    pen.line([(25, 14), (25, 8), (35, 8), (35, 14)], 1.8, shade=0.6, smooth=True)
    pen.line([(14, 24), (7, 36), (8, 54), (14, 60)], 2.6, shade=0.6, smooth=True)
    pen.line([(46, 24), (53, 36), (52, 54), (46, 60)], 2.6, shade=0.6, smooth=True)
    pen.fill(mirrored([(38, 11), (46, 20), (48, 45), (47, 66), (38, 69)], top=(30, 10)), smooth=True)
    pen.fill([(18, 42), (42, 42), (43, 64), (17, 64)], shade=0.78)
    pen.line([(18, 46), (42, 46)], 0.8, colour=SILVER)
    pen.line([(15, 28), (22, 19), (38, 19), (45, 28)], 0.9, shade=0.55, smooth=True)
    pen.fill([(27, 30), (33, 30), (33, 35), (27, 35)], colour=CREAM)


def _watch(pen: Pen, rng: np.random.Generator) -> None:
    radius = rng.uniform(11, 14.5)
    pen.fill([(24, 6), (36, 6), (38, 30), (38, 50), (36, 74), (24, 74), (22, 50), (22, 30)])
    for y in (12, 17, 22, 58, 63, 68):
        pen.line([(24, y), (36, y)], 0.5, shade=0.65)
    metal = GOLD if rng.random() < 0.35 else SILVER
    pen.disc(30, 40, radius, radius, colour=metal)
    pen.disc(30, 40, radius - 2, radius - 2, colour=DARK if rng.random() < 0.4 else (248, 247, 242))
    for angle in np.arange(0, 2 * np.pi, np.pi / 6):
        c, s = float(np.cos(angle)), float(np.sin(angle))
        pen.line(
            [(30 + c * (radius - 4.2), 40 + s * (radius - 4.2)), (30 + c * (radius - 2.8), 40 + s * (radius - 2.8))],
            0.6,
            colour=GREY,
        )
    pen.line([(30, 40), (30 + float(rng.uniform(-4, 4)), 40 - radius * 0.5)], 1.1, colour=GREY)
    pen.line([(30, 40), (30 + radius * 0.55, 40 + float(rng.uniform(-4, 4)))], 0.8, colour=GREY)
    pen.disc(30 + radius + 1, 40, 1.2, 1.4, colour=metal)


def _glasses(pen: Pen, rng: np.random.Generator, lens: tuple[int, int, int], rim: float) -> None:
    width, height = rng.uniform(9, 11), rng.uniform(6.5, 9.5)
    for side in (-1, 1):
        pen.line([(30 + side * (3 + 2 * width), 38), (30 + side * 28.5, 36), (30 + side * 26, 30)], 1.5)
        x = 30 + side * (3 + width)
        pen.disc(x, 40, width, height)
        pen.disc(x, 40, width - rim, height - rim, colour=lens)
        pen.line([(x - 4, 43), (x + 1, 36)], 0.8, colour=(255, 255, 255))
    pen.line([(26.5, 38), (30, 36.5), (33.5, 38)], 1.6)


def _sunglasses(pen: Pen, rng: np.random.Generator) -> None:
    lens = [(38, 36, 40), (78, 55, 38), (40, 58, 66)][int(rng.integers(3))]
    _glasses(pen, rng, lens, 1.0)


def _frames(pen: Pen, rng: np.random.Generator) -> None:
    _glasses(pen, rng, (228, 234, 238), rng.uniform(1.2, 2.2))


def _cap(pen: Pen, rng: np.random.Generator) -> None:
    pen.fill([(38, 47), (50, 48), (57, 53), (55, 55), (44, 52), (30, 52)], shade=0.75, smooth=True)
    pen.fill([(10, 52), (11, 38), (18, 29), (28, 26), (37, 30), (43, 40), (44, 51), (28, 53)], smooth=True)
    pen.line([(28, 26), (24, 38), (24, 52)], 0.6, shade=0.7, smooth=True)
    pen.line([(29, 26), (36, 38), (38, 51)], 0.6, shade=0.7, smooth=True)
    pen.disc(28, 26, 1.3, 1.0, shade=0.7)
    if rng.random() < 0.6:
        pen.disc(33, 41, 3.0, 3.0, colour=WHITE)


def _hat(pen: Pen, rng: np.random.Generator) -> None:
    brim, crown = rng.uniform(22, 27), rng.uniform(24, 31)
    pen.disc(30, 51, brim, 6.5, shade=0.9)
    pen.fill(
        [(17, 51), (18, crown + 6), (22, crown), (30, crown + 2), (38, crown), (42, crown + 6), (43, 51), (30, 54)], smooth=True
    )
    pen.fill([(17, 46), (30, 49), (43, 46), (43, 50.5), (30, 53.5), (17, 50.5)], colour=DARK if rng.random() < 0.6 else CREAM)


def _scarf(pen: Pen, rng: np.random.Generator) -> None:
    left, right = rng.uniform(58, 68), rng.uniform(54, 68)
    for x, length in ((22.0, left), (33.0, right)):
        pen.fill([(x, 26), (x + 9, 26), (x + 10, length), (x - 2, length)], shade=0.94)
        for offset in np.arange(-1.5, 10, 2.2):
            pen.line([(x + float(offset), length), (x + float(offset), length + 4)], 0.7, shade=0.8)
    pen.fill([(14, 20), (22, 12), (30, 10), (38, 12), (46, 20), (42, 30), (30, 34), (18, 30)], smooth=True)
    pen.line([(17, 20), (30, 27), (43, 20)], 1.2, shade=0.65, smooth=True)
    pen.line([(20, 27), (30, 31), (40, 27)], 0.8, shade=0.75, smooth=True)


def _belt(pen: Pen, rng: np.random.Generator) -> None:
    thick = rng.uniform(5, 8)
    for radius, shade in ((21.0, 0.75), (16.5, 0.9)):
        pen.disc(30, 44, radius, radius * 0.72, shade=shade)
        pen.disc(30, 44, radius - 3, radius * 0.72 - 3, background=True)
    pen.fill([(8, 42), (52, 42), (56, 42 + thick / 2), (52, 42 + thick), (8, 42 + thick)])
    metal = GOLD if rng.random() < 0.4 else SILVER
    pen.line([(9, 40), (18, 40), (18, 44 + thick), (9, 44 + thick), (9, 40)], 1.6, colour=metal)
    pen.line([(11, 42 + thick / 2), (20, 42 + thick / 2)], 1.0, colour=metal)
    for x in (34, 39, 44):
        pen.disc(x, 42 + thick / 2, 0.8, 0.8, colour=DARK)


def _necklace(pen: Pen, rng: np.random.Generator) -> None:
    drop, spread = rng.uniform(46, 58), rng.uniform(14, 19)
    metal = GOLD if rng.random() < 0.6 else SILVER
    angle = np.linspace(0.06 * np.pi, 0.94 * np.pi, 25)
    chain = [(30 + spread * float(np.cos(a)), 14 + (drop - 14) * float(np.sin(a)) ** 1.2) for a in angle]
    pen.line(chain, 0.9, colour=metal, smooth=True)
    if rng.random() < 0.5:
        for x, y in chain[4:-4]:
            pen.disc(x, y, 1.9, 1.9)
    size = rng.uniform(3.5, 5.5)
    pen.fill(
        [(30, drop), (30 + size, drop + size * 1.2), (30, drop + size * 2.4), (30 - size, drop + size * 1.2)],
        smooth=rng.random() < 0.5,
    )
    pen.disc(30, drop, 1.3, 1.3, colour=metal)


def _perfume(pen: Pen, rng: np.random.Generator) -> None:
    top = rng.uniform(30, 36)
    pen.fill([(26, 14), (34, 14), (34, 23), (26, 23)], colour=GOLD)
    pen.fill([(28, 23), (32, 23), (32, top), (28, top)], colour=SILVER)
    pen.fill([(17, top), (43, top), (46, top + 5), (45, 66), (15, 66), (14, top + 5)], shade=1.15)
    pen.fill([(20, 46), (40, 46), (40, 58), (20, 58)], colour=CREAM)
    pen.line([(23, 51), (37, 51)], 0.8, colour=DARK)


def _umbrella(pen: Pen, rng: np.random.Generator) -> None:
    top, rim, reach = rng.uniform(12, 17), rng.uniform(37, 42), rng.uniform(22, 26)
    grip = rng.uniform(66, 71)
    pen.line([(30, top - 4), (30, grip)], 1.4, colour=SILVER)
    hook = [(30, grip - 7), (30, grip), (32, grip + 4), (35.5, grip + 4.5), (38.5, grip + 2), (38.5, grip - 2)]
    pen.line(hook, 2.6, colour=(104, 70, 42) if rng.random() < 0.6 else DARK, smooth=True)
    tips = np.linspace(30 - reach, 30 + reach, 6)
    edge = [(30 + reach * float(np.cos(a)), rim - (rim - top) * float(np.sin(a))) for a in np.linspace(np.pi, 0, 21)]
    for right, left in zip(tips[:0:-1], tips[-2::-1], strict=True):  # between two ribs the cloth hangs in a bow
        edge += [(float(right + (left - right) * share), rim - 4 * float(np.sin(np.pi * share))) for share in (0.25, 0.5, 0.75)]
        edge.append((float(left), rim))
    pen.fill(edge)
    for tip in tips[1:-1]:
        middle = 30 + 0.75 * (float(tip) - 30)
        pen.line([(30, top), (middle, top + 0.4 * (rim - top)), (float(tip), rim)], 0.7, shade=0.6, smooth=True)
    pen.line([(30, top - 4), (30, top + 0.5)], 1.6, colour=SILVER)


SHAPES: dict[str, Callable[[Pen, np.random.Generator], None]] = {
    "Tshirts": _tshirt,
    "Shirts": _shirt,
    "Sweaters": _sweater,
    "Jackets": _jacket,
    "Jeans": _jeans,
    "Trousers": _trousers,
    "Shorts": _shorts,
    "Skirts": _skirt,
    "Dresses": _dress,
    "Sports Shoes": _sports_shoe,
    "Formal Shoes": _formal_shoe,
    "Boots": _boot,
    "Heels": _heel,
    "Sandals": _sandal,
    "Flip Flops": _flip_flop,
    "Handbags": _handbag,
    "Backpacks": _backpack,
    "Watches": _watch,
    "Sunglasses": _sunglasses,
    "Frames": _frames,
    "Caps": _cap,
    "Hats": _hat,
    "Scarves": _scarf,
    "Belts": _belt,
    "Necklaces": _necklace,
    "Perfumes": _perfume,
    "Umbrellas": _umbrella,
}
