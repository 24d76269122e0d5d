# Figures and pages for the report.


rule tabulate_samples:
    """Say what became of each dataset's samples under each protocol."""
    input:
        patches=[
            str(PATCHES / "patches.json").format(dataset=dataset, protocol=protocol)
            for dataset, protocol in TABLE1_BLOCKS
        ],
        templates=templates("base", "samples"),
        code=module_files("accounting"),
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
        mem_mb=500,
        runtime=10,
    params:
        blocks=[
            {
                "dataset": dataset,
                "protocol": protocol,
                "source": config["datasets"][dataset]["source"],
                "patches": str(PATCHES / "patches.json").format(
                    dataset=dataset, protocol=protocol
                ),
            }
            for dataset, protocol in TABLE1_BLOCKS
        ],
    script:
        "../scripts/tabulate_samples.py"


rule plot_training_curves:
    """Plot losses and validation Dice of every arm and seed."""
    input:
        histories=lambda wildcards: run_files(
            "history.csv", runs_of_block(wildcards, trained=True)
        ),
        code=module_files("figures"),
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
        mem_mb=2000,
        runtime=30,
    params:
        all_arms=list(config["arms"]),
        runs=lambda wildcards: described_runs(
            runs_of_block(wildcards, trained=True), history="history.csv"
        ),
    script:
        "../scripts/plot_training_curves.py"


rule plot_contours:
    """Draw reference, ellipse and every arm's contour over test images."""
    input:
        images=PATCHES / "images.npy",
        reference=reference_of,
        reference_ids=reference_ids_of,
        samples=PATCHES / "samples.csv",
        predictions=lambda wildcards: run_files(
            "predictions.npy", runs_of_block(wildcards, first_seed=True)
        ),
        scores=lambda wildcards: run_files(
            "scores.csv", runs_of_block(wildcards, first_seed=True)
        ),
        code=module_files("figures"),
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
        mem_mb=2000,
        runtime=30,
    params:
        all_arms=list(config["arms"]),
        channel_order=lambda wildcards: experiments.patch_settings(
            config, wildcards.dataset, wildcards.protocol
        ).get("channel_order", "center"),
        num_images=config["figures"]["contour_images"],
        ranked_by=config["figures"]["ranked_by"],
        arms=lambda wildcards: described_runs(
            runs_of_block(wildcards, first_seed=True),
            predictions="predictions.npy",
            ids="predictions.csv",
            scores="scores.csv",
        ),
    script:
        "../scripts/plot_contours.py"


rule figures:
    """All figures, and the accounts of the samples."""
    input:
        rules.tabulate_samples.output,
        [
            RESULTS / f"figures/{figure}.{dataset}.{protocol}.{suffix}"
            for dataset, protocol in TABLE1_BLOCKS
            for figure, suffix in [
                ("training_curves", "svg"),
                ("training_curves", "png"),
                ("contours", "png"),
            ]
        ],
