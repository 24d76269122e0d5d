# Figures and pages for the report.


rule tabulate_samples:
    """Say what became of each dataset's samples under each protocol."""
    input:
        patches=[
            str(PATCHES / "patches.json").format(dataset=dataset, protocol=protocol)
            for dataset, protocol in study.shown_blocks
        ],
        templates=templates("base", "samples"),
        code=module_files("report.tables.samples"),
    output:
        html=report(
            RESULTS / "tables/samples.html",
            caption="../report/samples.rst",
            category="Data",
            labels={"item": "Samples kept and left out"},
        ),
    log:
        LOGS / "tabulate_samples.log",
    benchmark:
        BENCHMARKS / "tabulate_samples.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(500),
        runtime=growing(10),
    params:
        blocks=study.patch_accounts(study.shown_blocks, sources.labels),
    script:
        "../scripts/tabulate_samples.py"


rule plot_training_curves:
    """Plot losses and validation Dice of every arm and seed."""
    input:
        histories=lambda wildcards: layout.run_files(
            "history.csv", study.main_trainings(wildcards)
        ),
        code=module_files("report.figures.arms"),
    output:
        svg=report(
            RESULTS / "figures/training_curves.{dataset}.{protocol}.svg",
            caption="../report/training_curves.rst",
            category="Training",
            labels={
                "dataset": "{dataset}",
                "protocol": "{protocol}",
                "item": "training curves",
            },
        ),
        png=RESULTS / "figures/training_curves.{dataset}.{protocol}.png",
    log:
        LOGS / "plot_training_curves/{dataset}-{protocol}.log",
    benchmark:
        BENCHMARKS / "plot_training_curves/{dataset}-{protocol}.tsv"
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        all_arms=list(config["arms"]),
        runs=lambda wildcards: study.described(
            study.main_trainings(wildcards), history="history.csv"
        ),
    script:
        "../scripts/plot_training_curves.py"


rule plot_contours:
    """Draw reference, ellipse and every arm's contour over test images."""
    input:
        images=PATCHES / "images.npy",
        reference=jobs.reference,
        reference_ids=jobs.reference_ids,
        samples=PATCHES / "samples.csv",
        predictions=lambda wildcards: layout.run_files(
            "predictions.npy", study.drawn_runs(wildcards)
        ),
        scores=lambda wildcards: layout.run_files(
            "scores.csv", study.drawn_runs(wildcards)
        ),
        code=module_files("report.figures.arms"),
    output:
        png=report(
            RESULTS / "figures/contours.{dataset}.{protocol}.png",
            caption="../report/contours.rst",
            category="Predictions",
            labels={
                "dataset": "{dataset}",
                "protocol": "{protocol}",
                "item": "contours on test images",
            },
        ),
    log:
        LOGS / "plot_contours/{dataset}-{protocol}.log",
    benchmark:
        BENCHMARKS / "plot_contours/{dataset}-{protocol}.tsv"
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        all_arms=list(config["arms"]),
        reference_name=lambda wildcards: (
            "reference" if jobs.has_dense_masks(wildcards.dataset) else "GrabCut mask"
        ),
        channel_order=jobs.channel_order,
        num_images=config["figures"]["contour_images"],
        ranked_by=study.ranked_by,
        arms=lambda wildcards: study.described(
            study.drawn_runs(wildcards),
            predictions="predictions.npy",
            ids="predictions.csv",
            scores="scores.csv",
        ),
    script:
        "../scripts/plot_contours.py"


rule plot_mark_agreement:
    """Draw test images with the mark, its ellipse and the contour of each arm's mask."""
    input:
        images=PATCHES / "images.npy",
        samples=PATCHES / "samples.csv",
        ellipses=TARGETS / "ellipses.csv",
        predictions=lambda wildcards: layout.run_files(
            "predictions.npy", study.drawn_runs(wildcards)
        ),
        ids=lambda wildcards: layout.run_files(
            "predictions.csv", study.drawn_runs(wildcards)
        ),
        masks=RESULTS / "tables/{item}.masks.csv",
        code=module_files("report.figures.mark_agreement"),
    output:
        png=RESULTS / "figures/{item}.{dataset}.{protocol}.png",  # the item's page holds it
    log:
        LOGS / "plot_mark_agreement/{item}-{dataset}-{protocol}.log",
    benchmark:
        BENCHMARKS / "plot_mark_agreement/{item}-{dataset}-{protocol}.tsv"
    wildcard_constraints:
        item=study.items_matching("mark_agreement"),
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        arms=lambda wildcards: study.described(
            study.drawn_runs(wildcards),
            predictions="predictions.npy",
            ids="predictions.csv",
        ),
        all_arms=list(config["arms"]),
        channel_order=jobs.channel_order,
        ranked_by=study.ranked_by,
        num_images=config["figures"]["contour_images"],
    script:
        "../scripts/plot_mark_agreement.py"


rule draw_warps:
    """Draw what a network that sees the mark is trained on."""
    input:
        images=PATCHES / "images.npy",
        samples=PATCHES / "samples.csv",
        target=jobs.target,
        target_ids=jobs.target_ids,
        ellipses=jobs.training_prompts,
        warp=jobs.warp,
        code=module_files("report.figures.warps"),
    output:
        figure=report(
            RESULTS / "figures/warps.{dataset}.{protocol}.{arm}.png",
            caption="../report/warps.rst",
            category="Training",
            labels={
                "dataset": "{dataset}",
                "protocol": "{protocol}",
                "item": "warps of {arm}",
            },
        ),
    log:
        LOGS / "draw_warps/{dataset}-{protocol}-{arm}.log",
    benchmark:
        BENCHMARKS / "draw_warps/{dataset}-{protocol}-{arm}.tsv"
    wildcard_constraints:
        arm=jobs.arms_matching(arms.is_prompted),
    conda:
        "../../envs/train.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        settings=jobs.training_settings,
        num_samples=config["figures"]["supervision_images"],
    script:
        "../scripts/draw_warps.py"


rule plot_supervision:
    """Draw samples with their mark, each target and the reference."""
    input:
        images=PATCHES / "images.npy",
        reference=jobs.dense_reference,
        samples=PATCHES / "samples.csv",
        ellipse=TARGETS / "ellipse.npy",
        rect=TARGETS / "grabcut_rect.npy",
        trimap=TARGETS / "grabcut_trimap.npy",
        target_ids=TARGETS / "ellipses.csv",
        code=module_files("report.figures.supervision"),
    output:
        report(
            RESULTS / "figures/supervision.{dataset}.{protocol}.png",
            caption="../report/supervision.rst",
            category="Supervision",
            labels={
                "dataset": "{dataset}",
                "protocol": "{protocol}",
                "item": "targets side by side",
            },
        ),
        RESULTS / "figures/supervision.{dataset}.{protocol}.svg",
    log:
        LOGS / "plot_supervision/{dataset}-{protocol}.log",
    benchmark:
        BENCHMARKS / "plot_supervision/{dataset}-{protocol}.tsv"
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        channel_order=jobs.channel_order,
        num_images=config["figures"]["supervision_images"],
    script:
        "../scripts/plot_supervision.py"


rule plot_clusters:
    """Draw the largest clusters with their ellipses."""
    input:
        images=PATCHES / "images.npy",
        samples=PATCHES / "samples.csv",
        ellipses=TARGETS / "ellipses.csv",
        clusters=lambda wildcards: CLUSTERS / f"k{jobs.chosen_k(wildcards)}.csv",
        code=module_files("report.figures.supervision"),
    output:
        report(
            RESULTS / "figures/clusters.{dataset}.{protocol}.png",
            caption="../report/clusters.rst",
            category="Supervision",
            labels={
                "dataset": "{dataset}",
                "protocol": "{protocol}",
                "item": "clusters (Figure 3)",
            },
        ),
        RESULTS / "figures/clusters.{dataset}.{protocol}.svg",
    log:
        LOGS / "plot_clusters/{dataset}-{protocol}.log",
    benchmark:
        BENCHMARKS / "plot_clusters/{dataset}-{protocol}.tsv"
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        channel_order=jobs.channel_order,
        num_rows=config["figures"]["cluster_rows"],
    script:
        "../scripts/plot_clusters.py"


rule plot_k_sweep:
    """Plot the quality of the clusters against K."""
    input:
        quality=lambda wildcards: [
            CLUSTERS / f"k{k}.json"
            for k in config["datasets"][wildcards.dataset]["k_sweep"]
        ],
        code=module_files("report.figures.supervision"),
    output:
        report(
            RESULTS / "figures/k_sweep.{dataset}.{protocol}.png",
            caption="../report/k_sweep.rst",
            category="Supervision",
            labels={
                "dataset": "{dataset}",
                "protocol": "{protocol}",
                "item": "sweep over K",
            },
        ),
        RESULTS / "figures/k_sweep.{dataset}.{protocol}.svg",
    log:
        LOGS / "plot_k_sweep/{dataset}-{protocol}.log",
    benchmark:
        BENCHMARKS / "plot_k_sweep/{dataset}-{protocol}.tsv"
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        chosen_k=lambda wildcards: jobs.chosen_k(wildcards),
    script:
        "../scripts/plot_k_sweep.py"


rule plot_angles:
    """Plot the angles of the marks, and what each feature of the clusters weighs."""
    input:
        ellipses=TARGETS / "ellipses.csv",
        code=module_files("report.figures.supervision"),
    output:
        report(
            RESULTS / "figures/angles.{dataset}.{protocol}.png",
            caption="../report/angles.rst",
            category="Supervision",
            labels={
                "dataset": "{dataset}",
                "protocol": "{protocol}",
                "item": "angles of the marks",
            },
        ),
        RESULTS / "figures/angles.{dataset}.{protocol}.svg",
    log:
        LOGS / "plot_angles/{dataset}-{protocol}.log",
    benchmark:
        BENCHMARKS / "plot_angles/{dataset}-{protocol}.tsv"
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    script:
        "../scripts/plot_angles.py"


rule plot_sweep:
    """Plot test and validation Dice against a setting that is swept."""
    input:
        table=RESULTS / "tables/{item}.csv",
        code=module_files("report.figures.sweep"),
    output:
        svg=report(
            RESULTS / "figures/{item}.svg",
            caption="../report/sweep.rst",
            category="Tables",
            labels={"item": "{item}", "format": "figure"},
        ),
        png=RESULTS / "figures/{item}.png",
    log:
        LOGS / "plot_sweep/{item}.log",
    benchmark:
        BENCHMARKS / "plot_sweep/{item}.tsv"
    wildcard_constraints:
        item=study.items_matching("sweep"),
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        over=of_item("over"),
        own=lambda wildcards: study.own_values(wildcards.item),
        title=of_item("title"),
    script:
        "../scripts/plot_sweep.py"


rule plot_cost:
    """Plot Dice against the hours of training."""
    input:
        table=RESULTS / "tables/{item}.csv",
        code=module_files("report.figures.arms"),
    output:
        svg=report(
            RESULTS / "figures/{item}.svg",
            caption="../report/cost_figure.rst",
            category="Tables",
            labels={"item": "{item}", "format": "figure"},
        ),
        png=RESULTS / "figures/{item}.png",
    log:
        LOGS / "plot_cost/{item}.log",
    benchmark:
        BENCHMARKS / "plot_cost/{item}.tsv"
    wildcard_constraints:
        item=study.items_matching("cost"),
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        all_arms=list(config["arms"]),
        title=of_item("title"),
    script:
        "../scripts/plot_cost.py"


rule plot_gap:
    """Plot what arms lack against others."""
    input:
        table=RESULTS / "tables/{item}.csv",
        samples=RESULTS / "tables/{item}.samples.csv",
        code=module_files("report.figures.gap"),
    output:
        svg=report(
            RESULTS / "figures/{item}.svg",
            caption="../report/gap.rst",
            category="Tables",
            labels={"item": "{item}", "format": "figure"},
        ),
        png=RESULTS / "figures/{item}.png",
    log:
        LOGS / "plot_gap/{item}.log",
    benchmark:
        BENCHMARKS / "plot_gap/{item}.tsv"
    wildcard_constraints:
        item=study.items_matching("gap"),
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        title=of_item("title"),
    script:
        "../scripts/plot_gap.py"


rule tabulate_agreement:
    """Say how well each supervision agrees with the dense references."""
    input:
        agreements=[
            str(TARGETS / "agreement.csv").format(dataset=dataset, protocol=protocol)
            for dataset, protocol in study.main_blocks
            if jobs.has_dense_masks(dataset)
        ],
        templates=templates("base", "agreement"),
        code=module_files("report.tables.agreement"),
    output:
        csv=RESULTS / "tables/agreement.csv",
        html=report(
            RESULTS / "tables/agreement.html",
            caption="../report/agreement.rst",
            category="Supervision",
            labels={"item": "Targets against the dense reference"},
        ),
    log:
        LOGS / "tabulate_agreement.log",
    benchmark:
        BENCHMARKS / "tabulate_agreement.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        without_reference=[
            dataset
            for dataset in dict.fromkeys(dataset for dataset, _ in study.main_blocks)
            if not jobs.has_dense_masks(dataset)
        ],
    script:
        "../scripts/tabulate_agreement.py"


rule contours:
    """Test images with contours, of every table that has them."""
    input:
        [
            RESULTS / f"figures/contours.{dataset}.{protocol}.png"
            for dataset, protocol in study.contour_blocks
        ],


rule agreement:
    """Every supervision against the dense reference."""
    input:
        rules.tabulate_agreement.output,


rule samples:
    """What became of each dataset's samples."""
    input:
        rules.tabulate_samples.output,


rule figure3:
    """Figure 3 of the paper: the largest clusters with their ellipses."""
    input:
        study.figure_files("clusters"),


rule figure4:
    """Figure 4 of the paper: contours on test images."""
    input:
        study.figure_files("contours"),


rule figure6:
    """Figure 6 of the paper: more contours, on the same pages as those of Figure 4."""
    input:
        study.figure_files("contours"),


rule figures:
    """All figures, and the accounts of the samples."""
    input:
        rules.tabulate_samples.output,
        rules.tabulate_agreement.output,
        [study.figure_files(figure) for figure in FIGURES],
