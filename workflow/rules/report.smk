# Figures for the report.


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
        reference=PATCHES / "reference.npy",
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
        channel_order=switch("patches", "channel_order"),
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
    """All figures."""
    input:
        [
            RESULTS / f"figures/{figure}.{dataset}.{protocol}.{suffix}"
            for dataset, protocol in TABLE1_BLOCKS
            for figure, suffix in [
                ("training_curves", "svg"),
                ("training_curves", "png"),
                ("contours", "png"),
            ]
        ],
