# Figures and pages for the report.


rule tabulate_samples:
    """Count the samples that each protocol kept and left out of each dataset."""
    input:
        files=accounts_of(study.shown_blocks),
        templates=templates("base", "samples"),
        code=code_of("tabulate_samples", "report.tables.samples"),
    output:
        page_html=report(
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
        labels=block_labels(study.shown_blocks),
        blocks=study.patch_accounts(study.shown_blocks, sources.labels),
    script:
        "../scripts/tabulate_samples.py"


rule plot_training_curves:
    """Plot losses and validation Dice of every arm and seed."""
    input:
        files=lambda wildcards: layout.run_files(
            "history.csv", study.main_trainings(wildcards)
        ),
        code=code_of("plot_training_curves", "report.figures.arms"),
    output:
        figures=block_figure(
            "training_curves", "Training", "Training curves", ("svg", "png")
        ),
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
        labels=lambda wildcards: study.labels(study.main_trainings(wildcards)),
        title=block_title,
        all_arms=list(config["arms"]),
        runs=lambda wildcards: study.described(
            study.main_trainings(wildcards), history="history.csv"
        ),
    script:
        "../scripts/plot_training_curves.py"


rule plot_contours:
    """Draw reference, ellipse and every arm's contour over test images."""
    input:
        images_npy=PATCHES / "images.npy",
        reference_npy=jobs.reference,
        reference_ids_csv=jobs.reference_ids,
        samples_csv=PATCHES / "samples.csv",
        files=drawn_files("predictions.npy", "predictions.csv", "scores.csv"),
        code=code_of("plot_contours", "report.figures.arms"),
    output:
        figures=block_figure(
            "contours", "Predictions", "Contours on test images", ("png",)
        ),
        strip_png=RESULTS / "figures/examples.{dataset}.{protocol}.png",
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
        labels=lambda wildcards: study.labels(study.drawn_runs(wildcards)),
        title=block_title,
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


rule plot_scatter:
    """Plot each test image's Dice under a network against that under the baseline."""
    input:
        files=lambda wildcards: layout.run_files(
            "scores.csv", study.scatter_runs(wildcards)
        ),
        code=code_of("plot_scatter", "report.figures.scatter"),
    output:
        figures=block_figure(
            "scatter",
            "Predictions",
            "Dice of each image, arm against arm",
            ("svg", "png"),
        ),
    log:
        LOGS / "plot_scatter/{dataset}-{protocol}.log",
    benchmark:
        BENCHMARKS / "plot_scatter/{dataset}-{protocol}.tsv"
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        title=block_title,
        labels=lambda wildcards: study.labels(study.scatter_runs(wildcards)),
        baseline=study.main_baseline,
        undefined=lambda wildcards: study.undefined_policies(
            study.scatter_runs(wildcards)
        )[wildcards.protocol],
        runs=lambda wildcards: study.described(
            study.scatter_runs(wildcards), scores="scores.csv"
        ),
    script:
        "../scripts/plot_scatter.py"


rule plot_mark_agreement:
    """Draw test images with the mark, its ellipse and the contour of each arm's mask."""
    input:
        images_npy=PATCHES / "images.npy",
        samples_csv=PATCHES / "samples.csv",
        ellipses_csv=TARGETS / "ellipses.csv",
        files=drawn_files("predictions.npy", "predictions.csv"),
        masks_csv=RESULTS / "tables/{item}.masks.csv",
        code=code_of("plot_mark_agreement", "report.figures.mark_agreement"),
    output:
        figures=[RESULTS / "figures/{item}.{dataset}.{protocol}.png"],  # on the item's page
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
        labels=lambda wildcards: study.labels(study.drawn_runs(wildcards)),
        title=block_title,
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
    """Draw training samples of a network that sees the mark."""
    input:
        images_npy=PATCHES / "images.npy",
        samples_csv=PATCHES / "samples.csv",
        target_npy=jobs.target,
        target_ids_csv=jobs.target_ids,
        ellipses_csv=jobs.training_prompts,
        warp_json=jobs.warp,
        code=code_of("draw_warps", "report.figures.warps"),
    output:
        figure_png=report(
            RESULTS / "figures/warps.{dataset}.{protocol}.{arm}.png",
            caption="../report/warps.rst",
            category="Training",
            labels=lambda wildcards: block_label(
                f"Warps of {arm_label(wildcards.arm)}", wildcards
            ),
        ),
    log:
        LOGS / "draw_warps/{dataset}-{protocol}-{arm}.log",
    benchmark:
        BENCHMARKS / "draw_warps/{dataset}-{protocol}-{arm}.tsv"
    wildcard_constraints:
        dataset="[^/.]+",  # the arm may have dots
        protocol="[^/.]+",
        arm=jobs.arms_matching(arms.chooses_warp),
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
        images_npy=PATCHES / "images.npy",
        reference_npy=jobs.dense_reference,
        samples_csv=PATCHES / "samples.csv",
        target_npys=drawn_targets,
        target_ids_csv=TARGETS / "ellipses.csv",
        code=code_of("plot_supervision", "report.figures.supervision"),
    output:
        figures=block_figure(
            "supervision", "Supervision", "Targets side by side", ("png",)
        ),
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
        title=block_title,
        channel_order=jobs.channel_order,
        num_images=config["figures"]["supervision_images"],
    script:
        "../scripts/plot_supervision.py"


rule plot_clusters:
    """Draw the largest clusters with their ellipses."""
    input:
        images_npy=PATCHES / "images.npy",
        samples_csv=PATCHES / "samples.csv",
        ellipses_csv=TARGETS / "ellipses.csv",
        clusters_csv=lambda wildcards: CLUSTERS / f"k{jobs.chosen_k(wildcards)}.csv",
        code=code_of("plot_clusters", "report.figures.supervision"),
    output:
        figures=block_figure("clusters", "Supervision", "Clusters (Figure 3)", ("png",)),
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
        title=block_title,
        channel_order=jobs.channel_order,
        num_rows=config["figures"]["cluster_rows"],
    script:
        "../scripts/plot_clusters.py"


rule plot_k_sweep:
    """Plot the quality of the clusters against K."""
    input:
        quality_jsons=lambda wildcards: [
            CLUSTERS / f"k{k}.json"
            for k in config["datasets"][wildcards.dataset]["k_sweep"]
        ],
        code=code_of("plot_k_sweep", "report.figures.supervision"),
    output:
        figures=block_figure("k_sweep", "Supervision", "Sweep over K"),
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
        title=block_title,
        chosen_k=jobs.chosen_k,
    script:
        "../scripts/plot_k_sweep.py"


rule plot_angles:
    """Plot the angles of the marks, and the weight of each feature in the clusters."""
    input:
        ellipses_csv=TARGETS / "ellipses.csv",
        code=code_of("plot_angles", "report.figures.supervision"),
    output:
        figures=block_figure("angles", "Supervision", "Angles of the marks"),
    log:
        LOGS / "plot_angles/{dataset}-{protocol}.log",
    benchmark:
        BENCHMARKS / "plot_angles/{dataset}-{protocol}.tsv"
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        title=block_title,
    script:
        "../scripts/plot_angles.py"


rule plot_sweep:
    """Plot test and validation Dice against a setting that is swept."""
    input:
        table_csv=RESULTS / "tables/{item}.csv",
        code=code_of("plot_sweep", "report.figures.sweep"),
    output:
        figures=item_figure("sweep"),
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
        labels=item_labels,
        over=of_item("over"),
        own=lambda wildcards: study.own_values(wildcards.item),
        title=title_of_item,
    script:
        "../scripts/plot_sweep.py"


rule plot_cost:
    """Plot Dice against the hours of training."""
    input:
        table_csv=RESULTS / "tables/{item}.csv",
        code=code_of("plot_cost", "report.figures.arms"),
    output:
        figures=item_figure("cost_figure"),
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
        labels=item_labels,
        all_arms=list(config["arms"]),
        title=title_of_item,
    script:
        "../scripts/plot_cost.py"


rule plot_gap:
    """Plot how far arms fall short of others."""
    input:
        table_csv=RESULTS / "tables/{item}.csv",
        samples_csv=RESULTS / "tables/{item}.samples.csv",
        code=code_of("plot_gap", "report.figures.gap"),
    output:
        figures=item_figure("gap"),
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
        labels=item_labels,
        title=title_of_item,
    script:
        "../scripts/plot_gap.py"


rule tabulate_agreement:
    """Say how well each supervision agrees with the dense references."""
    input:
        agreement_csvs=[
            str(TARGETS / "agreement.csv").format(dataset=dataset, protocol=protocol)
            for dataset, protocol in study.main_blocks
            if jobs.has_dense_masks(dataset)
        ],
        templates=templates("base", "agreement"),
        code=code_of("tabulate_agreement", "report.tables.agreement"),
    output:
        table_csv=RESULTS / "tables/agreement.csv",
        page_html=report(
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
        labels=block_labels(study.main_blocks),
        without_reference=[
            dataset
            for dataset in dict.fromkeys(dataset for dataset, _ in study.main_blocks)
            if not jobs.has_dense_masks(dataset)
        ],
        mark_note=study.mark_note(study.main_runs),
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
    """The samples of each dataset, kept and left out."""
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
