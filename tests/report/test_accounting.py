import json

from weaklesion.report.tables.samples import tabulate_samples


def test_page_says_what_was_kept_and_every_reason(tmp_path):
    account = {
        "found": 12,
        "kept": {"train": 6, "val": 2, "test": 1},
        "groups": {"train": 5, "val": 2, "test": 1},
        "dropped": [{"reason": "too <dark>", "count": 3, "ids": ["a", "b"]}],
        "notes": [{"reason": "odd", "count": 1, "ids": ["c"]}],
        "dense_reference": False,
    }
    (tmp_path / "patches.json").write_text(json.dumps(account))
    block = {"dataset": "d", "protocol": "p", "source": "s"}
    tabulate_samples(
        blocks=[{**block, "patches": tmp_path / "patches.json"}], page_html=tmp_path / "p.html"
    )
    page = (tmp_path / "p.html").read_text()
    assert "<td>12</td>" in page
    assert "left out: too &lt;dark&gt;" in page
    assert "kept, but: odd" in page
    assert "a, b" in page
