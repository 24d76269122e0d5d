"""Raw files of the datasets, by the paper's configuration."""

import re
from types import SimpleNamespace

import pytest
from conftest import ROOT

from weaklesion.data.sources import Sources
from weaklesion.errors import DataError
from weaklesion.study.protocols import merge
from weaklesion.support.yaml_files import read_yaml

PAPER = read_yaml(ROOT / "config.yaml")


def sources_of(**changes):
    return Sources(merge(PAPER, changes), ROOT)


@pytest.fixture(scope="module")
def sources():
    return sources_of()


def job(dataset, protocol="corrected", file=""):
    return SimpleNamespace(dataset=dataset, protocol=protocol, file=file)


def test_where_files_are_from(sources):
    assert sources.labels["ham10k"] == "dataverse"
    assert sources.files_of("liver") == "lits"
    assert sources.label("liver") == sources.label("lits")
    assert str(sources.folder("liver")) == "resources/lits/msd"
    assert sources.loader("liver") == "lits_liver"


def test_patterns_of_loaders(sources):
    assert sources.loaded_by("deeplesion") == "deeplesion"
    others = sources.loaded_by("deeplesion", negate=True)
    assert re.fullmatch(others, "ham10k")
    assert not re.fullmatch(others, "deeplesion")
    assert sources.loaded_by("nothing") == "none"


def test_archives_tables_and_other_files(sources):
    archives, tables, others = sources.names("ham10k")
    assert tables == ["HAM10000_metadata.csv"]
    assert len(archives) == 3
    assert others == []
    folder = sources.folder("ham10k")
    assert sources.unpacked(job("ham10k")) == [folder / "extracted" / name for name in archives]
    assert sources.table(job("ham10k")) == folder / "archives/HAM10000_metadata.csv"
    assert sources.downloaded("ham10k") == [
        folder / "archives" / name for name in [*archives, *tables]
    ]


def test_of_deeplesion_the_kept_slices_of_chosen_parts_count():
    sources = sources_of(datasets={"deeplesion": {"parts": ["Images_png_01.zip"]}})
    downloaded = sources.downloaded("deeplesion")
    folder = sources.folder("deeplesion")
    assert downloaded[0] == folder / "extracted/Images_png_01.zip"
    assert [path.parent.name for path in downloaded[1:]] == ["archives"]


def test_rows_of_manifests(sources):
    name = "HAM10000_metadata.csv"
    row = sources.manifest_row(job("ham10k", file=name))
    assert row["url"].startswith("https://")
    weights = sources.manifest_rows("imagenet_weights")
    assert "resnet101-5d3b4d8f.pth" in weights


@pytest.mark.parametrize(
    ("dataset", "file", "key"),
    [
        ("deeplesion", "Images_png_1.zip", "datasets.deeplesion.parts"),
        ("imagenet_weights", "resnet50.pth", "imagenet_weights.files"),
    ],
)
def test_a_file_that_no_manifest_has_is_named(sources, dataset, file, key):
    with pytest.raises(DataError, match=f"{key} is '{file}', which is none of"):
        sources.manifest_row(job(dataset, file=file))


def test_a_manifest_of_ones_own_is_from_where_one_works(tmp_path, monkeypatch):
    (tmp_path / "own.csv").write_text("name,url,bytes,md5,sha256\na.csv,a.csv,,,12345678\n")
    monkeypatch.chdir(tmp_path)
    sources = sources_of(datasets={"ham10k": {"manifest": "own.csv"}})
    assert list(sources.manifest_rows("ham10k")) == ["a.csv"]


def test_a_phantom_is_made_and_has_no_rows(sources):
    demo = read_yaml(ROOT / "workflow/studies/demo.yaml")
    phantoms = Sources(merge(PAPER, demo), ROOT)
    assert phantoms.is_phantom("phantom_ham10k")
    assert not phantoms.is_phantom("ham10k")
    one = job("phantom_ham10k", file="HAM10000_metadata.csv")
    assert phantoms.manifest_row(one) == {}
    assert phantoms.phantom_manifest(one).name == "manifest.csv"
    assert phantoms.phantom_manifest(job("ham10k")) == []
    assert phantoms.names("phantom_ham10k")[1] == ["HAM10000_metadata.csv"]


def test_two_tables_are_refused(tmp_path):
    manifest = tmp_path / "m.csv"
    manifest.write_text(
        "name,url,bytes,md5,sha256\na.csv,a.csv,,,12345678\nb.csv,b.csv,,,12345678\n"
    )
    sources = sources_of(datasets={"ham10k": {"manifest": str(manifest)}})
    with pytest.raises(DataError, match=r"ham10k: one table is needed, not a\.csv, b\.csv"):
        sources.table(job("ham10k"))


def test_own_marks_are_a_table_that_must_be_there(tmp_path):
    own = read_yaml(ROOT / "workflow/studies/own-marks.yaml")
    marks = tmp_path / "marks.csv"
    config = merge(merge(PAPER, own), {"datasets": {"own": {"marks": str(marks)}}})
    sources = Sources(config, ROOT)
    with pytest.raises(DataError, match=r"datasets\.own\.marks: there is no file .*marks\.csv"):
        sources.table(job("own"))
    (tmp_path / "one.png").write_bytes(b"1")
    marks.write_text("id,image\na,one.png\n")
    assert sources.table(job("own")) == marks
    assert sources.unpacked(job("own")) == sources.downloaded("own") == []
    before = sources.patch_settings(job("own", "source"))
    assert "state" not in sources.patch_settings(job("ham10k"))
    (tmp_path / "one.png").write_bytes(b"22")
    after = sources.patch_settings(job("own", "source"))
    assert before["state"] != after["state"]
    assert {**before, "state": 0} == {**after, "state": 0}


def test_names_that_snakemake_takes_for_wildcards_are_refused(tmp_path):
    (tmp_path / "{x}.csv").write_text("id\n")
    own = {"loader": "custom", "source": "own", "marks": str(tmp_path / "{x}.csv")}
    with pytest.raises(DataError, match=r"datasets\.own\.marks: .* has a brace"):
        sources_of(datasets={"own": own}).table_of_marks("own")
    changes = {"datasets": {"ham10k": {"manifest": str(tmp_path / "{x}.csv")}}}
    with pytest.raises(DataError, match=r"datasets\.ham10k\.manifest: .* has a brace"):
        sources_of(**changes).manifest_rows("ham10k")
    files = {"train": "a.npy", "val": "b.npy", "test": "{x}.npy"}
    published = sources_of(
        protocols={"corrected": {"patches": {"lits": {"split": "published"}}}},
        datasets={"lits": {"published_split": files}},
    )
    with pytest.raises(DataError, match=r"lits\.published_split\.test: \{x\}\.npy has a brace"):
        published.index_files(job("lits"))


def test_index_files_of_a_published_split_are_inputs_and_must_be_named():
    by_files = {"patches": {"lits": {"split": "published"}}}
    files = {"train": "tr.npy", "val": "val.npy", "test": "te.npy"}
    protocols = {"indexed": {"base": "corrected"} | by_files}
    named = sources_of(protocols=protocols, datasets={"lits": {"published_split": files}})
    assert named.index_files(job("lits", "indexed")) == ["tr.npy", "val.npy", "te.npy"]
    assert named.index_files(job("lits")) == named.index_files(job("ham10k", "indexed")) == []
    with pytest.raises(DataError, match=r"datasets\.lits\.published_split: .* names none"):
        sources_of(protocols=protocols).index_files(job("lits", "indexed"))
