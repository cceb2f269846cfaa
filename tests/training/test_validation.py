"""What is measured after an epoch, against the definitions in a loop; what a checkpoint keeps of it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from siamclip.data.pairs import Pairs, fixed_pairs
from siamclip.metrics.calibration import calibration_from_dict
from siamclip.training.validation import threshold_and_calibration, validate


def vehicles(noise: float, identities: int = 20, photos: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around one centre an identity, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(identities), photos)
    vectors = rng.normal(size=(identities, 16))[labels] + noise * rng.normal(size=(len(labels), 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), labels


@pytest.mark.parametrize("ratio", [0.5, 0.1])
def test_figures_equal_a_naive_loop(ratio: float) -> None:
    embeddings, labels = vehicles(1.0)
    pairs = fixed_pairs(labels, 20, 0.5, 0)
    found = validate(embeddings, pairs, 0.9, 0.1, 1.0, ratio, 0)
    share = float(pairs.same.mean())
    loss = correct = total = 0.0
    scores, weights = [], []
    for a, b, same in zip(pairs.first, pairs.second, pairs.same, strict=True):
        distance = float(np.linalg.norm(embeddings[a].astype(float) - embeddings[b]))
        weight = ratio / share if same else (1 - ratio) / (1 - share)
        loss += weight * (max(distance - 0.1, 0) if same else max(0.9 - distance, 0)) ** 2
        correct += weight * ((distance <= 1.0) == same)
        total += weight
        scores.append(-distance)
        weights.append(weight)
    assert total == pytest.approx(len(pairs))
    assert found.metrics["val_loss"] == pytest.approx(loss / total, rel=1e-5)
    assert found.metrics["val_accuracy"] == pytest.approx(correct / total, rel=1e-5)
    assert found.metrics["val_auc"] == pytest.approx(roc_auc_score(pairs.same, scores, sample_weight=weights), abs=1e-5)
    np.testing.assert_allclose(found.distances, -np.array(scores), atol=1e-5)


@pytest.mark.parametrize("ratio", [0.5, 0.1])
def test_accuracy_is_that_at_the_threshold_with_the_best_f1(ratio: float) -> None:
    embeddings, labels = vehicles(1.0)
    pairs = fixed_pairs(labels, 20, 0.5, 0)
    found = validate(embeddings, pairs, 0.9, 0.1, None, ratio, 0)
    assert "val_accuracy" not in found.metrics  # that column is the one of a fixed distance
    threshold = found.metrics["val_threshold"]
    assert threshold == threshold_and_calibration(found.distances, found.same, ratio)["threshold"]["value"]
    right = (found.distances <= threshold) == pairs.same
    expected = ratio * right[pairs.same].mean() + (1 - ratio) * right[~pairs.same].mean()
    assert found.metrics["val_accuracy_at_threshold"] == pytest.approx(expected)
    fixed = validate(embeddings, pairs, 0.9, 0.1, threshold, ratio, 0)
    assert fixed.metrics["val_accuracy"] == found.metrics["val_accuracy_at_threshold"]
    assert "val_threshold" not in fixed.metrics


def test_vehicles_that_lie_apart_are_told_apart() -> None:
    embeddings, labels = vehicles(0.05)
    found = validate(embeddings, fixed_pairs(labels, 20, 0.5, 0), 0.5, 0.0, 0.5, 0.5, 0)
    assert (found.metrics["val_auc"], found.metrics["val_eer"]) == (1.0, 0.0)
    assert not found.collapse.collapsed


def test_one_point_for_everything_is_a_collapse() -> None:
    embeddings = np.tile(np.float32([[0.6, 0.8]]), (40, 1))
    pairs = fixed_pairs(np.repeat(np.arange(10), 4), 10, 0.5, 0)
    found = validate(embeddings, pairs, 0.5, 0.0, 0.5, 0.5, 0)
    assert found.collapse.collapsed
    assert found.metrics["mean_cosine"] == pytest.approx(1.0)
    assert found.metrics["val_auc"] == pytest.approx(0.5)
    assert found.metrics["val_loss"] == pytest.approx(0.5 * 0.5**2)  # negatives alone, at distance 0


def best_f1(distances: np.ndarray, same: np.ndarray, weights: np.ndarray) -> float:
    """The highest F1 of any threshold, tried one by one."""
    best = 0.0
    for threshold in distances:
        accepted = distances <= threshold
        hits = weights[accepted & same].sum()
        best = max(best, 2 * hits / (weights[accepted].sum() + weights[same].sum()))
    return best


@pytest.mark.parametrize("ratio", [0.5, 0.1])
def test_the_decision_has_the_best_f1_at_the_ratio_asked_for(ratio: float) -> None:
    embeddings, labels = vehicles(1.0)
    pairs = fixed_pairs(labels, 20, 0.5, 0)
    found = validate(embeddings, pairs, 0.9, 0.0, 1.0, 0.5, 0)
    kept = threshold_and_calibration(found.distances, found.same, ratio)
    stored = json.loads(json.dumps(kept))  # as a checkpoint keeps it
    assert stored["threshold"] | {"value": 0} == {"value": 0, "rule": "f1", "chosen_on": "validation"}
    threshold = stored["threshold"]["value"]
    weights = np.where(pairs.same, ratio / pairs.same.mean(), (1 - ratio) / (1 - pairs.same.mean()))
    accepted = found.distances <= threshold
    hits = weights[accepted & pairs.same].sum()
    f1 = 2 * hits / (weights[accepted].sum() + weights[pairs.same].sum())
    assert f1 == pytest.approx(best_f1(found.distances, pairs.same, weights))
    probability = calibration_from_dict(stored["calibration"]).probability(found.distances)
    # a logistic fit with an intercept reproduces the share of positives under its own weights
    assert np.average(probability, weights=weights) == pytest.approx(ratio, abs=0.01)
    assert (np.diff(probability[np.argsort(found.distances)]) <= 0).all()


def test_rarer_positives_ask_for_a_stricter_threshold() -> None:
    embeddings, labels = vehicles(1.0)
    pairs = fixed_pairs(labels, 20, 0.5, 0)
    found = validate(embeddings, pairs, 0.9, 0.0, 1.0, 0.5, 0)
    kept = [threshold_and_calibration(found.distances, found.same, ratio) for ratio in (0.9, 0.01)]
    often, rarely = (metadata["threshold"]["value"] for metadata in kept)
    assert rarely < often


def test_pairs_of_one_kind_have_no_figures() -> None:
    embeddings, _ = vehicles(1.0)
    pairs = Pairs(np.array([0, 1]), np.array([1, 2]), np.array([True, True]))
    with pytest.raises(ValueError), np.errstate(divide="ignore", invalid="ignore"):
        validate(embeddings, pairs, 0.5, 0.0, 0.5, 0.5, 0)
