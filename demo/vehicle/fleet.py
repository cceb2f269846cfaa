"""Which vehicles a data set has: a fleet from a seed, with plates that are cloned."""

from __future__ import annotations

import numpy as np

from demo.vehicle.design.vehicle import Vehicle, sample_clone, sample_vehicle

CLONE_SUFFIX = "~clone"

# First word after the seed, so that no two kinds of draw share a stream of random numbers.
_IDENTITY, _VIEW, _CLONED, _CLONE = 1, 2, 3, 4


def sample_fleet(vehicles: int, cloned_plates: int, seed: int) -> list[Vehicle]:
    """`vehicles` genuine ones and after them one clone for each of `cloned_plates` of them.

    Every second clone has its original's colour; all have its body type. A vehicle depends on the seed and on
    its place in the fleet, not on the size of the fleet.
    """
    taken: set[str] = set()
    fleet = [
        sample_vehicle(np.random.default_rng([seed, _IDENTITY, index, 0]), f"v{index:04d}", taken)
        for index in range(vehicles)
    ]
    chosen = np.random.default_rng([seed, _CLONED, 0, 0]).permutation(vehicles)[:cloned_plates]
    for number, index in enumerate(sorted(chosen)):
        generator = np.random.default_rng([seed, _CLONE, int(index), 0])
        clone = sample_clone(generator, fleet[index], f"v{vehicles + number:04d}", same_colour=number % 2 == 0)
        fleet.append(clone)
    return fleet


def class_folder(vehicle: Vehicle) -> str:
    """Name of a vehicle's folder: its plate, with a suffix for a clone, since one folder is one vehicle."""
    return vehicle.plate.text + (CLONE_SUFFIX if vehicle.clone_of else "")


def view_generator(seed: int, index: int, sighting: int) -> np.random.Generator:
    """The random numbers of one sighting of the vehicle at `index` of the fleet."""
    return np.random.default_rng([seed, _VIEW, index, sighting])
