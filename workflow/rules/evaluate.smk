# From predictions to the paper's tables.


rule score_predictions:
    """Score every test sample of one run."""
    input:
        predictions=RUN / "predictions.npy",
        ids=RUN / "predictions.csv",
        reference=reference_of,
        reference_ids=reference_ids_of,
        samples=PATCHES / "samples.csv",
        code=module_files("scoring"),
    output:
        scores=RUN / "scores.csv",
    log:
        LOGS / "score_predictions/{dataset}-{protocol}-{arm}-{seed}.log",
    benchmark:
        BENCHMARKS / "score_predictions/{dataset}-{protocol}-{arm}-{seed}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    script:
        "../scripts/score_predictions.py"


rule tabulate_table1:
    """Make Table 1 beside the published numbers."""
    input:
        scores=run_files("scores.csv", TABLE1_RUNS),
        published=PUBLISHED_NUMBERS,
        templates=templates("base", "table1"),
        code=module_files("tables"),
    output:
        csv=report(
            RESULTS / "tables/table1.csv",
            caption="../report/table1.rst",
            category="Tables",
            labels={"item": "Table 1", "format": "CSV"},
        ),
        html=report(
            RESULTS / "tables/table1.html",
            caption="../report/table1.rst",
            category="Tables",
            labels={"item": "Table 1", "format": "page"},
        ),
    log:
        LOGS / "tabulate_table1.log",
    benchmark:
        BENCHMARKS / "tabulate_table1.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        expected=described_runs(TABLE1_RUNS),
        published_datasets=published_names("datasets"),
        published_arms=published_names("arms"),
        protocols=scoring_choices(TABLE1_RUNS),
        references={
            name: dataset["reference"] for name, dataset in config["datasets"].items()
        },
        sources={
            name: dataset["source"] for name, dataset in config["datasets"].items()
        },
        draws=config["statistics"]["bootstrap_draws"],
        bootstrap_seed=config["statistics"]["bootstrap_seed"],
    script:
        "../scripts/tabulate_table1.py"


rule table1:
    """Table 1 of the paper."""
    input:
        rules.tabulate_table1.output,
