# Files of tables/ and figures/ as rules write them, with their places in the report.


def plain_title(wildcards):
    """Title of the rule's item as the configuration has it, without the note on marks."""
    return study.item(wildcards.item)["title"]


def dataset_label(wildcards):
    """What readers call the rule's dataset."""
    return dataset_labels(config)[wildcards.dataset]


def block_label(item, wildcards):
    """Label of an item of one dataset under one protocol.

    One label, not three: where half of a category's files have one value of a second label and half
    another, Snakemake's report shows a switch, and stays blank if the files are not in pairs.
    """
    return {"item": f"{item}: {dataset_label(wildcards)}, {wildcards.protocol}"}


def arm_label(arm):
    """What readers call an arm."""
    return labels_of(config, [], [arm])["arms"][arm]


def table(file, caption="table", item=plain_title, category="Tables"):
    """A table, or its page."""
    file_format = "CSV" if file.endswith("csv") else "page"

    def labels(wildcards):
        name = item(wildcards) if callable(item) else item
        return {"item": name, "format": file_format}

    return report(
        RESULTS / "tables" / file,
        caption=f"../report/{caption}.rst",
        category=category,
        labels=labels,
    )


def block_figure(name, category, item, suffixes=("png", "svg")):
    """A figure of one dataset under one protocol; the report shows the first of its files."""
    first, *others = [
        RESULTS / f"figures/{name}.{{dataset}}.{{protocol}}.{suffix}"
        for suffix in suffixes
    ]
    shown = report(
        first,
        caption=f"../report/{name}.rst",
        category=category,
        labels=lambda wildcards: block_label(item, wildcards),
    )
    return [shown, *others]


def item_figure(caption):
    """The figure of an item; the report shows the SVG."""
    shown = report(
        RESULTS / "figures/{item}.svg",
        caption=f"../report/{caption}.rst",
        category="Tables",
        labels=lambda wildcards: {"item": plain_title(wildcards), "format": "figure"},
    )
    return [shown, RESULTS / "figures/{item}.png"]
