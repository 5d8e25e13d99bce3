"""Cases of the functions of `ranvier.analysis` on populations: manifolds, decoding, comparison, encoding."""

from __future__ import annotations

import numpy as np
import torch

from ranvier.analysis import comparison, decoding, encoding, filaments, manifolds, spatial, stimuli
from tests.laws.analysis import Case

rng = np.random.default_rng(11)
FLAT = np.ones((4, 3))
LINE = np.outer([-1.0, 0.0, 1.0], [3.0, 4.0])  # along (3, 4)/5, coordinates −5, 0, 5
SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
GAPS = np.sqrt(((SQUARE[:, None] - SQUARE) ** 2).sum(2))
LABELS = np.repeat(np.arange(4), 5)
CURVES = decoding.TuningCurves(np.array([0.0, 1.0]), np.array([[10.0], [30.0]]), np.array([1.0, 1.0]))
RESPONSES = rng.standard_normal((6, 4))
STRIPES = np.repeat([[0] * 12, [1] * 12, [0] * 12, [2] * 12], 3, 0)
SHIFTED = {"one": RESPONSES, "other": 2 * RESPONSES[:, ::-1] + 1}
SAME = {"one": np.ones((6, 4))}


def alike(measure):
    return Case(measure, SHIFTED, 1.0, 1e-9, ((SAME, "expected"),))


def driven_by(weight):
    weight = torch.from_numpy(np.asarray(weight).astype(np.float32))
    return lambda x: x @ weight


#: a wave of period 4 along columns: equal to itself at even shifts of 4, opposite at 2
WAVE = np.cos(np.pi / 2 * np.arange(8)) * np.ones((8, 1))

POPULATION_CASES: dict[str, Case] = {
    "spatial.rate_maps": Case(
        lambda places, activity: spatial.rate_maps(places, activity, (1, 3)),
        {"places": np.array([0, 0, 2]), "activity": np.array([[1.0], [3.0], [5.0]])}, [[[2.0, np.nan, 5.0]]],
        degenerate=(({"places": np.array([0, 0, 3])}, "0 to 2"), ({"activity": np.ones((2, 1))}, "finite rows")),
    ),
    "spatial.spatial_information": Case(
        spatial.spatial_information,
        {"maps": np.array([[[4.0, 0.0, 0.0, 0.0]], [[1.0, 1.0, 1.0, 1.0]]]), "occupancy": np.ones((1, 4))}, [2.0, 0.0],
        degenerate=(
            ({"maps": np.zeros((1, 1, 4))}, [np.nan]), ({"maps": -np.ones((1, 1, 4))}, "below 0"),
            ({"occupancy": np.zeros((1, 4))}, "somewhere more"),
        ),
    ),
    "spatial.autocorrelogram": Case(
        lambda rate_map: spatial.autocorrelogram(rate_map)[7, [3, 5, 7, 9, 11]], {"rate_map": WAVE}, [1, -1, 1, -1, 1],
        degenerate=(({"rate_map": np.ones((8, 8))}, [np.nan] * 5), ({"rate_map": FLAT}, "five bins")),
    ),
    "spatial.gridness": Case(
        lambda rate_map: np.sign(spatial.gridness(rate_map)),
        {"rate_map": np.add.outer(*[np.cos(2 * np.pi * np.arange(12) / 5)] * 2)}, -1.0,
        degenerate=(({"rate_map": np.ones((8, 8))}, np.nan), ({"rate_map": FLAT}, "five bins")),
    ),
    "stimuli.fit_twins": Case(
        lambda images, responses: stimuli.fit_twins(images, responses, kernel=2, filters=1, epochs=1)(images).shape,
        {"images": rng.standard_normal((6, 3, 3)), "responses": np.ones((6, 2))}, (6, 2),
        degenerate=(({"responses": -np.ones((6, 2))}, "negative"),),
    ),
    "stimuli.normalise_responses": Case(
        lambda weight: stimuli.normalise_responses(driven_by(weight), [[0.0], [2.0]])(torch.tensor([[3.0]])),
        {"weight": np.array([[1.0, 2.0]])}, [[np.sqrt(2)] * 2], 1e-5,
    ),
    "stimuli.cluster_by_stimuli": Case(
        lambda weight: len(stimuli.cluster_by_stimuli(driven_by(weight), (2,), norm=2.0, start=1, steps=10)),
        {"weight": np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])}, 2,
        degenerate=(({"weight": np.ones((2, 4))}, 1),),
    ),
    "stimuli.fit_types": Case(
        lambda responses: stimuli.fit_types(responses, ["a", "b"]),
        {"responses": np.array([[1.0, 3.0], [9.0, 5.0]])},
        stimuli.CellTypes(np.array(["a", "b"]), np.array([[-1.0, 1.0], [1.0, -1.0]]) / np.sqrt(2)),
        degenerate=(({"responses": np.ones((2, 1))}, "at least two"),),
    ),
    "stimuli.presentations_needed": Case(
        lambda trials: stimuli.presentations_needed(stimuli.fit_types(np.eye(2), [0, 1]), trials, [0, 1]),
        {"trials": np.array([[[0.0, 1.0], [0.0, 1.0]], [[3.0, 0.0], [0.0, 1.0]]])}, [0.5, 1.0],
    ),
    "manifolds.principal_components": Case(
        lambda x: manifolds.principal_components(x, 1), {"x": LINE},
        manifolds.Components(np.zeros(2), np.array([[0.6, 0.8]]), np.array([25.0]), 25.0),
        degenerate=(({"x": LINE[:1]}, "at least two rows"),),
    ),
    "manifolds.participation_ratio": Case(
        manifolds.participation_ratio, {"x": np.concatenate([np.eye(3), -np.eye(3)])}, 3.0,
        degenerate=(({"x": FLAT}, np.nan),),
    ),
    "manifolds.dimension": Case(manifolds.dimension, {"x": LINE}, 1),
    "manifolds.distances": Case(
        manifolds.distances, {"points": SQUARE}, GAPS, degenerate=(({"points": FLAT}, 0 * GAPS),)
    ),
    "manifolds.fuzzy_distances": Case(
        lambda points: manifolds.fuzzy_distances(points, neighbours=2, metric="euclidean")[0, 1],
        {"points": SQUARE}, 0.0,
    ),
    "manifolds.downsample": Case(
        lambda points: manifolds.downsample(points, 9, metric="euclidean"), {"points": SQUARE}, [0, 1, 2, 3]
    ),
    "manifolds.farthest": Case(lambda points: manifolds.farthest(points, 2), {"points": SQUARE}, [0, 2]),
    "manifolds.persistence": Case(
        lambda distances: manifolds.persistence(distances).lifetimes(1), {"distances": GAPS}, [np.sqrt(2) - 1], 1e-6,
        (({"distances": GAPS[:1]}, "distances have shape"),),
    ),
    "manifolds.shuffle_threshold": Case(
        lambda activity: manifolds.shuffle_threshold(
            activity, lambda x: manifolds.persistence(manifolds.distances(x)), shuffles=2
        ).shape, {"activity": SQUARE}, (2,),
    ),
    "manifolds.circular_coordinates": Case(
        lambda points: np.diff(manifolds.circular_coordinates(manifolds.persistence(manifolds.distances(points))))
        % (np.pi), {"points": SQUARE}, [np.pi / 2] * 3, 1e-6,
    ),
    "manifolds.extend_angles": Case(
        lambda landmarks: manifolds.extend_angles([0.0, 1.0], landmarks, [[0.0], [9.0]], neighbours=1),
        {"landmarks": np.array([[0.0], [9.0]])}, [0.0, 1.0],
    ),
    "manifolds.align_angles": Case(
        manifolds.align_angles, {"angles": np.array([1.0, 2.0, 4.0]), "reference": np.array([5.0, 4.0, 2.0])},
        (np.array([5.0, 4.0, 2.0]), 0.0),
    ),
    "decoding.tuning_curves": Case(
        lambda counts, values: decoding.tuning_curves(counts, values, 100.0, bins=2).rates,
        {"counts": np.array([[1], [2], [4]]), "values": np.array([0.0, 1.0, 1.0])}, [[10.0], [30.0]],
        degenerate=(({"values": np.full(3, np.nan)}, "no finite value"),),
    ),
    "decoding.posterior": Case(
        lambda counts: decoding.posterior(counts, CURVES, 100.0), {"counts": np.array([[0]])},
        [[1 / (1 + np.exp(-2)), 1 / (1 + np.exp(2))]],
    ),
    "decoding.bayesian_decode": Case(
        lambda counts: decoding.bayesian_decode(counts, CURVES, 100.0), {"counts": np.array([[0], [9]])}, [0.0, 1.0]
    ),
    "decoding.ridge": Case(
        lambda x, y: decoding.ridge(x, y, penalty=0.0).weight, {"x": SQUARE, "y": SQUARE @ [2.0, -1.0]}, [[2.0, -1.0]],
        degenerate=(({"y": np.full(4, np.nan)}, "finite values"),),
    ),
    "decoding.ridge_classifier": Case(
        lambda x, labels: decoding.ridge_classifier(x, labels).classify(x),
        {"x": SQUARE, "labels": np.array([0, 1, 1, 0])},
        [0, 1, 1, 0], degenerate=(({"labels": np.zeros(4)}, "at least two"),),
    ),
    "decoding.align": Case(
        lambda responses, labels: decoding.align(responses, labels, responses, labels, k=2)[0].rotation,
        {"responses": SQUARE * [2.0, 1.0], "labels": np.arange(4)}, np.eye(2),
        degenerate=(({"labels": np.zeros(4)}, "at least two in common"),),
    ),
    "decoding.accuracy": Case(
        decoding.accuracy, {"predicted": np.array([1, 2, 2]), "actual": np.array([1, 2, 3])}, 2 / 3
    ),
    "decoding.balanced_accuracy": Case(
        decoding.balanced_accuracy, {"predicted": np.array([1, 1, 1, 1]), "actual": np.array([1, 1, 1, 2])}, 0.5
    ),
    "decoding.circular_error": Case(
        lambda predicted, actual: decoding.circular_error(predicted, actual, period=10.0),
        {"predicted": np.array([9.0, 1.0]), "actual": np.array([1.0, 9.0])}, 2.0,
        degenerate=(({"actual": np.full(2, np.nan)}, np.nan),),
    ),
    "decoding.explained_variance": Case(
        decoding.explained_variance, {"predicted": np.array([0.0, 0, 0]), "actual": np.array([-1.0, 0, 1])}, 0.0,
        degenerate=(({"actual": np.zeros(3)}, np.nan),),
    ),
    "decoding.confusion": Case(
        decoding.confusion, {"predicted": np.array([0, 1, 1]), "actual": np.array([0, 0, 1])}, [[1, 1], [0, 1]]
    ),
    "decoding.decoded_information": Case(
        decoding.decoded_information, {"predicted": np.tile(LABELS, 9), "actual": np.tile(LABELS, 9)}, 2.0, 0.05,
        (({"predicted": np.zeros(180)}, 0.0),),
    ),
    "decoding.permutation_score": Case(
        lambda labels: decoding.permutation_score(lambda y: decoding.accuracy(y, labels), labels).value,
        {"labels": LABELS}, 1.0,
    ),
    "comparison.similarity_matrix": Case(
        comparison.similarity_matrix, {"responses": RESPONSES}, np.corrcoef(RESPONSES),
        degenerate=(({"responses": FLAT}, "all neurons respond alike"),),
    ),
    "comparison.ssm": alike(comparison.ssm),
    "comparison.rsa": alike(comparison.rsa),
    "comparison.cka": alike(comparison.cka),
    "comparison.svcca": alike(comparison.svcca),
    "comparison.noise_ceiling": Case(
        comparison.noise_ceiling, {"trials": np.stack([RESPONSES] * 4)}, (1.0, 0.0),
        degenerate=(({"trials": RESPONSES[None]}, "at least two repeats"),),
    ),
    "comparison.bootstrap": Case(
        lambda one, other: comparison.bootstrap(one, other, comparison.cka, over="stimuli", draws=3), SHIFTED, [1.0] * 3
    ),
    "comparison.pseudo_depth": Case(
        lambda one, other: comparison.pseudo_depth(one, [np.eye(6)[:, :4], other], comparison.cka).depth, SHIFTED, 1.0
    ),
    "filaments.centre_line": Case(
        filaments.centre_line, {"mask": np.pad(np.ones((1, 9), bool), 2)}, np.pad(np.ones((1, 9), bool), 2),
        degenerate=(({"mask": np.ones(3, bool)}, "mask has shape"),),
    ),
    "filaments.overlaps": Case(
        lambda truth: filaments.overlaps(truth, truth).dice, {"truth": STRIPES}, np.eye(2),
    ),
    "filaments.match": Case(lambda truth: filaments.match(filaments.overlaps(truth, truth)), {"truth": STRIPES},
                            [(0, 0), (1, 1)]),
    "filaments.filament_score": Case(
        lambda truth: filaments.filament_score(filaments.overlaps(truth, truth)).score, {"truth": STRIPES}, 1.0,
        degenerate=(({"truth": 0 * STRIPES}, "no true instance"),),
    ),
    "encoding.fit_encoder": Case(
        lambda features, responses: encoding.fit_encoder(features, responses, penalty=0.0)(features),
        {"features": RESPONSES, "responses": RESPONSES[:, :2] * 3 - 1}, RESPONSES[:, :2] * 3 - 1, 1e-7,
    ),
    "encoding.noise_ceiling_share": Case(encoding.noise_ceiling_share, {"ncsnr": np.array([0.0, 1.0])}, [0.0, 0.75]),
    "encoding.correlations": Case(
        encoding.correlations, {"predicted": RESPONSES, "actual": RESPONSES * [1, -1, 2, 0]}, [1, -1, 1, 0]
    ),
    "encoding.challenge_score": Case(
        encoding.challenge_score, {"predicted": RESPONSES, "actual": RESPONSES, "ceiling": np.ones(4)}, 100.0,
        degenerate=(({"predicted": np.ones((6, 4))}, 0.0),),
    ),
    "encoding.search_layers": Case(
        lambda a, responses: list(encoding.search_layers({"a": a}, responses, np.ones(4), validation=0.5)),
        {"a": RESPONSES, "responses": RESPONSES}, ["a"],
    ),
}  # fmt: skip
