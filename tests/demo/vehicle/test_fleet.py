"""Who is in the fleet: stable under its size, clones share a plate and nothing else."""

from __future__ import annotations

from collections import Counter

from demo.vehicle.design.bodies import BODIES
from demo.vehicle.design.vehicle import COLOURS
from demo.vehicle.fleet import class_folder, sample_fleet


def test_a_clone_shares_plate_and_body_but_is_another_vehicle() -> None:
    fleet = sample_fleet(40, 10, seed=3)
    by_id = {vehicle.id: vehicle for vehicle in fleet}
    clones = [vehicle for vehicle in fleet if vehicle.clone_of]
    assert len(fleet) == 50 and len(by_id) == 50 and len(clones) == 10
    assert len({clone.clone_of for clone in clones}) == 10
    for clone in clones:
        original = by_id[clone.clone_of]
        assert not original.clone_of
        assert clone.plate == original.plate and clone.body == original.body
        assert clone.marks_seed != original.marks_seed and clone.stickers != original.stickers
    same_colour = [clone.colour == by_id[clone.clone_of].colour for clone in clones]
    assert sum(same_colour) == 5


def test_genuine_vehicles_have_plates_of_their_own_and_folders_are_unique() -> None:
    fleet = sample_fleet(300, 50, seed=0)
    assert len({vehicle.plate.text for vehicle in fleet}) == 300
    assert len({class_folder(vehicle) for vehicle in fleet}) == 350


def test_a_vehicle_does_not_depend_on_the_size_of_the_fleet() -> None:
    assert sample_fleet(5, 0, seed=9) == sample_fleet(30, 4, seed=9)[:5]
    assert sample_fleet(5, 0, seed=9) != sample_fleet(5, 0, seed=10)


def test_all_bodies_and_colours_occur_and_colours_of_traffic_repeat() -> None:
    fleet = sample_fleet(600, 0, seed=0)
    assert {vehicle.body for vehicle in fleet} == set(BODIES)
    colours = Counter(vehicle.colour for vehicle in fleet)
    assert set(colours) == set(COLOURS)
    # 600 draws: the standard deviation of a share is at most 0.02.
    assert abs(colours["white"] / 600 - 0.34) < 0.08
