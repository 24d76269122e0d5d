# The papers that accompany a study's networks: model card, data sheet, checklists.

PAPERS = layout.papers
CARDED_SCORES = layout.run_files("scores.csv", study.carded_runs)
CARDED_RUNS = layout.run_files("run.json", study.carded_runs)
# All that a study makes, except the papers.
TABLES_AND_FIGURES = [
    [study.files_of(item) for item in study.items()],
    (
        [rules.definitions.input, rules.overview.input, rules.figures.input]
        if study.has_main_item
        else [rules.tabulate_samples.output if study.shown_blocks else []]
    ),
    rules.verdicts.input if study.claimed_runs else [],
]


rule write_model_card:
    """Say what the networks were trained and tested on, how well they do on whom, and where they fail."""
    input:
        files=[*CARDED_SCORES, *CARDED_RUNS, *files_of_blocks("samples.csv")],
        more_files=tables_of_datasets,
        datasets_yaml=DATASET_FACTS,
        templates=templates("base", "model_card"),
        code=code_of("write_model_card", "report.papers.model_card"),
    output:
        card_html=paper("model_card", "Model card"),
        subgroups_csv=PAPERS / "subgroups.csv",
        failures_csv=PAPERS / "failures.csv",
    log:
        LOGS / "write_model_card.log",
    benchmark:
        BENCHMARKS / "write_model_card.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        study=config["study"],
        labels=study.labels(study.carded_runs),
        runs=study.described(study.carded_runs, scores="scores.csv", run="run.json"),
        blocks=described_blocks,
        undefined=study.undefined_policies(study.carded_runs),
        unit=study.judged_unit,
        origins=study.origins,
        statements=config["statements"],
    script:
        "../scripts/write_model_card.py"


rule write_data_sheet:
    """Say where the data come from, what is in them, and what is missing."""
    input:
        files=[*files_of_blocks("samples.csv"), *files_of_blocks("patches.json")],
        more_files=tables_of_datasets,
        datasets_yaml=DATASET_FACTS,
        templates=templates("base", "data_sheet"),
        code=code_of("write_data_sheet", "report.papers.data_sheet"),
    output:
        sheet_html=paper("data_sheet", "Data sheet"),
        people_csv=PAPERS / "people.csv",
    log:
        LOGS / "write_data_sheet.log",
    benchmark:
        BENCHMARKS / "write_data_sheet.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        study=config["study"],
        labels=study.labels(study.carded_runs),
        blocks=described_blocks,
        origins=study.origins,
    script:
        "../scripts/write_data_sheet.py"


rule write_checklist:
    """Check four checklists for authors against the study's files; nobody ticks anything."""
    input:
        files=[
            *CARDED_RUNS,
            *files_of_blocks("samples.csv"),
            *files_of_blocks("patches.json"),
        ],
        more_files=[
            [study.files_of(item) for item in study.items()],
            rules.overview.input if study.has_main_item else [],
            rules.verdicts.input if study.claimed_runs else [],
            rules.write_model_card.output,
            rules.write_data_sheet.output,
        ],
        datasets_yaml=DATASET_FACTS,
        checklists_yaml=CHECKLISTS,
        citation_cff=shipped_file("CITATION.cff"),
        templates=templates("base", "checklist"),
        code=code_of("write_checklist", "report.papers.checklist"),
    output:
        checklist_html=paper("checklist", "Checklists"),
        checklist_csv=PAPERS / "checklist.csv",
    log:
        LOGS / "write_checklist.log",
    benchmark:
        BENCHMARKS / "write_checklist.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        study=config["study"],
        labels=study.labels(study.carded_runs),
        results=lambda wildcards: str(RESULTS),
        main_table=study.main_item if study.has_main_item else "",
        items_by_kind=study.items_by_kind,
        blocks=described_blocks,
        runs=study.checked_runs,
        origins=study.origins,
        statements=config["statements"],
    script:
        "../scripts/write_checklist.py"


rule papers:
    """Model card, data sheet and checklists of the study."""
    input:
        study.paper_files,


rule gather_release:
    """Gather whatever is worth publishing in one folder, with licences and provenance."""
    input:
        files=[
            study.paper_files,
            layout.run_files("run.json", study.all_trainings),
            layout.run_files("history.csv", study.all_trainings),
            layout.run_files("model.safetensors", study.published_networks),
            [
                layout.patches(dataset, protocol) / "samples.csv"
                for dataset, protocol in study.blocks(study.published_networks)
            ],
        ],
        more_files=[
            TABLES_AND_FIGURES,
            shipped_file("LICENSE"),
        ],
        datasets_yaml=DATASET_FACTS,
        checklists_yaml=CHECKLISTS,
        citation_cff=shipped_file("CITATION.cff"),
        templates=templates("base", "checklist"),
        code=code_of("gather_release", "report.papers.release"),
    output:
        release_dir=directory(RESULTS / "release"),
    log:
        LOGS / "gather_release.log",
    benchmark:
        BENCHMARKS / "gather_release.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        study=config["study"],
        labels=study.labels(study.carded_runs),
        results=lambda wildcards: str(RESULTS),
        runs=study.described(study.all_trainings, run="run.json"),
        carded=study.described(study.carded_runs, run="run.json"),
        models=study.described(study.published_networks, run="run.json"),
        blocks=described_blocks,
        origins=study.origins,
        statements=config["statements"],
    script:
        "../scripts/gather_release.py"


rule release:
    """The folder to publish: tables, figures, papers, models, licences, checksums, provenance."""
    input:
        rules.gather_release.output,
