import json

import cv2
import numpy as np
import pandas as pd
import pytest
from conftest import real
from flipping import cluster_with_flipped_copies, name_of_copy

from weaklesion.clusters import ellipse_features, fit_clusters, flipped_features
from weaklesion.data.ellipse_table import write_marks
from weaklesion.data.loaders.deeplesion_table import parse_row, read_table
from weaklesion.data.samples import read_samples
from weaklesion.ellipse import Ellipse
from weaklesion.errors import DataError
from weaklesion.flips import FLIPS
from weaklesion.prediction.embeddings import cluster_embeddings
from weaklesion.recist import clicked_angle_deg, ellipse_from_recist, recist_from_ellipse
from weaklesion.supervision.classes import cluster_lesions, shuffle_clusters, shuffle_labels
from weaklesion.supervision.ellipses import draw_ellipses


def test_raw_features_are_the_numbers_themselves():
    features = ellipse_features([Ellipse(1, 2, 4, 3, 5)], encoding="raw")
    assert features.tolist() == [[1, 2, 4, 3, 5]]


def test_opencv_features_are_those_of_fit_ellipse():
    points = np.array([[10, 20], [14, 8], [25, 5], [37, 18], [30, 30], [15, 29]], np.int32)
    (cx, cy), (width, height), angle = cv2.fitEllipse(points)
    ellipse = Ellipse(cx, cy, width, height, angle).canonical()
    (features,) = ellipse_features([ellipse], encoding="opencv")
    assert width <= height
    assert features == pytest.approx([cx, cy, width, height, angle % 180])


def test_clicked_features_take_the_clicked_angle():
    features = ellipse_features(
        [Ellipse(1, 2, 4, 3, 5)], encoding="clicked", clicked_angles_deg=[-80.0]
    )
    assert features.tolist() == [[1, 2, 3, 4, -80]]
    with pytest.raises(ValueError, match="clicked_angles_deg"):
        ellipse_features([Ellipse(1, 2, 4, 3, 5)], encoding="clicked")


def test_periodic_features_by_hand():
    """The first two differ in x, y and the logarithm of the width; the third is not fitted."""
    e = np.e
    ellipses = [
        Ellipse(1, 2, 8, 4, 45), Ellipse(3, 6, 8 * e**2, 4, 0), Ellipse(5, 10, 8, 4 / e, 90)
    ]  # fmt: skip
    expected = np.array(
        [
            [-1, -1, -1, 0, 0, 1 / 2],
            [1, 1, 1, 0, 1 - 1 / (2 * e**2), 0],
            [3, 3, -1, -1, -(1 - 1 / (2 * e)), 0],
        ]
    )
    fitted = np.array([True, True, False])
    found = ellipse_features(ellipses, encoding="periodic", fitted=fitted)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    of_all = ellipse_features(ellipses[:2], encoding="periodic")
    np.testing.assert_allclose(of_all, expected[:2], atol=1e-9)


def test_periodic_features_know_that_179_and_1_degrees_are_neighbours():
    def distance(encoding, *ellipses):
        a, b, *_ = ellipse_features(
            [*ellipses, Ellipse(9, 9, 30, 10, 0), Ellipse(0, 1, 9, 8, 0)], encoding=encoding
        )
        return np.linalg.norm(a - b)

    near = Ellipse(5, 5, 20, 10, 179), Ellipse(5, 5, 20, 10, 1)
    assert distance("raw", *near) > 100
    assert distance("periodic", *near) < 0.05
    circles = Ellipse(5, 5, 10, 10, 90), Ellipse(5, 5, 10, 10, 0)
    assert distance("periodic", *circles) == 0


def test_clusters_of_clear_groups():
    features = np.array([[0.0], [0.1], [5.0], [5.1], [9.0]])
    labels = fit_clusters(features, 3, seed=0)
    assert labels[0] == labels[1] != labels[2] == labels[3] != labels[4]
    assert (labels == fit_clusters(features, 3, seed=0)).all()


@pytest.mark.parametrize("k", [0, 6])
def test_k_outside_the_number_of_samples(k):
    with pytest.raises(ValueError, match="k: "):
        fit_clusters(np.arange(5.0)[:, None], k, seed=0)


def test_there_are_no_more_clusters_than_different_samples():
    """K-means would leave classes without any lesion, and call that perfectly stable."""
    features = np.array([[0.0], [0.0], [0.0], [5.0], [5.0]])
    with pytest.raises(ValueError, match="3 clusters of 5 samples, 2 of which differ; 1 to 2 are"):
        fit_clusters(features, 3, seed=0)
    assert len(set(fit_clusters(features, 2, seed=0))) == 2


def test_unknown_encoding():
    with pytest.raises(ValueError, match="encoding"):
        ellipse_features([], encoding="polar")


@pytest.fixture
def cluster(patches, tmp_path):
    draw_ellipses(
        samples_csv=patches / "samples.csv",
        images_npy=patches / "images.npy",
        ellipses_csv=tmp_path / "ellipses.csv",
        target_npy=tmp_path / "ellipse.npy",
        center="midpoint",
        outline_px=0.0,
    )

    def run(samples_csv=patches / "samples.csv", ellipses_csv=tmp_path / "ellipses.csv", **changes):
        options = {"k": 4, "encoding": "raw", "fit_on": "train", "seed": 0} | changes
        cluster_lesions(
            samples_csv=samples_csv,
            images_npy=patches / "images.npy",
            ellipses_csv=ellipses_csv,
            clusters_csv=tmp_path / "c.csv",
            quality_json=tmp_path / "q.json",
            **options,
        )
        quality = json.loads((tmp_path / "q.json").read_text())
        return pd.read_csv(tmp_path / "c.csv").set_index("id")["cluster"], quality

    return run


def test_a_table_with_fewer_shapes_than_clusters_is_named(cluster):
    with pytest.raises(DataError, match=r"samples\.csv: k: 60 clusters of \d+ samples, .* Lower k"):
        cluster(k=60)


def test_labels_follow_the_id_whatever_the_order_of_the_ellipses(cluster, tmp_path):
    labels, quality = cluster()
    table = pd.read_csv(tmp_path / "ellipses.csv")
    table.sample(frac=1, random_state=0).to_csv(tmp_path / "shuffled.csv", index=False)
    again, _ = cluster(ellipses_csv=tmp_path / "shuffled.csv")
    assert labels.equals(again)
    assert sum(quality["sizes"]) == len(labels) == 59
    assert 0 < quality["stability"] <= 1
    assert -1 <= quality["silhouette"] <= 1


@pytest.mark.parametrize("encoding", ["raw", "opencv", "clicked", "periodic"])
def test_centres_are_fitted_to_the_training_split_only(cluster, patches, tmp_path, encoding):
    labels, quality = cluster(encoding=encoding)
    samples = read_samples(patches / "samples.csv")
    assert quality["num_fitted"] == (samples["split"] == "train").sum()
    # moving the test samples far away changes no label of the others
    table = pd.read_csv(tmp_path / "ellipses.csv").set_index("id")
    test = samples.index[samples["split"] == "test"]
    table.loc[test, "cx"] += 1e4
    table.reset_index().to_csv(tmp_path / "moved.csv", index=False)
    moved, _ = cluster(ellipses_csv=tmp_path / "moved.csv", encoding=encoding)
    others = samples.index[samples["split"] != "test"]
    assert labels[others].equals(moved[others])
    every, quality = cluster(fit_on="all")
    assert quality["num_fitted"] == len(every)


@pytest.mark.parametrize("encoding", ["raw", "opencv", "clicked", "periodic"])
def test_the_class_under_a_flip_is_that_of_the_flipped_mark(patches, tmp_path, encoding):
    classes = cluster_with_flipped_copies(patches, tmp_path, encoding=encoding)
    ids = read_samples(patches / "samples.csv").index
    assert list(classes.columns) == list(FLIPS)
    for column in FLIPS:
        of_copies = classes.loc[[name_of_copy(name, column) for name in ids], "cluster"]
        assert classes.loc[ids, column].tolist() == of_copies.tolist()
        if column not in ("cluster", "cluster_both_flips"):
            assert (classes.loc[ids, column] != classes.loc[ids, "cluster"]).mean() > 0.2
    # copies that are flipped once more are where they came from
    mirrored = [name_of_copy(name, "cluster_left_right") for name in ids]
    back = classes.loc[mirrored, "cluster_left_right"]
    assert back.tolist() == classes.loc[ids, "cluster"].tolist()


@pytest.mark.parametrize("encoding", ["raw", "opencv", "clicked", "periodic"])
def test_flips_do_not_move_the_features_of_marks_as_they_are(encoding):
    ellipses = [Ellipse(x, 2 * x, 4 + x, 3, 5 * x) for x in (1.0, 2.0, 5.0, 7.0)]
    options = {"encoding": encoding, "clicked_angles_deg": [-90.0, 0.0, 10.0, 200.0]}
    options["fitted"] = np.array([True, True, True, False])
    features = flipped_features(ellipses, (100, 50), **options)
    np.testing.assert_array_equal(features[0], ellipse_features(ellipses, **options))
    # in units of the marks as they are: their centres 1, 2 and 5 have mean 8 / 3 and deviation 1.7
    mirrored_x = 49 - np.array([1.0, 2.0, 5.0, 7.0])
    if encoding == "periodic":
        mirrored_x = (mirrored_x - 8 / 3) / np.std([1, 2, 5])
    assert features[1, :, 0] == pytest.approx(mirrored_x)
    assert features.shape == (4, 4, 6 if encoding == "periodic" else 5)


@pytest.mark.workflow
def test_angle_outweighs_the_rest_on_real_marks_unless_periodic():
    table = real("deeplesion") / "DL_info_9921_rows.csv"
    lesions = [parse_row(row, table) for row in read_table(table)]
    ellipses = [ellipse_from_recist(lesion.recist - lesion.recist.mean(axis=0) + 60)
                for lesion in lesions]  # fmt: skip
    clicked = [clicked_angle_deg(lesion.recist) for lesion in lesions]
    released = ellipse_features(ellipses, encoding="clicked", clicked_angles_deg=clicked).var(
        axis=0
    )
    assert released[4] / released.sum() > 0.9
    periodic = ellipse_features(ellipses, encoding="periodic").var(axis=0)
    assert periodic[4:].sum() / periodic.sum() < 0.5
    # the order of the clicks splits the lesions
    assert 0.2 < np.mean(np.array(clicked) > 90) < 0.8


def test_shuffled_labels_keep_every_splits_counts(cluster, patches, tmp_path):
    cluster()
    labels = pd.read_csv(tmp_path / "c.csv").set_index("id")
    splits = read_samples(patches / "samples.csv")["split"]
    shuffle_clusters(
        samples_csv=patches / "samples.csv",
        clusters_csv=tmp_path / "c.csv",
        shuffled_csv=tmp_path / "s.csv",
        seed=0,
    )
    shuffled = pd.read_csv(tmp_path / "s.csv").set_index("id")
    assert list(shuffled.columns) == list(FLIPS)
    assert list(shuffled.index) == list(splits.index)
    assert not shuffled.equals(labels)
    for split in ("train", "val", "test"):
        ids = splits.index[splits == split]
        # whole rows: the classes under the flips are of the lesion whose class it is
        rows = [sorted(map(tuple, table.loc[ids].to_numpy())) for table in (shuffled, labels)]
        assert rows[0] == rows[1]
    assert labels.drop_duplicates().shape[0] > labels["cluster"].nunique()
    assert shuffle_labels(labels, splits, seed=0).equals(shuffled)
    assert not shuffle_labels(labels, splits, seed=1).equals(shuffled)


def test_classes_without_those_under_flips_are_not_shuffled(cluster, patches, tmp_path):
    cluster()
    pd.read_csv(tmp_path / "c.csv")[["id", "cluster"]].to_csv(tmp_path / "c.csv", index=False)
    with pytest.raises(DataError, match=r"c\.csv: has no column cluster_left_right"):
        shuffle_clusters(
            samples_csv=patches / "samples.csv",
            clusters_csv=tmp_path / "c.csv",
            shuffled_csv=tmp_path / "s.csv",
            seed=0,
        )


def test_a_flip_keeps_the_class_of_an_embedding(patches, tmp_path):
    count = len(read_samples(patches / "samples.csv"))
    embeddings = np.random.default_rng(0).normal(size=(count, 3)).astype(np.float32)
    np.save(tmp_path / "e.npy", embeddings)
    options = {
        "samples_csv": patches / "samples.csv",
        "embeddings_npy": tmp_path / "e.npy",
        "clusters_csv": tmp_path / "c.csv",
        "fit_on": "train",
        "seed": 0,
    }
    with pytest.raises(DataError, match=r"e\.npy: k: 60 clusters of \d+ samples, .* Lower k"):
        cluster_embeddings(**options, k=60)
    cluster_embeddings(**options, k=4)
    classes = pd.read_csv(tmp_path / "c.csv").set_index("id")
    assert list(classes.columns) == list(FLIPS)
    assert classes["cluster"].nunique() == 4
    assert all(classes[column].equals(classes["cluster"].rename(column)) for column in FLIPS)


def test_a_cluster_of_one_lesion_among_many_has_no_silhouette_where_it_is_not_drawn(tmp_path):
    ellipses = [Ellipse(60.0, 60.0, 30.0, 20.0, 45.0)] * 2999
    ellipses.append(Ellipse(60.0, 60.0, 119.0, 110.0, 45.0))
    names = [f"s{number}" for number in range(3000)]
    marks = [recist_from_ellipse(ellipse) for ellipse in ellipses]
    write_marks(tmp_path / "ellipses.csv", zip(names, ellipses, marks, strict=True))
    samples = pd.DataFrame({"id": names, "group": names, "split": "train"})
    samples.to_csv(tmp_path / "samples.csv", index=False)
    np.save(tmp_path / "images.npy", np.zeros((3000, 2, 2, 3), np.uint8))
    found = {}
    for seed in (5, 6):  # the silhouette's 2,000 samples have the last lesion only with seed 5
        cluster_lesions(
            samples_csv=tmp_path / "samples.csv",
            images_npy=tmp_path / "images.npy",
            ellipses_csv=tmp_path / "ellipses.csv",
            clusters_csv=tmp_path / "clusters.csv",
            quality_json=tmp_path / "quality.json",
            k=2,
            encoding="raw",
            fit_on="all",
            seed=seed,
        )
        quality = json.loads((tmp_path / "quality.json").read_text())
        assert sorted(quality["sizes"]) == [1, 2999]
        found[seed] = quality["silhouette"]
    assert found == {5: pytest.approx(2999 / 3000, abs=5e-4), 6: None}
