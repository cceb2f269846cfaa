"""Writes the data set: a folder of pictures for every vehicle, and the ground truth beside them."""

from __future__ import annotations

import csv
import io
import itertools
import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from demo.renderer.render import encode_jpeg, render, sample_view
from demo.vehicle.design.vehicle import Vehicle
from demo.vehicle.fleet import class_folder, sample_fleet, view_generator
from demo.vehicle.model import assemble
from siamclip.errors import UserError
from siamclip.files.atomic import write_atomically

_FORMAT = 1  # raised whenever the same parameters would give other pictures


@dataclass(frozen=True)
class DemoPaths:
    """Where the parts of the data set lie."""

    root: Path

    @property
    def vehicles(self) -> Path:
        """One folder a vehicle: the training data."""
        return self.root / "vehicles"

    @property
    def ground_truth(self) -> Path:
        """CSV: a row for every picture."""
        return self.root / "ground_truth.csv"

    @property
    def plates(self) -> Path:
        """CSV: path, x1, y1, x2, y2 of every plate that shows."""
        return self.root / "plates.csv"

    @property
    def cloned_pairs(self) -> Path:
        """CSV: path_a, path_b, same, plate; pairs of pictures that show the same plate text."""
        return self.root / "cloned_pairs.csv"

    @property
    def manifest(self) -> Path:
        """JSON: the parameters, and whether the set is complete."""
        return self.root / "manifest.json"


@dataclass(frozen=True)
class Parameters:
    """What determines every byte of the data set."""

    vehicles: int
    sightings: int
    cloned_plates: int
    size: int
    seed: int
    format: int = _FORMAT


@dataclass(frozen=True)
class Record:
    """Ground truth of one picture; the fields are the columns of `ground_truth.csv`."""

    path: str
    vehicle: str
    plate: str
    plate_style: str
    body_type: str
    colour: str
    is_clone: int
    clone_of: str
    viewpoint: str
    azimuth_degrees: float
    elevation_degrees: float
    hour: str
    weather: str
    occluder: str
    jpeg_quality: int
    width: int
    height: int


Box = tuple[int, int, int, int]


def build_demo(
    out: Path,
    vehicles: int = 64,
    sightings: int = 8,
    cloned_plates: int = 12,
    size: int = 224,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    workers: int | None = None,
) -> DemoPaths:
    """Renders the data set into `out`, unless it is there already with the same parameters.

    `cloned_plates` of the vehicles get a twin with the same plate, in a folder of its own. `size` is the
    longer side of a picture in pixels. `progress` receives how many pictures are done, and of how many.
    `workers` processes (None: one a core, 1: none but this) share the work and do not change its result.
    UserError if a parameter is out of range or `out` holds anything else; nothing that was not written by an
    equal call is ever changed.
    """
    parameters = Parameters(vehicles, sightings, cloned_plates, size, seed)
    _check(parameters, workers)
    paths = DemoPaths(Path(out))
    if _claim(paths, parameters):
        return paths
    fleet = sample_fleet(vehicles, cloned_plates, seed)
    total = len(fleet) * sightings
    rows: dict[int, list[tuple[Record, Box | None]]] = {}
    if progress is not None:
        progress(0, total)
    for index, vehicle_rows in _render_fleet(fleet, paths.vehicles, parameters, workers):
        rows[index] = vehicle_rows
        if progress is not None:
            progress(len(rows) * sightings, total)
    ordered = [row for index in range(len(fleet)) for row in rows[index]]
    write_csv(paths.ground_truth, list(Record.__annotations__), [asdict(record).values() for record, _ in ordered])
    boxes = [(record.path, *box) for record, box in ordered if box is not None]
    write_csv(paths.plates, ["path", "x1", "y1", "x2", "y2"], boxes)
    pairs = cloned_pairs([record for record, _ in ordered], seed)
    write_csv(paths.cloned_pairs, ["path_a", "path_b", "same", "plate"], pairs)
    _write_manifest(paths, parameters, complete=True)
    return paths


def _check(parameters: Parameters, workers: int | None) -> None:
    limits = {"vehicles": (1, 100_000), "sightings": (1, 10_000), "size": (48, 2048), "seed": (0, 2**32 - 1)}
    for name, (low, high) in limits.items():
        value = getattr(parameters, name)
        if not low <= value <= high:
            raise UserError(name, f"must lie in {low} to {high}", value=value)
    if not 0 <= parameters.cloned_plates <= parameters.vehicles:
        limits_told = f"must lie in 0 to `vehicles` ({parameters.vehicles})"
        raise UserError("cloned_plates", limits_told, value=parameters.cloned_plates)
    if workers is not None and workers < 1:
        raise UserError("workers", "must be at least 1", value=workers)


def _claim(paths: DemoPaths, parameters: Parameters) -> bool:
    """Marks the folder as ours before the first picture; True if the data set is complete already."""
    wanted = asdict(parameters)
    if paths.root.exists() and not paths.root.is_dir():
        raise UserError("", f"{paths.root} is a file: give a folder for the demo data set")
    if paths.root.is_dir() and any(paths.root.iterdir()):
        try:
            found = json.loads(paths.manifest.read_text(encoding="utf-8"))
            theirs, complete = found["siamclip_demo"], found["complete"]
        except (OSError, ValueError, KeyError, TypeError):
            problem = f"{paths.root} is not empty and not a demo data set: give an empty or new folder"
            raise UserError("", problem) from None
        if theirs != wanted:
            problem = f"{paths.root} holds a demo set of other parameters ({_told(theirs)}): give another folder"
            raise UserError("", problem)
        if complete and _is_whole(paths, wanted):
            return True
    try:
        paths.vehicles.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError("", f"{paths.root} cannot be created: {error.strerror}") from None
    _write_manifest(paths, parameters, complete=False)
    return False


def _told(parameters: object) -> str:
    if not isinstance(parameters, dict):
        return "unreadable"
    return ", ".join(f"{name} {value}" for name, value in parameters.items() if name != "format")


def _is_whole(paths: DemoPaths, wanted: dict[str, int]) -> bool:
    """Whether nothing was removed since the set was completed."""
    if not all(path.is_file() for path in (paths.ground_truth, paths.plates, paths.cloned_pairs)):
        return False
    with paths.ground_truth.open(encoding="utf-8", newline="") as file:
        pictures = [row["path"] for row in csv.DictReader(file)]
    count = (wanted["vehicles"] + wanted["cloned_plates"]) * wanted["sightings"]
    return len(pictures) == count and all((paths.vehicles / picture).is_file() for picture in pictures)


def _render_fleet(
    fleet: list[Vehicle], folder: Path, parameters: Parameters, workers: int | None
) -> Iterator[tuple[int, list[tuple[Record, Box | None]]]]:
    """Yields the place in the fleet and the rows of each vehicle, in the order in which they get done."""
    jobs = [(index, vehicle, folder, parameters) for index, vehicle in enumerate(fleet)]
    workers = min(workers or os.cpu_count() or 1, len(jobs))
    # A process costs about half a second to start: what is done in that time is not worth sharing.
    if workers == 1 or len(jobs) * parameters.sightings < 32:
        for job in jobs:
            yield job[0], _render_vehicle(*job)
        return
    # Spawned everywhere, as on Windows and macOS: forking a process that has loaded PyTorch may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        futures = {pool.submit(_render_vehicle, *job): job[0] for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()


def _render_vehicle(
    index: int, vehicle: Vehicle, folder: Path, parameters: Parameters
) -> list[tuple[Record, Box | None]]:
    """Writes all sightings of one vehicle."""
    name = class_folder(vehicle)
    (folder / name).mkdir(exist_ok=True)
    model = assemble(vehicle)
    rows = []
    for sighting in range(parameters.sightings):
        view = sample_view(view_generator(parameters.seed, index, sighting), model, parameters.size)
        shown = render(model, view)
        file = f"{sighting:03d}.jpg"
        (folder / name / file).write_bytes(encode_jpeg(shown.image, view.conditions.quality))
        height, width = shown.image.shape[:2]
        record = Record(
            path=f"{name}/{file}",
            vehicle=vehicle.id,
            plate=vehicle.plate.text,
            plate_style=vehicle.plate.style,
            body_type=vehicle.body,
            colour=vehicle.colour,
            is_clone=int(bool(vehicle.clone_of)),
            clone_of=vehicle.clone_of,
            viewpoint=view.viewpoint,
            azimuth_degrees=round(float(np.degrees(view.azimuth)) % 360, 1),
            elevation_degrees=round(float(np.degrees(view.elevation)), 1),
            hour=view.light.hour,
            weather=view.conditions.weather,
            occluder=view.conditions.occluder,
            jpeg_quality=view.conditions.quality,
            width=width,
            height=height,
        )
        rows.append((record, shown.plate_box))
    return rows


def cloned_pairs(records: list[Record], seed: int) -> list[tuple[str, str, int, str]]:
    """Pairs (path_a, path_b, same, plate) of pictures with one plate text, for every plate that two vehicles
    carry.

    All pairs of one vehicle (same 1) and as many pairs of the two (same 0), drawn without repetition; fewer
    if there are fewer.
    """
    by_vehicle: dict[str, list[str]] = {}
    original: dict[str, tuple[str, str]] = {}
    for record in records:
        by_vehicle.setdefault(record.vehicle, []).append(record.path)
        if record.is_clone:
            original[record.vehicle] = (record.clone_of, record.plate)
    generator = np.random.default_rng([seed, len(records)])
    pairs: list[tuple[str, str, int, str]] = []
    for clone, (genuine, plate) in original.items():
        same = [pair for vehicle in (genuine, clone) for pair in itertools.combinations(by_vehicle[vehicle], 2)]
        other = list(itertools.product(by_vehicle[genuine], by_vehicle[clone]))
        kept = generator.permutation(len(other))[: max(1, len(same))]
        pairs += [(a, b, 1, plate) for a, b in same]
        pairs += [(*other[k], 0, plate) for k in sorted(kept)]
    return pairs


def write_csv(path: Path, header: list[str], rows: Iterable[Iterable[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode("utf-8"))


def _write_manifest(paths: DemoPaths, parameters: Parameters, complete: bool) -> None:
    content = {"siamclip_demo": asdict(parameters), "complete": complete}
    write_atomically(paths.manifest, f"{json.dumps(content, indent=2)}\n".encode())
