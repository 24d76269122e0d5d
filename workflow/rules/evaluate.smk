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
    threads: 2
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
        expected=with_networks(TABLE1_RUNS),
        published_datasets=published_names("datasets"),
        published_arms=published_names("arms"),
        protocols=scoring_choices(TABLE1_RUNS),
        references={
            name: dataset["reference"] for name, dataset in config["datasets"].items()
        },
        sources={
            name: dataset["source"] for name, dataset in config["datasets"].items()
        },
        baseline=config["statistics"]["baseline"],
        bootstrap_draws=config["statistics"]["bootstrap_draws"],
        permutation_draws=config["statistics"]["permutation_draws"],
        seed=config["statistics"]["seed"],
    script:
        "../scripts/tabulate_table1.py"


rule tabulate_definitions:
    """Score the runs of Table 1 as the paper, its code and textbooks define its metrics."""
    input:
        scores=run_files("scores.csv", TABLE1_RUNS),
        published=PUBLISHED_NUMBERS,
        templates=templates("base", "definitions"),
        code=module_files("definitions"),
    output:
        csv=report(
            RESULTS / "tables/definitions.csv",
            caption="../report/definitions.rst",
            category="Tables",
            labels={"item": "Table 1 under three definitions", "format": "CSV"},
        ),
        html=report(
            RESULTS / "tables/definitions.html",
            caption="../report/definitions.rst",
            category="Tables",
            labels={"item": "Table 1 under three definitions", "format": "page"},
        ),
    log:
        LOGS / "tabulate_definitions.log",
    benchmark:
        BENCHMARKS / "tabulate_definitions.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        expected=described_runs(TABLE1_RUNS),
        published_datasets=published_names("datasets"),
        published_arms=published_names("arms"),
        draws=config["statistics"]["bootstrap_draws"],
        seed=config["statistics"]["seed"],
    script:
        "../scripts/tabulate_definitions.py"


rule table1:
    """Table 1 of the paper."""
    input:
        rules.tabulate_table1.output,
        rules.tabulate_definitions.output,
