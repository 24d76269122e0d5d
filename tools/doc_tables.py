"""Tables of results as Markdown: one function per kind of table, recognised by its columns."""

from collections.abc import Callable, Iterable, Mapping

import pandas as pd

from weaklesion.report.pages import p_value
from weaklesion.report.tables.cells import direction
from weaklesion.report.traits import WORDS
from weaklesion.scoring.catalogue import MEASURES

PLACE = ["of", "dataset", "protocol", "constant"]  # of a choice


def named(*metrics: str) -> dict[str, str]:
    """Return the head of each metric's row or column, by its name in files."""
    return {name: f"{MEASURES[name].label}, {MEASURES[name].unit}" for name in metrics}


METRICS = named(  # those that are shown where they are in the table and compared, or in Table 1
    "dice",
    "iou",
    "volumetric_similarity",
    "center_error",
    "perimeter_error_canny_half",
    "hausdorff",
    "average_hausdorff",
)
ONLY_IF_COMPARED = named("recall", "precision", "average_hausdorff_mean")


def markdown(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table as Markdown."""
    heads = list(heads)
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    lines += [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join([*lines, "", ""])


def interval(row: pd.Series, low: str = "ci_low", high: str = "ci_high", sign: str = "") -> str:
    """Return an interval in brackets, or why there is none."""
    if row.get("n_groups") == 1:  # hours of training have none
        return "(one group)"
    if pd.isna(row[low]) or row[low] == row[high]:
        return "(no interval)"
    return f"[{row[low]:{sign}.2f}, {row[high]:{sign}.2f}]"


def cell(row: pd.Series) -> str:
    """Return ours with interval, and the published value where there is one."""
    spread = f" ± {row['std']:.2f}" if row["n_seeds"] > 1 else ""
    text = f"{row['mean']:.2f}{spread} {interval(row)}"
    if pd.notna(row["published_mean"]):
        text += f"; paper {row['published_mean']:.2f}"
        if pd.notna(row["published_std"]):
            text += f" ± {row['published_std']:.2f}"
    return text


def gain(row: pd.Series) -> str:
    """Return the difference from the baseline, and what it can carry."""
    if pd.isna(row["gain"]):
        return ""
    text = f"{row['gain']:+.2f} {interval(row, 'gain_ci_low', 'gain_ci_high', '+')}"
    if pd.isna(row["p_holm"]):
        if row.get("network") == "no network" and "p_groups" in row:  # of an earlier rule
            return f"{text}; not trained, p over groups {row['p_groups']:.4f}"
        return f"{text}; {row.get('gain_unknown', 'one seed')}, undecided"
    decided = direction(row["gain"], row["metric"], row["p_holm"])
    text += f"; p {p_value(row['p_holm'])}, {decided}"
    if row["metric"] == "dice" and "share_better" in row:
        unit = "groups" if row.get("unit") == "group" else "images"
        text += f"; {row['share_better']:.1f} % of {unit} better"
    return text if pd.isna(row["detectable"]) else f"{text}; detectable {row['detectable']:.2f}"


def scores(table: pd.DataFrame) -> str:
    """Return a table of arms as Markdown, and then their differences from the baseline."""
    text = ""
    later = ["n_groups", "baseline", "gain"]  # which tables of an earlier version do not have
    table = table.reindex(columns=list(dict.fromkeys([*table.columns, *later])))
    for (dataset, protocol), block in table.groupby(["dataset", "protocol"], sort=False):
        arms = list(dict.fromkeys(block["arm"]))
        cells = block.set_index(["arm", "metric"], drop=False)
        seeds = {arm: int(cells.loc[arm, "n_seeds"].iloc[0]) for arm in arms}
        heads = [f"{arm} ({n} seed{'s' if n > 1 else ''})" for arm, n in seeds.items()]
        first = block.iloc[0]
        compared = set(block.loc[block["gain"].notna(), "metric"])
        shown = METRICS | {key: v for key, v in ONLY_IF_COMPARED.items() if key in compared}
        groups = ""
        if pd.notna(first["n_groups"]):
            groups = f" in {first['n_groups']:.0f} group{'s' if first['n_groups'] > 1 else ''}"
        samples = f"{first['n_samples']} test samples{groups}"
        if first.get("unit") == "group":
            samples = f"{first['n_groups']:.0f} groups of test samples, each counted once"
        text += f"{dataset}, protocol `{protocol}`, {samples}:\n\n"
        text += markdown(
            ["", *heads],
            (
                [label, *(cell(cells.loc[(arm, metric)]) for arm in arms)]
                for metric, label in shown.items()
            ),
        )
        baseline = block["baseline"].dropna().unique()
        others = [arm for arm in arms if pd.notna(cells.loc[arm, "gain"]).any()]
        if not others:
            continue
        text += f"Differences from `{baseline[0]}`:\n\n"
        text += markdown(
            ["", *others],
            (
                [label, *(gain(cells.loc[(arm, metric)]) for arm in others)]
                for metric, label in shown.items()
                if metric in compared
            ),
        )
    return text


def verdicts(table: pd.DataFrame) -> str:
    """Return the claims that could be tested as Markdown."""
    tested = table[table["verdict"] != "not testable here"]
    rows = [
        [
            row["claim"],
            f"`{row['protocol']}`",
            f"{row['arm']} against {row['baseline']}",
            MEASURES[row["metric"]].label if row["metric"] in MEASURES else row["metric"],
            f"{row['improvement_percent']:+.2f}"
            f" {interval(row, 'ci_low_percent', 'ci_high_percent', '+')}",
            f"{row['claimed_percent']:.1f}",
            "" if pd.isna(row["p_holm"]) else p_value(row["p_holm"]),
            row["verdict"] + ("" if pd.isna(row["why"]) else f"; {row['why']}"),
        ]
        for _, row in tested.iterrows()
    ]
    heads = ["Claim", "Protocol", "Arms", "Metric", "Improvement, %", "Claimed, %", "p", "Verdict"]
    text = markdown(heads, rows)
    if "other_settings" in tested:  # since verdicts name them in a column of their own
        for other in tested["other_settings"].dropna().unique():
            text += f"Not the paper's settings: {other}.\n\n"
    left_out = len(table) - len(tested)
    return text + f"{left_out} claims are not testable in this study.\n\n"


def gaps(table: pd.DataFrame, labels: Mapping[str, str] | None = None) -> str:
    """Return what arms lack, by kind of image, as Markdown.

    Args:
        table: the table.
        labels: arm to its name in the chart above the table; none where no chart stands there.
    """
    text = ""
    kinds = table["stratum"].replace(WORDS)  # as in the study's page and figure
    table["images"] = [
        f"{kind}: {value}" if isinstance(value, str) else kind
        for kind, value in zip(kinds, table["value"], strict=True)
    ]
    pair = ["dataset", "protocol", "arm", "against"]
    for (dataset, protocol, arm, against), rows in table.groupby(pair, sort=False):
        words = (
            f' (in the chart "{labels[str(arm)]} against {labels[str(against)]}")' if labels else ""
        )
        text += f"`{arm}` against `{against}`{words}: {dataset}, protocol `{protocol}`:\n\n"
        text += markdown(
            ["Images", "Number", f"{arm}, %", f"{against}, %", "Gap, points", "Share of gap, %"],
            (
                [
                    row["images"],
                    row["n_samples"],
                    f"{row['dice']:.2f}",
                    f"{row['dice_against']:.2f}",
                    f"{row['gap']:+.2f} {interval(row, sign='+')}",
                    f"{row['share_of_gap']:.0f}",
                ]
                for _, row in rows.iterrows()
            ),
        )
    return text


def policies(table: pd.DataFrame) -> str:
    """Return Dice and the Hausdorff distance under each policy as Markdown."""
    return markdown(
        ["Policy", "Arm", "Metric", "Images", "Mean", "Difference"],
        (
            [
                row["policy"],
                row["arm"],
                METRICS[row["metric"]],
                row["n_counted"],
                f"{row['mean']:.2f} {interval(row)}",
                ""
                if pd.isna(row["gain"])
                else f"{row['gain']:+.2f} {interval(row, 'gain_ci_low', 'gain_ci_high', '+')}",
            ]
            for _, row in table.iterrows()
        ),
    )


def answers(table: pd.DataFrame) -> str:
    """Return what each auxiliary task adds as Markdown."""
    return markdown(
        ["Paper", "Dataset", "Arms", "Metric", "Gain", "Seeds, groups", "Answer"],
        (
            [
                row["paper"],
                row["dataset"],
                f"{row['arm']} against {row['baseline']}",
                METRICS[row["metric"]],
                f"{row['gain']:+.2f} {interval(row, sign='+')}",
                f"{row['n_seeds']}, {row['n_groups']}",
                row["answer"],
            ]
            for _, row in table.iterrows()
        ),
    )


def attribution(table: pd.DataFrame) -> str:
    """Return what each switch does to Dice as Markdown."""
    of_dice = table[table["metric"] == "dice"]
    return markdown(
        ["Switch", "From", "What", "Before, %", "After, %", "Difference, points", "Samples"],
        (
            [
                row["switch"],
                f"`{row['base']}`",
                row["quantity"],
                f"{row['before']:.2f}",
                f"{row['after']:.2f}",
                f"{row['difference']:+.2f} {interval(row, sign='+')}",
                "the same" if row["paired"] else "others",
            ]
            for _, row in of_dice.iterrows()
        ),
    )


def sweep(table: pd.DataFrame) -> str:
    """Return Dice against the number of training images as Markdown."""
    text = ""
    for (dataset, protocol), block in table.groupby(["dataset", "protocol"], sort=False):
        text += f"{dataset}, protocol `{protocol}`:\n\n"
        text += markdown(
            ["Training images", "Dice, %", "Seeds"],
            (
                [int(row["samples"]), f"{row['mean']:.2f} {interval(row)}", row["n_seeds"]]
                for _, row in block.iterrows()
            ),
        )
    return text


def choices(table: pd.DataFrame) -> str:
    """Return what was chosen without a dense mask, and by what, as Markdown."""
    heads = [
        "Of",
        "Dataset",
        "Protocol",
        "Constant",
        "Chosen",
        "Overlap with the true mark",
        "Marks",
    ]
    return markdown(
        heads,
        (
            [*(row[key] for key in PLACE), f"{row['chosen']:g}",
             row["recovered_iou"], row["marks"]]
            for _, row in table.iterrows()
        ),
    )  # fmt: skip


def agreement(table: pd.DataFrame) -> str:
    """Return the agreement of targets with the dense reference as Markdown."""
    return markdown(
        ["Dataset", "Protocol", "Target", "Samples", "Dice, %", "HD95, px", "Area ratio, median"],
        (
            [
                row["dataset"],
                f"`{row['protocol']}`",
                row["target"],
                row["n_samples"],
                f"{row['dice']:.2f}",
                f"{row['hd95_px']:.2f}",
                f"{row['area_ratio_median']:.3f}",
            ]
            for _, row in table.iterrows()
        ),
    )


def single_runs(table: pd.DataFrame) -> str:
    """Return a table of single training runs, one row per training, as Markdown."""
    units = {name: 100.0 if label.endswith("%") else 1.0 for name, label in METRICS.items()}
    shown = {name: label for name, label in METRICS.items() if name in table}
    return markdown(
        ["Arm", "Seed", *shown.values(), "Weights of epoch", "Epochs"],
        (
            [
                f"`{row['arm']}`",
                row["seed"] if row["epochs"] > 0 else "",
                *(f"{units[name] * row[name]:.2f}" for name in shown),
                *(f"{row[key]:.0f}" if row[key] > 0 else "" for key in ("kept_epoch", "epochs")),
            ]
            for row in table.to_dict("records")
        ),
    )


def runs(table: pd.DataFrame) -> str:
    """Return what each table was measured with, in words."""
    lines = []
    for _, row in table.iterrows():
        of = f"{', '.join(row['tables'].split())}: " if len(table) > 1 else ""
        lines.append(
            f"{of}{row['trainings']} training runs of {row['seconds_min']} to"
            f" {row['seconds_max']} s on {row['device']} ({row['threads']} thread each), at most"
            f" {row['memory_gib']:.1f} GiB each; torch {row['torch']}, commit {row['commits']}.\n"
        )
    return "\n".join(lines)


def readers(table: pd.DataFrame) -> str:
    """Return the Dice of masks from one reader's mark against masks by others, as Markdown."""
    heads = ["Mask", "Dice of masks by others, %", "Difference from the ellipse"]
    has_own = table["dice_of_own"].notna().any()
    if has_own:
        heads += ["Difference from another reader", "Dice of the drawing reader's outline, %"]
    lines = []
    for _, row in table.iterrows():
        seeds = f" ({row['seeds']:.0f} seeds)" if row["seeds"] > 1 else ""
        line = [f"{row['mask']}{seeds}", f"{row['dice_of_others']:.2f} {interval(row)}"]
        line.append("" if row["mask"] == "ellipse" else _apart(row, "gain"))
        if has_own:
            line.append("" if row["mask"] == "another reader" else _apart(row, "from_reader"))
            line.append("" if pd.isna(row["dice_of_own"]) else f"{row['dice_of_own']:.2f}")
        lines.append(line)
    return markdown(heads, lines)


def _apart(row: pd.Series, name: str) -> str:
    """Return a difference with its interval."""
    return f"{row[name]:+.2f} {interval(row, f'{name}_ci_low', f'{name}_ci_high', '+')}"


def limits(table: pd.DataFrame) -> str:
    """Return differences of sizes from those of masks by others, as Markdown."""
    sizes = {"long": "Long diameter, %", "short": "Short diameter, %", "area": "Area, %"}
    lines = []
    for mask, rows in table.groupby("mask", sort=False):
        by_size = rows.set_index("size")
        lines.append(
            [mask, *(f"{round(by_size['mean'][size], 2) + 0:+.2f} "
                     f"[{by_size['limit_low'][size]:+.2f}, {by_size['limit_high'][size]:+.2f}]"
                     for size in sizes)]
        )  # fmt: skip
    return markdown(["Mask", *sizes.values()], lines)


def sizes(table: pd.DataFrame) -> str:
    """Return differences of masks' sizes from those of dense references, as Markdown."""
    percent = table[table["unit"] == "%"]
    heads = {"long_diameter": "Long diameter, %", "short_diameter": "Short diameter, %",
             "area": "Area, %"}  # fmt: skip
    text = ""
    for (dataset, protocol), block in percent.groupby(["dataset", "protocol"], sort=False):
        rows = []
        for arm, of_arm in block.groupby("arm", sort=False):
            by_size = of_arm.set_index("size")
            seeds = by_size["n_seeds"].iloc[0]
            cells = (
                f"{by_size['mean'][size]:+.1f} [{by_size['limit_low'][size]:+.1f},"
                f" {by_size['limit_high'][size]:+.1f}]; {by_size['mean_absolute'][size]:.1f}"
                for size in heads
            )
            rows.append([f"{arm} ({seeds} {'seed' if seeds == 1 else 'seeds'})", *cells])
        first = block.iloc[0]
        text += f"{dataset}, protocol `{protocol}`, {first['n_samples']} test samples in"
        text += f" {first['n_groups']} groups: mean difference, its limits of agreement; mean"
        text += " absolute difference.\n\n" + markdown(["Arm", *heads.values()], rows)
    return text


def volumes(table: pd.DataFrame) -> str:
    """Return how well volumes are found from marks, as Markdown."""
    heads = ["Lesions", "Constants", "Method", "Dice, %", "Gain", "Worst", "NSD at 2 mm, %"]
    heads += ["ASSD, mm", "HD95, mm", "Volume error, %"]
    rows = []
    for _, row in table.iterrows():
        cells = [f"{row['lesions']} {row['dataset']}", row["role"], row["method"]]
        cells.append(f"{row['dice']:.1f}")
        own = row["method"] == "ellipsoid"
        cells += ["" if own else f"{row[name]:+.1f}" for name in ("gain", "worst_gain")]
        cells += [f"{row[name]:.1f}" for name in ("nsd_2mm", "asd_mm", "hd95_mm")]
        limits = f"[{row['error_low']:+.0f}, {row['error_high']:+.0f}]"
        rows.append([*cells, f"{row['volume_error_percent']:+.0f} {limits}"])
    return markdown(heads, rows)


# A table is known by a column: what it holds, in words, and what writes it.
def accuracies(table: pd.DataFrame) -> str:
    """Return how many samples an arm puts into their classes, as Markdown, a row per split."""
    rows = [
        [
            f"{row['dataset']}, `{row['protocol']}`",
            f"{row['arm']} ({row['n_seeds']} {'seed' if row['n_seeds'] == 1 else 'seeds'})",
            row["split"],
            f"{row['accuracy']:.1f}" + (f" ± {row['std']:.1f}" if row["std"] >= 0 else ""),
            f"{row['majority']:.1f}",
            f"{row['published']:.1f}" if row["published"] >= 0 else "",
        ]
        for _, row in table.iterrows()
    ]
    heads = ["Place", "Arm", "Split", "Accuracy, %", "Largest class of training, %", "Paper, %"]
    return markdown(heads, rows)


KINDS: dict[str, tuple[str, Callable[[pd.DataFrame], str]]] = {
    "published_mean": ("every arm under every metric", scores),
    "verdict": ("verdicts on the claims", verdicts),
    "share_of_gap": ("the gap in Dice, second arm minus first, by kind of image", gaps),
    "switch": ("the effect of each switch", attribution),
    "area_ratio_median": ("targets against the dense reference", agreement),
    "policy": ("the same predictions under each policy for empty masks", policies),
    "answer": ("what each auxiliary task adds", answers),
    "samples": ("Dice against the number of training images", sweep),
    "dice_of_others": ("masks from one reader's mark, against masks by others", readers),
    "n_no_reference": ("sizes against those of dense references", sizes),
    "pairs": ("sizes against those of masks by others: mean and limits of agreement", limits),
    "in_interval_percent": ("volumes found from marks, by method", volumes),
    "majority": ("how well the second task is learned", accuracies),
    "kept_epoch": ("test means of single training runs", single_runs),
}


def kind(table: pd.DataFrame) -> tuple[str, Callable[[pd.DataFrame], str]] | None:
    """Return what a table holds and what writes it as Markdown; None for tables not shown."""
    return next((KINDS[column] for column in table.columns if column in KINDS), None)
