# From predictions to the paper's tables.


rule score_predictions:
    """Score every test sample of one run."""
    input:
        predictions_npy=RUN / "predictions.npy",
        predictions_csv=RUN / "predictions.csv",
        reference_npy=jobs.reference,
        reference_ids_csv=jobs.reference_ids,
        samples_csv=PATCHES / "samples.csv",
        code=code_of("score_predictions", "scoring.score"),
    output:
        scores_csv=RUN / "scores.csv",
    log:
        LOGS / "score_predictions/{dataset}-{protocol}-{arm}-{seed}.log",
    benchmark:
        BENCHMARKS / "score_predictions/{dataset}-{protocol}-{arm}-{seed}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    script:
        "../scripts/score_predictions.py"


rule tabulate_scores:
    """Make a table of arms, beside the published numbers."""
    input:
        scores_csvs=files_of_item("scores.csv"),
        files=trainings_of_item,
        published_yaml=PUBLISHED_NUMBERS,
        templates=templates("base", "forest", "scores"),
        code=code_of("tabulate_scores", "report.tables.scores"),
    output:
        table_csv=table("{item}.csv", "scores"),
        table_html=table("{item}.html", "scores"),
    log:
        LOGS / "tabulate_scores/{item}.log",
    benchmark:
        BENCHMARKS / "tabulate_scores/{item}.tsv"
    wildcard_constraints:
        item=study.items_matching("scores"),
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        labels=item_labels,
        trained=networks_of_item,
        expected=lambda wildcards: study.described(study.runs(wildcards.item)),
        published_datasets=study.published_names("datasets"),
        published_arms=study.published_names("arms"),
        protocols=lambda wildcards: study.scoring_choices(study.runs(wildcards.item)),
        baseline=of_item("baseline"),
        columns=of_item("columns"),
        unit=lambda wildcards: study.item(wildcards.item).get("unit", "sample"),
        title=title_of_item,
        references=lambda wildcards: {
            name: config["datasets"][name]["reference"]
            for name in study.datasets(wildcards.item)
        },
        sources=lambda wildcards: {
            name: sources.label(name) for name in study.datasets(wildcards.item)
        },
    script:
        "../scripts/tabulate_scores.py"


rule tabulate_definitions:
    """Score the runs of Table 1 as the paper, its code and textbooks define its metrics."""
    input:
        scores_csvs=layout.run_files("scores.csv", study.main_runs),
        published_yaml=PUBLISHED_NUMBERS,
        templates=templates("base", "definitions"),
        code=code_of("tabulate_definitions", "report.tables.definitions"),
    output:
        table_csv=table(
            "definitions.csv", "definitions", "Table 1 under three definitions"
        ),
        table_html=table(
            "definitions.html", "definitions", "Table 1 under three definitions"
        ),
    log:
        LOGS / "tabulate_definitions.log",
    benchmark:
        BENCHMARKS / "tabulate_definitions.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        labels=study.labels(study.main_runs),
        expected=study.described(study.main_runs),
        published_datasets=study.published_names("datasets"),
        published_arms=study.published_names("arms"),
        mark_note=study.mark_note(study.main_runs),
    script:
        "../scripts/tabulate_definitions.py"


rule tabulate_cost:
    """Tabulate the cost of training, beside the published hours."""
    input:
        files=files_of_item("scores.csv", "run.json", trained=True),
        published_yaml=PUBLISHED_NUMBERS,
        templates=templates("base", "cost"),
        code=code_of("tabulate_cost", "report.tables.cost"),
    output:
        table_csv=table("{item}.csv", "cost"),
        table_html=table("{item}.html", "cost"),
    log:
        LOGS / "tabulate_cost/{item}.log",
    benchmark:
        BENCHMARKS / "tabulate_cost/{item}.tsv"
    wildcard_constraints:
        item=study.items_matching("cost"),
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        labels=item_labels,
        runs=described_runs(scores="scores.csv", run="run.json", trained=True),
        undefined=undefined_policies,
        unit=study.judged_unit,
        published_datasets=study.published_names("datasets"),
        title=title_of_item,
    script:
        "../scripts/tabulate_cost.py"


rule tabulate_parameters:
    """Tabulate each network's number of parameters, beside the published numbers."""
    input:
        files=files_of_item("run.json", trained=True),
        published_yaml=PUBLISHED_NUMBERS,
        templates=templates("base", "parameters"),
        code=code_of("tabulate_parameters", "report.tables.parameters"),
    output:
        table_csv=table("{item}.csv", "parameters"),
        table_html=table("{item}.html", "parameters"),
    log:
        LOGS / "tabulate_parameters/{item}.log",
    benchmark:
        BENCHMARKS / "tabulate_parameters/{item}.tsv"
    wildcard_constraints:
        item=study.items_matching("parameters"),
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(30),
    params:
        labels=item_labels,
        runs=described_runs(run="run.json", trained=True),
        published_datasets=study.published_names("datasets"),
        title=title_of_item,
    script:
        "../scripts/tabulate_parameters.py"


rule tabulate_accuracy:
    """Tabulate how well the second task is learned, beside the published numbers."""
    input:
        files=files_of_item("accuracy.json", trained=True),
        published_yaml=PUBLISHED_NUMBERS,
        templates=templates("base", "accuracy"),
        code=code_of("tabulate_accuracy", "report.tables.accuracy"),
    output:
        table_csv=table("{item}.csv", "accuracy"),
        table_html=table("{item}.html", "accuracy"),
    log:
        LOGS / "tabulate_accuracy/{item}.log",
    benchmark:
        BENCHMARKS / "tabulate_accuracy/{item}.tsv"
    wildcard_constraints:
        item=study.items_matching("accuracy"),
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        labels=item_labels,
        runs=described_runs(accuracy="accuracy.json", trained=True),
        published_datasets=study.published_names("datasets"),
        title=title_of_item,
    script:
        "../scripts/tabulate_accuracy.py"


rule tabulate_sweep:
    """Tabulate test and validation Dice against a setting that is swept."""
    input:
        files=files_of_item("scores.csv", "history.csv", "run.json"),
        published_yaml=PUBLISHED_NUMBERS,
        code=code_of("tabulate_sweep", "report.tables.sweep"),
    output:
        table_csv=RESULTS / "tables/{item}.csv",
    log:
        LOGS / "tabulate_sweep/{item}.log",
    benchmark:
        BENCHMARKS / "tabulate_sweep/{item}.tsv"
    wildcard_constraints:
        item=study.items_matching("sweep"),
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        runs=described_runs(scores="scores.csv", history="history.csv", run="run.json"),
        points=lambda wildcards: study.sweep_points(wildcards.item),
        over=of_item("over"),
        undefined=undefined_policies,
        published_datasets=study.published_names("datasets"),
    script:
        "../scripts/tabulate_sweep.py"


rule tabulate_attribution:
    """Measure the effect of each defect alone."""
    input:
        files=files_of_item("scores.csv"),
        templates=templates("base", "attribution"),
        code=code_of("tabulate_attribution", "report.tables.attribution"),
    output:
        table_csv=table("{item}.csv", "attribution"),
        table_html=table("{item}.html", "attribution"),
    log:
        LOGS / "tabulate_attribution/{item}.log",
    benchmark:
        BENCHMARKS / "tabulate_attribution/{item}.tsv"
    wildcard_constraints:
        item=study.items_matching("attribution"),
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        labels=item_labels,
        runs=described_runs(scores="scores.csv"),
        flips=lambda wildcards: study.flips(wildcards.item),
        arms=of_item("arms"),
        baseline=of_item("baseline"),
        undefined=undefined_policies,
        title=title_of_item,
    script:
        "../scripts/tabulate_attribution.py"


rule describe_samples:
    """Measure what may make a test image hard."""
    input:
        images_npy=PATCHES / "images.npy",
        reference_npy=jobs.reference,
        reference_ids_csv=jobs.reference_ids,
        ellipse_npy=TARGETS / "ellipse.npy",
        ellipse_ids_csv=TARGETS / "ellipses.csv",
        samples_csv=PATCHES / "samples.csv",
        code=code_of("describe_samples", "report.tables.gap"),
    output:
        traits_csv=STAGE / "traits.csv",
    log:
        LOGS / "describe_samples/{dataset}-{protocol}.log",
    benchmark:
        BENCHMARKS / "describe_samples/{dataset}-{protocol}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    script:
        "../scripts/describe_samples.py"


rule tabulate_gap:
    """Measure how far arms fall short of others, and on which images."""
    input:
        files=files_of_item("scores.csv"),
        more_files=lambda wildcards: [
            *(traits["traits"] for traits in study.traits(wildcards.item)),
            *trainings_of_item(wildcards),
        ],
        templates=templates("base", "gap"),
        code=code_of("tabulate_gap", "report.tables.gap"),
    output:
        table_csv=table("{item}.csv", "gap"),
        samples_csv=RESULTS / "tables/{item}.samples.csv",
        table_html=table("{item}.html", "gap"),
    log:
        LOGS / "tabulate_gap/{item}.log",
    benchmark:
        BENCHMARKS / "tabulate_gap/{item}.tsv"
    wildcard_constraints:
        item=study.items_matching("gap"),
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        labels=item_labels,
        runs=described_runs(scores="scores.csv"),
        trained=networks_of_item,
        traits=lambda wildcards: study.traits(wildcards.item),
        pairs=lambda wildcards: study.gap_pairs(wildcards.item),
        undefined=undefined_policies,
        title=title_of_item,
    script:
        "../scripts/tabulate_gap.py"


rule tabulate_sizes:
    """Compare diameters and areas of masks with those of the dense references."""
    input:
        files=files_of_item("predictions.npy", "predictions.csv"),
        more_files=lambda wildcards: [
            block[file]
            for block in study.sized_blocks(wildcards.item)
            for file in ("samples", "reference")
        ],
        templates=templates("base", "sizes"),
        code=code_of("tabulate_sizes", "report.tables.sizes"),
    output:
        table_csv=table("{item}.csv", "sizes"),
        table_html=table("{item}.html", "sizes"),
    log:
        LOGS / "tabulate_sizes/{item}.log",
    benchmark:
        BENCHMARKS / "tabulate_sizes/{item}.tsv"
    wildcard_constraints:
        item=study.items_matching("sizes"),
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        labels=item_labels,
        runs=described_runs(predictions="predictions.npy", ids="predictions.csv"),
        blocks=lambda wildcards: study.sized_blocks(wildcards.item),
        title=title_of_item,
    script:
        "../scripts/tabulate_sizes.py"


rule tabulate_mark_agreement:
    """Compare the masks of test images with the marks of their lesions."""
    input:
        files=files_of_item("predictions.npy", "predictions.csv"),
        more_files=lambda wildcards: [
            block[file]
            for block in study.marked_blocks(wildcards.item)
            for file in ("samples", "ellipses")
        ],
        code=code_of("tabulate_mark_agreement", "report.tables.mark_agreement"),
    output:
        table_csv=table("{item}.csv", "mark_agreement"),
        masks_csv=RESULTS / "tables/{item}.masks.csv",
    log:
        LOGS / "tabulate_mark_agreement/{item}.log",
    benchmark:
        BENCHMARKS / "tabulate_mark_agreement/{item}.tsv"
    wildcard_constraints:
        item=study.items_matching("mark_agreement"),
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        runs=lambda wildcards: study.marked_runs(wildcards.item),
        blocks=lambda wildcards: study.marked_blocks(wildcards.item),
    script:
        "../scripts/tabulate_mark_agreement.py"


rule write_mark_agreement:
    """Say what can be known about masks without dense ones, and what cannot."""
    input:
        table_csv=RESULTS / "tables/{item}.csv",
        files=lambda wildcards: [
            figure["figure"] for figure in study.figures(wildcards.item)
        ],
        more_files=lambda wildcards: [
            recovery[file]
            for recovery in study.recoveries(wildcards.item)
            for file in ("recovery", "choice")
        ],
        templates=templates("base", "mark_agreement"),
        code=code_of("write_mark_agreement", "report.tables.mark_agreement_page"),
    output:
        recovery_csv=RESULTS / "tables/{item}.recovery.csv",
        page_html=table("{item}.html", "mark_agreement"),
    log:
        LOGS / "write_mark_agreement/{item}.log",
    benchmark:
        BENCHMARKS / "write_mark_agreement/{item}.tsv"
    wildcard_constraints:
        item=study.items_matching("mark_agreement"),
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        labels=item_labels,
        figures=lambda wildcards: study.figures(wildcards.item),
        recoveries=lambda wildcards: study.recoveries(wildcards.item),
        recovery_noise=config["recovery"]["mark_noise"],
        models=lambda wildcards: study.models(wildcards.item),
        title=title_of_item,
    script:
        "../scripts/write_mark_agreement.py"


rule tabulate_policies:
    """Show how much a table depends on what empty masks count as."""
    input:
        files=scores_and_trainings,
        templates=templates("base", "policies"),
        code=code_of("tabulate_policies", "report.tables.policies"),
    output:
        table_csv=table("{item}.csv", "policies"),
        table_html=table("{item}.html", "policies"),
    log:
        LOGS / "tabulate_policies/{item}.log",
    benchmark:
        BENCHMARKS / "tabulate_policies/{item}.tsv"
    wildcard_constraints:
        item=study.items_matching("policies"),
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        labels=item_labels,
        runs=described_runs(scores="scores.csv"),
        trained=networks_of_item,
        baseline=of_item("baseline"),
        title=title_of_item,
    script:
        "../scripts/tabulate_policies.py"


rule tabulate_answers:
    """Put several papers' answers side by side."""
    input:
        files=scores_and_trainings,
        published_yaml=PUBLISHED_NUMBERS,
        templates=templates("base", "answers"),
        code=code_of("tabulate_answers", "report.tables.answers"),
    output:
        table_csv=table("{item}.csv", "answers", category="Overview"),
        table_html=table("{item}.html", "answers", category="Overview"),
    log:
        LOGS / "tabulate_answers/{item}.log",
    benchmark:
        BENCHMARKS / "tabulate_answers/{item}.tsv"
    wildcard_constraints:
        item=study.items_matching("answers"),
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        labels=item_labels,
        runs=described_runs(scores="scores.csv"),
        trained=networks_of_item,
        pairs=lambda wildcards: study.answered_pairs(wildcards.item),
        undefined=undefined_policies,
        published_datasets=study.published_names("datasets"),
        title=title_of_item,
        unit=lambda wildcards: study.item(wildcards.item).get("unit", "sample"),
    script:
        "../scripts/tabulate_answers.py"


judged_trainings = study.trained(study.judged_runs)


rule tabulate_verdicts:
    """Judge the paper's claims."""
    input:
        files=[
            *layout.run_files("scores.csv", study.judged_runs),
            *dict.fromkeys(each["run"] for each in study.networks(study.judged_runs)),
        ],
        published_yaml=PUBLISHED_NUMBERS,
        templates=templates("base", "verdicts"),
        code=code_of("tabulate_verdicts", "report.tables.verdicts"),
    output:
        table_csv=table(
            "verdicts.csv", "verdicts", "Verdicts on the papers' claims", "Overview"
        ),
        table_html=table(
            "verdicts.html", "verdicts", "Verdicts on the papers' claims", "Overview"
        ),
    log:
        LOGS / "tabulate_verdicts.log",
    benchmark:
        BENCHMARKS / "tabulate_verdicts.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        labels=study.labels(study.judged_runs),
        runs=[
            *study.described(
                [run for run in study.judged_runs if run not in judged_trainings],
                scores="scores.csv",
            ),
            *(study.judged_training(run) for run in judged_trainings),
        ],
        networks=study.networks(study.judged_runs),
        unit=study.judged_unit,
        published_datasets=study.published_names("datasets"),
        protocols=study.judging_choices(study.judged_runs),
    script:
        "../scripts/tabulate_verdicts.py"


rule write_overview:
    """Summarise what was run, on which data and with which code, and the conclusions."""
    input:
        files=layout.run_files("run.json", study.all_trainings),
        more_files=accounts_of(study.main_blocks),
        table1_csv=RESULTS / f"tables/{study.main_item}.csv",
        verdicts_csv=RESULTS / "tables/verdicts.csv",
        templates=templates("base", "overview"),
        code=code_of("write_overview", "report.tables.overview"),
    output:
        page_html=report(
            RESULTS / "overview.html",
            caption="../report/overview.rst",
            category="Overview",
            labels={"item": "What was run", "format": "page"},
        ),
    log:
        LOGS / "write_overview.log",
    benchmark:
        BENCHMARKS / "write_overview.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        labels=study.labels([*study.main_runs, *study.all_trainings]),
        study=config["study"],
        titles={item: study.title(item) for item in study.items()},
        runs=study.described(study.all_trainings, run="run.json"),
        patches=study.patch_accounts(study.main_blocks, sources.labels),
    script:
        "../scripts/write_overview.py"


rule write_front_page:
    """Write the page that a reader opens first."""
    input:
        files=layout.run_files("run.json", study.all_trainings),
        more_files=[row["figure"] for row in study.example_strips],
        table_csv=RESULTS / f"tables/{study.main_item}.csv",
        verdicts_csv=RESULTS / "tables/verdicts.csv",
        templates=templates("base", "forest", "front_page"),
        code=code_of("write_front_page", "report.tables.front_page"),
    output:
        page_html=report(
            RESULTS / "index.html",
            caption="../report/front_page.rst",
            category="Overview",
            labels={"item": "Front page: start here", "format": "page"},
        ),
    log:
        LOGS / "write_front_page.log",
    benchmark:
        BENCHMARKS / "write_front_page.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        study=config["study"],
        titles={item: study.title(item) for item in study.items()},
        labels=study.labels(sum(study.drawn_items.values(), study.main_runs)),
        mark_note=study.mark_note(study.main_runs),
        columns=study.main_columns,
        runs=study.described(study.all_trainings, run="run.json"),
        strips=study.example_strips,
    script:
        "../scripts/write_front_page.py"


rule verdicts:
    """Verdicts on the paper's claims."""
    input:
        rules.tabulate_verdicts.output,


rule overview:
    """What was run, on which data and with which code, and the conclusions, for all training runs of the study."""
    input:
        rules.write_overview.output,
        rules.write_front_page.output,


rule definitions:
    """Table 1 under three definitions of its metrics."""
    input:
        rules.tabulate_definitions.output,


for item in study.items():

    rule:
        name:
            item
        input:
            study.files_of(item),
