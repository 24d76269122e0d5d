"""Three-dimensional metrics: by hand, and against MONAI and surface-distance."""

import numpy as np
import pytest
import surface_distance
import torch
from monai.metrics import (
    compute_average_surface_distance,
    compute_hausdorff_distance,
    compute_surface_dice,
)
from scipy.ndimage import gaussian_filter

from weaklesion.volumes.metrics import (
    VolumePair,
    hausdorff95_mm,
    surface_dice_mm,
    surface_distance_mm,
    volume_dice,
    volume_error_percent,
)

SIZES = [(1.0, 1.0, 1.0), (0.7, 0.7, 5.0), (0.98, 0.8, 2.5)]


def blobs(seed):
    """Two masks that overlap, neither of which reaches the border."""
    rng = np.random.default_rng(seed)
    zero = np.zeros((22, 24, 14))
    zero[4:-4, 4:-4, 3:-3] = 1
    first = gaussian_filter(zero + rng.normal(0, 2, zero.shape), 2) > 0.45
    return first, np.roll(first, (1, -2, 1), (0, 1, 2)) & (rng.random(first.shape) > 0.02)


def one_hot(mask):
    return torch.from_numpy(np.stack([~mask, mask])[None].astype(np.float32))


def test_two_rows_of_voxels():
    """ref is x = 1..4, pred x = 3..6 of a row; a voxel is 2 mm long. All voxels are border."""
    ref, pred = np.zeros((2, 9, 3, 3), dtype=bool)
    ref[1:5, 1, 1] = pred[3:7, 1, 1] = True
    pair = VolumePair(ref, pred, (2.0, 1.0, 5.0))
    assert volume_dice(pair) == 0.5
    assert volume_error_percent(pair) == 0
    # distances: 4 2 0 0 and 0 0 2 4
    assert surface_distance_mm(pair) == 1.5
    assert surface_dice_mm(pair, 2.0) == 6 / 8
    assert hausdorff95_mm(pair) == 4.0


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_distances_agree_with_monai(seed, sizes):
    ref, pred = blobs(seed)
    pair = VolumePair(ref, pred, sizes)
    given = one_hot(pred), one_hot(ref)
    surface = compute_surface_dice(*given, class_thresholds=[2.0], spacing=sizes)
    assert surface_dice_mm(pair, 2.0) == pytest.approx(surface.item(), abs=1e-6)
    mean = compute_average_surface_distance(*given, symmetric=True, spacing=sizes)
    assert surface_distance_mm(pair) == pytest.approx(mean.item(), abs=1e-5)
    directed = [np.percentile(each, 95) for each in pair.border_distances]
    theirs = compute_hausdorff_distance(*given, percentile=95, spacing=sizes).item()
    assert max(directed) == pytest.approx(theirs, abs=1e-4)
    assert min(directed) - 1e-9 <= hausdorff95_mm(pair) <= max(directed) + 1e-9


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_surface_distance_of_deepmind_is_near(seed, sizes):
    """It weighs elements between voxels by area, so numbers differ by parts of a voxel."""
    ref, pred = blobs(seed)
    pair = VolumePair(ref, pred, sizes)
    theirs = surface_distance.compute_surface_distances(ref, pred, sizes)
    assert surface_dice_mm(pair, 2.0) == pytest.approx(
        surface_distance.compute_surface_dice_at_tolerance(theirs, 2.0), abs=0.12
    )
    both = surface_distance.compute_average_surface_distance(theirs)
    assert surface_distance_mm(pair) == pytest.approx(np.mean(both), abs=0.5 * max(sizes))
    assert volume_dice(pair) == pytest.approx(
        surface_distance.compute_dice_coefficient(ref, pred), abs=1e-12
    )


def test_empty_masks():
    none, one = np.zeros((2, 3, 3, 3), dtype=bool)
    one[1, 1, 1] = True
    missed, made_up, both = (
        VolumePair(*pair, (1, 1, 1)) for pair in ((one, none), (none, one), (none, none))
    )
    assert volume_dice(missed) == volume_dice(made_up) == surface_dice_mm(missed, 2.0) == 0
    assert volume_error_percent(missed) == -100
    undefined = [volume_dice(both), surface_dice_mm(both, 2.0), volume_error_percent(made_up)]
    undefined += [surface_distance_mm(missed), hausdorff95_mm(made_up)]
    assert np.isnan(undefined).all()


@pytest.mark.parametrize(
    ("ref", "pred", "sizes", "named"),
    [
        (np.zeros((2, 2, 2)), np.zeros((2, 2, 2), bool), (1, 1, 1), "ref"),
        (np.zeros((2, 2, 2), bool), np.zeros((2, 2, 3), bool), (1, 1, 1), "pred"),
        (np.zeros((2, 2, 2), bool), np.zeros((2, 2, 2), bool), (1, 0, 1), "sizes_mm"),
    ],
)
def test_what_is_no_pair_is_named(ref, pred, sizes, named):
    with pytest.raises(ValueError, match=named):
        VolumePair(ref, pred, sizes)
