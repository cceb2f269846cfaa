"""The figures of an evaluation against scikit-learn, naive loops and what they must be by definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, precision_score, roc_auc_score

from siamclip.data.pairs import all_pairs, balance
from siamclip.evaluation.measurement.contracts import (
    CalibratedThreshold,
    EmbeddedPhotos,
    EvaluationProtocol,
    MetricWithInterval,
)
from siamclip.evaluation.measurement.measure import (
    balanced_cells,
    fit_threshold,
    measure_embedder,
    rates_of_all_pairs,
    reliability_at_ratio,
    retrieval_metrics,
    score,
    verification_metrics,
    with_intervals,
)
from siamclip.metrics.calibration import Platt
from siamclip.metrics.verification import Confusion, summary

THRESHOLD = CalibratedThreshold(0.9, Platt(6.0, -5.4), "validation")


def side(seed: int = 0, identities: int = 12, photos: int = 4, noise: float = 0.7) -> EmbeddedPhotos:
    """Identities as clouds around random directions in 16 dimensions."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(identities), photos)
    vectors = rng.normal(size=(identities, 16))[labels] + noise * rng.normal(size=(len(labels), 16))
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return EmbeddedPhotos(unit, labels, all_pairs(labels, 10**6, 0))


def test_score_orders_pairs_and_keeps_them_together() -> None:
    here = side()
    scored = score(here)
    assert (np.diff(scored.distances) >= 0).all()
    for i in range(0, len(scored.distances), 97):
        a, b = scored.pairs.first[i], scored.pairs.second[i]
        assert scored.distances[i] == pytest.approx(np.linalg.norm(here.embeddings[a] - here.embeddings[b]), abs=1e-6)
        assert scored.pairs.same[i] == (here.labels[a] == here.labels[b]) == (scored.label_a[i] == scored.label_b[i])


@pytest.mark.parametrize("positive_ratio", [0.5, 0.1])
def test_figures_are_those_of_scikit_learn_with_weights(positive_ratio: float) -> None:
    scored = score(side())
    found = verification_metrics(scored, THRESHOLD, EvaluationProtocol(positive_ratio=positive_ratio, replicates=0))
    same, weights = scored.pairs.same, balance(scored.pairs.same, positive_ratio)
    accepted = scored.distances <= THRESHOLD.value
    expected = {
        "auc": roc_auc_score(same, -scored.distances),
        "average_precision": average_precision_score(same, -scored.distances, sample_weight=weights),
        "accuracy": accuracy_score(same, accepted, sample_weight=weights),
        "precision": precision_score(same, accepted, sample_weight=weights),
        "f1": f1_score(same, accepted, sample_weight=weights),
        "recall": accepted[same].mean(),
        "far": accepted[~same].mean(),
        "frr": 1 - accepted[same].mean(),
    }
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value, abs=1e-12), name
    raw = summary(scored.distances, same, THRESHOLD.value)
    for name in ("eer", "tar_at_far_0.1", "tar_at_far_0.01"):
        assert found[name].value == raw[name]


def test_calibration_error_is_that_of_the_reliability_diagram() -> None:
    scored = score(side(noise=0.9))
    found = verification_metrics(scored, THRESHOLD, EvaluationProtocol(positive_ratio=0.3, replicates=0))
    probabilities = THRESHOLD.calibration.probability(scored.distances)
    diagram = reliability_at_ratio(probabilities, scored.pairs.same, 0.3)
    assert found["ece"].value == pytest.approx(diagram.ece)
    weights, error = balance(scored.pairs.same, 0.3), 0.0
    for low in np.arange(10) / 10:
        inside = (probabilities >= low) & (probabilities < low + 0.1)
        if inside.any():
            error += abs((weights * (probabilities - scored.pairs.same))[inside].sum())
    assert diagram.ece == pytest.approx(error / len(probabilities))
    assert diagram.count.sum() == len(probabilities)


def test_without_a_threshold_only_metrics_that_need_none() -> None:
    found = verification_metrics(score(side()), None, EvaluationProtocol(replicates=0))
    assert {"auc", "eer", "average_precision"} < set(found)
    assert not {"accuracy", "f1", "far", "ece"} & set(found)


def test_intervals_hold_the_figure_and_widen_with_fewer_identities() -> None:
    protocol = EvaluationProtocol(replicates=200)
    few, many = (verification_metrics(score(side(identities=n)), THRESHOLD, protocol)["auc"] for n in (8, 60))
    assert few.low < few.value < few.high
    assert many.low < many.value < many.high
    assert many.high - many.low < few.high - few.low


def test_each_replicate_is_counted() -> None:
    calls: list[None] = []
    here = side()
    measure_embedder(here, None, THRESHOLD, EvaluationProtocol(replicates=7), lambda: calls.append(None))
    assert len(calls) == 7 * 2 + 2  # verification and retrieval; the bootstrap asks each once for its names


def test_threshold_maximises_weighted_f1_on_validation() -> None:
    scored = score(side(seed=3, noise=0.9))
    same, weights = scored.pairs.same, balance(scored.pairs.same, 0.5)
    best = max(f1_score(same, scored.distances <= t, sample_weight=weights) for t in scored.distances)
    chosen = fit_threshold(scored, EvaluationProtocol(positive_ratio=0.5))
    assert f1_score(same, scored.distances <= chosen.value, sample_weight=weights) == pytest.approx(best)


def test_target_far_is_kept_exactly() -> None:
    scored = score(side(noise=1.2))
    chosen = fit_threshold(scored, EvaluationProtocol(rule="far", target_far=0.05))
    assert (scored.distances[~scored.pairs.same] <= chosen.value).mean() <= 0.05


def test_retrieval_against_a_naive_loop() -> None:
    here = side(noise=1.0)
    labels = here.labels.copy()
    labels[-1] = 99  # one photo that is alone
    found, lone = retrieval_metrics(here.embeddings, labels, EvaluationProtocol(replicates=0))
    hits, precisions = [], []
    for query in range(len(labels) - 1):
        distances = np.linalg.norm(here.embeddings - here.embeddings[query], axis=1)
        order = [i for i in np.argsort(distances) if i != query]
        relevant = np.flatnonzero([labels[i] == labels[query] for i in order]) + 1
        hits.append(relevant[0] == 1)
        precisions.append(np.mean(np.arange(1, len(relevant) + 1) / relevant))
    assert lone == 1
    assert found["rank1"].value == pytest.approx(np.mean(hits))
    assert found["mAP"].value == pytest.approx(np.mean(precisions))


def test_rates_of_all_pairs_agree_with_the_list_of_all_pairs() -> None:
    here = side()
    listed = summary(score(here).distances, score(here).pairs.same, 0.9)
    found = rates_of_all_pairs(here.embeddings, here.labels, 0.9)
    assert (found["same"], found["different"]) == (12 * 6, 48 * 47 // 2 - 72)
    for name in ("auc", "eer", "far", "frr"):
        assert found[name] == pytest.approx(listed[name], abs=0.002)


def test_balanced_cells_keep_the_rates_of_a_class() -> None:
    cells = Confusion(tp=8, fn=2, fp=30, tn=970)
    balanced = balanced_cells(cells, 0.25)
    assert (balanced.recall, balanced.far) == pytest.approx((cells.recall, cells.far))
    assert balanced.tp + balanced.fn == pytest.approx(0.25)
    assert balanced.accuracy == pytest.approx(0.25 * 0.8 + 0.75 * 0.97)


def test_undefined_figures_are_null_in_json() -> None:
    assert MetricWithInterval(math.nan).to_dict() == {"value": None, "low": None, "high": None}
    assert MetricWithInterval(0.5).to_dict() == {"value": 0.5, "low": None, "high": None}


def test_one_unit_has_no_interval() -> None:
    found = with_intervals(lambda w: {"mean": float(w.mean())}, np.zeros(3), np.zeros(3), 100, 0)
    assert found["mean"].value == 1
    assert math.isnan(found["mean"].low)
