"""Who a vehicle is: everything that stays the same in all its sightings."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from demo.vehicle.design.bodies import BODIES
from demo.vehicle.design.plate import Plate, sample_plate

# Share and RGB of the colours of traffic: white, black, grey and silver dominate, so that colour names few
# vehicles.
COLOURS: dict[str, tuple[float, tuple[int, int, int]]] = {
    "white": (0.34, (232, 233, 232)),
    "black": (0.19, (22, 23, 26)),
    "grey": (0.14, (98, 102, 107)),
    "silver": (0.11, (178, 182, 186)),
    "blue": (0.07, (28, 62, 128)),
    "red": (0.06, (150, 20, 26)),
    "brown": (0.04, (92, 66, 48)),
    "gold": (0.02, (186, 164, 122)),
    "green": (0.02, (32, 84, 62)),
    "orange": (0.01, (214, 104, 24)),
}
FACES = ("rear", "front", "left", "right")


@dataclass(frozen=True)
class Sticker:
    """A decal: face, centre as fractions of that face (0..1 from left and bottom), size in metres, shape, two
    RGB.
    """

    face: str
    x: float
    y: float
    size: float
    shape: str
    fill: tuple[int, int, int]
    ink: tuple[int, int, int]
    text: str


@dataclass(frozen=True)
class Vehicle:
    """One vehicle's identity. Numbers without a unit are factors or choices in [0, 1]."""

    id: str
    plate: Plate
    body: str
    colour: str
    paint: tuple[int, int, int]
    scale: tuple[float, float, float]
    stretch: tuple[tuple[float, float], ...]
    lamp_style: int
    tail_style: int
    grille_style: int
    rim_style: int
    rim_paint: tuple[int, int, int]
    window_tint: float
    bare_bumpers: bool
    chrome: bool
    two_tone: str  # "", "roof" or "skirt"
    accent: tuple[int, int, int]
    stripe: bool
    roof_rack: bool
    roof_load: bool
    spoiler: bool
    spare_wheel: bool
    sunroof: bool
    tow_hook: bool
    taxi_sign: bool
    ornament: tuple[int, int, int] | None
    plate_height: float
    cargo: str  # what a truck or pickup carries
    cargo_paint: tuple[int, int, int]
    badge: str
    stickers: tuple[Sticker, ...]
    scratches: int
    dents: int
    dirt: float
    marks_seed: int
    clone_of: str = ""


def _rgb(generator: np.random.Generator, low: int = 20, high: int = 236) -> tuple[int, int, int]:
    red, green, blue = generator.integers(low, high, 3)
    return int(red), int(green), int(blue)


def _vivid(generator: np.random.Generator) -> tuple[int, int, int]:
    palette = ((198, 30, 34), (24, 80, 170), (236, 196, 30), (28, 132, 74), (238, 238, 238), (226, 110, 24))
    return palette[int(generator.integers(len(palette)))]


def _stickers(generator: np.random.Generator, body: str) -> tuple[Sticker, ...]:
    count = int(generator.integers(2, 6)) + (2 if body in ("van", "truck", "bus") else 0)
    stickers = []
    for _ in range(count):
        face = str(generator.choice(FACES, p=[0.44, 0.16, 0.2, 0.2]))
        large = 1.7 if face in ("left", "right") else 1.0
        text = "".join(generator.choice(list("ACEFHKLMNPRSTUVXYZ0123456789"), int(generator.integers(2, 5))))
        stickers.append(
            Sticker(
                face,
                float(generator.uniform(0.08, 0.92)),
                float(generator.uniform(0.1, 0.9)),
                float(generator.uniform(0.13, 0.34)) * large,
                str(generator.choice(["disc", "square", "text", "bar", "star"])),
                _vivid(generator),
                _vivid(generator),
                text,
            )
        )
    return tuple(stickers)


def _plate_style(generator: np.random.Generator, body: str) -> str:
    if body in ("truck", "bus"):
        return "yellow"
    return str(generator.choice(["blue", "green", "white"], p=[0.74, 0.22, 0.04]))


def _cargo(generator: np.random.Generator, body: str) -> str:
    if body == "truck":
        return str(generator.choice(["box", "box", "tarpaulin", "stake"]))
    if body == "pickup":
        return str(generator.choice(["open", "open", "cover", "canopy", "load"]))
    return ""


def sample_vehicle(
    generator: np.random.Generator,
    name: str,
    taken: set[str],
    body: str | None = None,
    colour: str | None = None,
) -> Vehicle:
    """A vehicle drawn from the generator; `taken` holds the plate texts in use and receives the new one.

    `body` and `colour` fix what is otherwise drawn with the shares of `BODIES` and `COLOURS`.
    """
    shares = np.array([entry.share for entry in BODIES.values()])
    drawn_body = str(generator.choice(list(BODIES), p=shares / shares.sum()))
    drawn_colour = str(generator.choice(list(COLOURS), p=[share for share, _ in COLOURS.values()]))
    body, colour = body or drawn_body, colour or drawn_colour
    shade = generator.normal(0, 5, 3) + generator.normal(0, 6)
    red, green, blue = np.clip(np.array(COLOURS[colour][1]) + shade, 8, 246).astype(int)
    stretch = generator.normal(0, [0.008, 0.018], (10, 2)).clip(-0.03, 0.03)
    stretch[[0, 1, 8, 9], 0] = 0.0  # the ends stay where the length puts them
    car = body not in ("truck", "bus")
    chance = generator.random(13)
    return Vehicle(
        id=name,
        plate=sample_plate(generator, _plate_style(generator, body), taken),
        body=body,
        colour=colour,
        paint=(int(red), int(green), int(blue)),
        scale=tuple(float(factor) for factor in generator.normal(1, [0.045, 0.025, 0.035]).clip(0.9, 1.1)),  # type: ignore[arg-type]
        stretch=tuple((float(x), float(z)) for x, z in stretch),
        lamp_style=int(generator.integers(5)),
        tail_style=int(generator.integers(6)),
        grille_style=int(generator.integers(5)),
        rim_style=int(generator.integers(6)),
        rim_paint=((188, 190, 194), (60, 62, 66), (150, 152, 156), (206, 206, 208))[int(generator.integers(4))],
        window_tint=float(generator.uniform(0.0, 1.0)),
        bare_bumpers=bool(chance[0] < (0.5 if body in ("van", "truck", "pickup") else 0.15)),
        chrome=bool(chance[1] < 0.35),
        two_tone=str(generator.choice(["", "roof", "skirt"], p=[0.56, 0.22, 0.22])) if car else "",
        accent=_vivid(generator) if chance[2] < 0.65 else (26, 26, 28),
        stripe=bool(chance[3] < (0.5 if body in ("van", "bus", "truck") else 0.2)),
        roof_rack=bool(car and body != "pickup" and chance[4] < (0.4 if body in ("suv", "mpv", "van") else 0.12)),
        roof_load=bool(chance[12] < 0.45),  # on those with a rack
        spoiler=bool(body in ("sedan", "hatchback", "suv") and chance[5] < 0.3),
        spare_wheel=bool(body == "suv" and chance[6] < 0.22),
        sunroof=bool(car and body not in ("van", "pickup") and chance[7] < 0.4),
        tow_hook=bool(chance[8] < 0.15),
        taxi_sign=bool(body == "sedan" and chance[9] < 0.15),
        ornament=_vivid(generator) if chance[10] < 0.5 else None,
        plate_height=float(generator.uniform(0.0, 1.0)),
        cargo=_cargo(generator, body),
        cargo_paint=_rgb(generator) if chance[11] < 0.6 else (214, 216, 214),
        badge="".join(generator.choice(list("AEGHLRSTVX0123456789"), int(generator.integers(2, 5)))),
        stickers=_stickers(generator, body),
        scratches=int(generator.integers(0, 5)),
        dents=int(generator.integers(0, 3)),
        dirt=float(generator.uniform(0, 1) ** 2),
        marks_seed=int(generator.integers(2**31)),
    )


def sample_clone(generator: np.random.Generator, original: Vehicle, name: str, same_colour: bool) -> Vehicle:
    """Another vehicle that carries the original's plate: same body type, and the same colour name if asked.

    Who copies a plate takes it from a vehicle like their own, so that a camera's record raises no doubt.
    """
    colour = original.colour
    while not same_colour and colour == original.colour:
        colour = str(generator.choice(list(COLOURS), p=[share for share, _ in COLOURS.values()]))
    clone = sample_vehicle(generator, name, set(), original.body, colour)
    return replace(clone, plate=original.plate, clone_of=original.id)
