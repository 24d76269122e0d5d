"""The item of volumes: lesions of known shape in LiTS's files, and a table worked by hand."""

import math

import nibabel
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from lumps import SHAPE, SIZES, image_of, lump

from weaklesion.errors import DataError
from weaklesion.report.plan import make_plan
from weaklesion.report.tables.volumes import summarize, tabulate_volumes
from weaklesion.scoring.statistics import limits_of_agreement
from weaklesion.study.checks import check_config
from weaklesion.study.items import places_of, runs_of
from weaklesion.study.protocols import merge
from weaklesion.study.schema import check_schema
from weaklesion.study.study import Study
from weaklesion.support.yaml_files import read_yaml
from weaklesion.volumes.lesion_scores import longest_mark
from weaklesion.volumes.lits_lesions import lesions_of, measure_volumes

BALL = (24.0, 24.0, 24.0)
SAMPLES = ["id", "group", "split"]


def write_case(folder, number, tumour, affine):
    labels = np.where(tumour, 2, 1).astype(np.uint8)
    for kind, values in (("volume", image_of(tumour)), ("segmentation", labels)):
        nibabel.save(nibabel.Nifti1Image(values, affine), folder / f"{kind}-{number}.nii")


def measured(folder, splits, marks="hull_ellipse"):
    """Lesions and lesions left out, of volumes with these splits."""
    samples = pd.DataFrame(
        [(f"{n}_0", f"volume-{n}", split) for n, split in splits.items()], columns=SAMPLES
    )
    samples.to_csv(folder / "samples.csv", index=False)
    measure_volumes(
        folders=[folder],
        samples_csv=folder / "samples.csv",
        simulated_marks=marks,
        lesions_csv=folder / "volumes.csv",
        left_out_csv=folder / "volumes_left_out.csv",
    )
    return pd.read_csv(folder / "volumes.csv"), pd.read_csv(folder / "volumes_left_out.csv")


# RECIST's own ends lie on the pixels' corners, so its diameters are half a pixel longer
@pytest.mark.parametrize(("marks", "off"), [("hull_ellipse", 0.08), ("recist", 0.12)])
def test_a_ball_is_found_from_its_mark(tmp_path, marks, off):
    """Its ellipsoid is the ball itself."""
    write_case(tmp_path, 0, lump(axes_mm=BALL), np.diag([*SIZES, 1.0]))
    write_case(tmp_path, 1, lump(axes_mm=BALL), np.diag([*SIZES, 1.0]))
    lesions, left_out = measured(tmp_path, {0: "test", 1: "train"}, marks)
    assert lesions["volume"].tolist() == ["volume-0", "volume-0"]  # no training volume
    assert left_out.empty
    rows = lesions.set_index("method")
    assert rows.index.tolist() == ["ellipsoid", "levels"]
    true_mm3 = math.pi / 6 * 24**3
    assert rows["reference_mm3"].tolist() == pytest.approx([true_mm3] * 2, rel=0.02)
    assert rows.loc["ellipsoid", "volume_mm3"] == pytest.approx(true_mm3, rel=off)
    assert (rows["dice"] > 94).all()
    assert (rows["nsd_2mm"] > 99).all()
    assert (rows["asd_mm"] < 0.8).all()
    assert rows["slice"].tolist() == [20, 20]
    assert rows.loc["levels", "long_mm"] == pytest.approx(24, abs=1.0)
    assert rows.loc["levels", "low_mm3"] < rows.loc["levels", "reference_mm3"]
    assert rows.loc["levels", "undecided"] in (False, "False")
    assert np.isnan(rows.loc["ellipsoid", "low_mm3"])


def test_what_is_left_out_is_counted_with_its_reason(tmp_path):
    whole, small = lump(axes_mm=BALL), lump(center=(10.0, 10.0, 6.0), axes_mm=(4.0, 4.0, 4.0))
    speck = np.zeros(SHAPE, dtype=bool)
    speck[90, 85, 2:4] = True
    affine = np.diag([*SIZES, 1.0])
    write_case(tmp_path, 0, whole | small | speck, affine)
    write_case(tmp_path, 28, whole | small, np.eye(4))  # as LiTS's cases without a geometry
    lesions, left_out = measured(tmp_path, {0: "test", 28: "test"})
    assert set(lesions["volume"]) == {"volume-0"}
    assert len(lesions) == 2
    assert left_out.to_numpy().tolist() == [
        ["volume-0", "short diameter below 5 mm", 1],
        ["volume-0", "no slice with a mark: each hull has fewer than five vertices", 1],
        ["volume-28", "volume without a spacing", 2],
    ]
    # the other lesions of a volume are background: the scores of one do not depend on them
    (tmp_path / "alone").mkdir()
    write_case(tmp_path / "alone", 0, whole, affine)
    alone, _ = measured(tmp_path / "alone", {0: "test"})
    assert alone["reference_mm3"].tolist() == lesions["reference_mm3"].tolist()


def test_a_damaged_volume_is_named(tmp_path):
    write_case(tmp_path, 0, lump(), np.diag([*SIZES, 1.0]))
    content = (tmp_path / "volume-0.nii").read_bytes()
    (tmp_path / "volume-0.nii").write_bytes(content[:1000])
    with pytest.raises(DataError, match=r"volume-0\.nii: .*truncated.*Unpack it again"):
        measured(tmp_path, {0: "test"})


def test_lesions_that_share_a_corner_are_one():
    tumour = np.zeros((6, 6, 6), dtype=bool)
    tumour[1, 1, 1] = tumour[2, 2, 2] = tumour[5, 5, 5] = True
    (box, part), (other, _) = lesions_of(tumour)
    assert box == (slice(1, 3),) * 3
    assert part.sum() == 2
    assert other == (slice(5, 6),) * 3
    assert lesions_of(np.zeros((3, 3, 3), dtype=bool)) == []


def test_the_longest_mark_is_longest_in_mm_not_in_px():
    lesion = np.zeros((9, 9, 2), dtype=bool)
    lesion[1:8, 4, 0] = True  # 6 px of 1 mm
    lesion[4, 2:7, 1] = True  # 4 px of 2 mm

    def mark_of(plane):
        rows, columns = np.nonzero(plane)
        ends = np.array([[columns[0], rows[0]], [columns[-1], rows[-1]]], dtype=float)
        return np.concatenate([ends, ends])

    points, index = longest_mark(lesion, np.diag([1.0, 2.0, 5.0]), mark_of)
    assert index == 1
    assert points[:2].tolist() == [[4, 2], [4, 6]]


def row(volume, lesion, method, dice, error, inside=None):
    interval = {None: (math.nan, math.nan), True: (90.0, 110.0), False: (101.0, 120.0)}[inside]
    about = {"volume": volume, "lesion": lesion, "method": method, "reference_mm3": 100.0}
    about |= dict(zip(("low_mm3", "high_mm3"), interval, strict=True))
    about |= {"nsd_2mm": 50.0, "asd_mm": 1.0, "hd95_mm": 2.0}
    undecided = {"undecided": False} if method == "levels" else {}
    return about | undecided | {"dice": dice, "volume_error_percent": error}


def test_a_table_worked_by_hand_counts_every_patient_once(tmp_path):
    rows = [  # patient a has three lesions, b one
        *(row("a", f"a{n}", "ellipsoid", 60.0, -30.0) for n in range(3)),
        row("b", "b0", "ellipsoid", 80.0, 10.0),
        row("a", "a0", "levels", 66.0, -10.0, True),
        row("a", "a1", "levels", 66.0, -20.0, False),
        row("a", "a2", "levels", 66.0, -30.0, True),
        row("b", "b0", "levels", 90.0, 20.0, True),
    ]
    lost = [("a", "small", 2), ("b", "small", 1), ("b", "flat", 5)]
    pd.DataFrame(rows).to_csv(tmp_path / "l.csv", index=False)
    pd.DataFrame(lost, columns=["volume", "reason", "lesions"]).to_csv(
        tmp_path / "o.csv", index=False
    )
    block = {"dataset": "d", "protocol": "p", "lesions": tmp_path / "l.csv"}
    tabulate_volumes(
        blocks=[block | {"left_out": tmp_path / "o.csv"}],
        title="Volumes",
        table_csv=tmp_path / "t.csv",
        left_out_csv=tmp_path / "t.left_out.csv",
        table_html=tmp_path / "t.html",
    )
    table = pd.read_csv(tmp_path / "t.csv").set_index(["method", "measure"])
    assert table.loc[("ellipsoid", "dice"), "mean"] == 70  # not the lesions' 65
    levels = table.loc[("levels", "dice")]
    assert levels[["mean", "gain", "n_volumes", "n_lesions"]].tolist() == [78, 8, 2, 4]
    error = table.loc[("levels", "volume_error")]
    # means -20 and 20; squares of a: mean of 100, 400, 900; of b: 400
    assert error["mean"] == 0
    reach = 1.96 * math.sqrt((1400 / 3 + 400) / 1)
    assert [error["limit_low"], error["limit_high"]] == pytest.approx([-reach, reach], rel=1e-4)
    assert np.isnan(error["gain"])
    assert table.loc[("levels", "absolute_volume_error"), "mean"] == 20
    inside = table.loc[("levels", "in_interval")]
    assert inside["mean"] == pytest.approx(100 * (2 / 3 + 1) / 2, rel=1e-4)
    assert inside["ci_high"] == 100
    ends = table[["ci_low", "ci_high"]]  # two patients: wide intervals, which end with the measure
    assert ends.loc[("levels", "dice")].tolist() == [0, 100]
    assert ends.loc[("levels", "volume_error"), "ci_low"] == -100
    assert ends.loc[("ellipsoid", "absolute_volume_error"), "ci_low"] == 0
    assert ("ellipsoid", "in_interval") not in table.index
    left_out = pd.read_csv(tmp_path / "t.left_out.csv")
    assert left_out.to_numpy().tolist() == [["d", "p", "flat", 5, 1], ["d", "p", "small", 3, 2]]
    page = (tmp_path / "t.html").read_text()
    assert "<td>5</td><td>1</td>" in page
    assert ">-58 to +58<" in page
    assert "nan" not in page.split("</style>")[1].replace("isnan", "")


def test_a_gain_is_over_the_lesions_that_both_methods_measured():
    """The ellipsoid has no surface distance in the hardest lesion; elsewhere levels gain 0.5 mm."""
    rows = []
    for number, distance in enumerate((1.0, 2.0, 9.0)):
        of_ellipsoid = math.nan if distance == 9 else distance + 0.5
        about = f"v{number}", f"l{number}"
        rows.append(row(*about, "ellipsoid", 60.0, 0.0) | {"asd_mm": of_ellipsoid})
        rows.append(row(*about, "levels", 60.0, 0.0) | {"asd_mm": distance})
        rows.append(row(*about, "network", 60.0, 0.0) | {"asd_mm": math.nan if distance < 9 else 1})
    table = summarize(pd.DataFrame(rows).assign(dataset="d", protocol="p"))
    found = table.set_index(["method", "measure"]).xs("asd_mm", level="measure")
    assert found.loc["levels", ["mean", "n_volumes", "gain"]].tolist() == [4, 3, -0.5]
    assert math.isnan(found.loc["network", "gain"])  # no lesion has both


def test_one_lesion_per_volume_has_the_usual_limits():
    values = pd.DataFrame({"group": list("abc"), "value": [1.0, 2.0, 6.0]})
    reach = 1.96 * values["value"].std()
    assert limits_of_agreement(values) == pytest.approx((3 - reach, 3 + reach))
    assert np.isnan(limits_of_agreement(values[:1])).all()


def test_a_table_without_any_lesion_says_so(tmp_path):
    lesions, left_out = tmp_path / "l.csv", tmp_path / "o.csv"
    pd.DataFrame(columns=list(row("a", "a0", "levels", 1, 1))).to_csv(lesions, index=False)
    pd.DataFrame(columns=["volume", "reason", "lesions"]).to_csv(left_out, index=False)
    block = {"dataset": "d", "protocol": "p", "lesions": lesions, "left_out": left_out}
    outputs = {
        name: tmp_path / name.replace("_html", ".html")
        for name in ("table_csv", "left_out_csv", "table_html")
    }
    tabulate_volumes(blocks=[block], title="Volumes", **outputs)
    assert "No lesion of the test volumes could be measured" in outputs["table_html"].read_text()
    assert pd.read_csv(outputs["table_csv"]).empty


PAPER = read_yaml(ROOT / "config.yaml")
ONLY = {"study": "v", "select": {"items": ["volumes"]}}


def test_the_item_has_places_files_and_no_run():
    study = Study(merge(PAPER, ONLY), PAPER)
    assert study.places("volumes") == [("lits", "corrected")]
    assert runs_of(PAPER, ["volumes"]) == []
    files = [path.name for path in study.files_of("volumes")]
    assert files == ["volumes.csv", "volumes.html", "volumes.left_out.csv"]
    recist = merge(PAPER, ONLY | {"experiments": {"volumes": {"protocols": ["recist"]}}})
    assert "marks by RECIST's own definition: lits" in Study(recist, PAPER).title("volumes")
    assert places_of(PAPER, ["volumes", "table4"])[0] == ("lits", "corrected")
    assert make_plan(merge(PAPER, ONLY), {"measure_volumes": 1}, ROOT, ROOT).trainings == []


def test_only_whole_volumes_of_one_split_can_be_measured():
    of_images = {"experiments": {"volumes": {"datasets": ["ham10k"]}}}
    with pytest.raises(DataError, match=r"volumes\.datasets: ham10k has the loader ham10k"):
        check_config(merge(PAPER, ONLY | of_images))
    folds = {"protocols": {"crossed": {"base": "corrected", "folds": 3}}}
    crossed = {"experiments": {"volumes": {"protocols": ["crossed"]}}}
    with pytest.raises(DataError, match="crossed is cross-validated"):
        check_config(merge(PAPER, ONLY | folds | crossed))
    armed = merge(PAPER, {"experiments": {"volumes": {"arms": ["a1"]}}})
    with pytest.raises(DataError, match=r"experiments\.volumes"):
        check_schema(armed, ROOT / "workflow/schemas/config.schema.yaml")
