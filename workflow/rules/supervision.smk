# Targets made from RECIST marks.


rule draw_ellipses:
    """Draw the ellipse of each sample's RECIST mark."""
    input:
        samples_csv=PATCHES / "samples.csv",
        images_npy=PATCHES / "images.npy",
        code=code_of("draw_ellipses", "supervision.ellipses"),
    output:
        ellipses_csv=TARGETS / "ellipses.csv",
        target_npy=TARGETS / "ellipse.npy",
    log:
        LOGS / "draw_ellipses/{dataset}-{protocol}.log",
    benchmark:
        BENCHMARKS / "draw_ellipses/{dataset}-{protocol}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        center=jobs.switched("supervision", "center"),
        outline_px=jobs.switched("supervision", "outline_px"),
        measured_in_source=jobs.measured_in_source,
        outside=jobs.outside_patch,
    script:
        "../scripts/draw_ellipses.py"


rule draw_ends:
    """Draw the shape through the four ends of each sample's RECIST mark."""
    input:
        images_npy=PATCHES / "images.npy",
        ellipses_csv=TARGETS / "ellipses.csv",
        code=code_of("draw_ends", "supervision.ends"),
    output:
        target_npy=TARGETS / "ends.npy",
    log:
        LOGS / "draw_ends/{dataset}-{protocol}.log",
    benchmark:
        BENCHMARKS / "draw_ends/{dataset}-{protocol}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        exponent=jobs.switched("supervision", "ends_exponent"),
    script:
        "../scripts/draw_ends.py"


rule draw_fixed_ellipse:
    """Draw the training marks' mean ellipse in the centre of every sample."""
    input:
        samples_csv=PATCHES / "samples.csv",
        images_npy=PATCHES / "images.npy",
        ellipses_csv=TARGETS / "ellipses.csv",
        code=code_of("draw_fixed_ellipse", "supervision.ellipses"),
    output:
        target_npy=TARGETS / "fixed_ellipse.npy",
    log:
        LOGS / "draw_fixed_ellipse/{dataset}-{protocol}.log",
    benchmark:
        BENCHMARKS / "draw_fixed_ellipse/{dataset}-{protocol}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    script:
        "../scripts/draw_fixed_ellipse.py"


rule draw_soft_ellipses:
    """Draw the ellipses with soft edges."""
    input:
        images_npy=PATCHES / "images.npy",
        ellipses_csv=TARGETS / "ellipses.csv",
        code=code_of("draw_soft_ellipses", "supervision.ellipses"),
    output:
        target_npy=TARGETS / "ellipse_soft.npy",
    log:
        LOGS / "draw_soft_ellipses/{dataset}-{protocol}.log",
    benchmark:
        BENCHMARKS / "draw_soft_ellipses/{dataset}-{protocol}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    script:
        "../scripts/draw_soft_ellipses.py"


rule draw_grabcut:
    """Segment each sample by GrabCut, starting from its ellipse."""
    input:
        samples_csv=PATCHES / "samples.csv",
        images_npy=PATCHES / "images.npy",
        ellipses_csv=TARGETS / "ellipses.csv",
        ellipse_npy=TARGETS / "ellipse.npy",
        code=code_of("draw_grabcut", "supervision.grabcut"),
    output:
        target_npy=TARGETS / "grabcut_{init}.npy",
    log:
        LOGS / "draw_grabcut/{dataset}-{protocol}-{init}.log",
    benchmark:
        BENCHMARKS / "draw_grabcut/{dataset}-{protocol}-{init}.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 4
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        settings=lambda wildcards: jobs.switched("supervision", "grabcut")(wildcards)
        | {"init": wildcards.init},
    script:
        "../scripts/draw_grabcut.py"


rule choose_prior_weight:
    """Choose the prior of the pseudo-masks by how well it recovers training marks."""
    input:
        samples_csv=PATCHES / "samples.csv",
        images_npy=PATCHES / "images.npy",
        ellipses_csv=TARGETS / "ellipses.csv",
        code=code_of("choose_prior_weight", "selection.recovery"),
    output:
        recovery_csv=TARGETS / "refined_recovery.csv",
        choice_json=TARGETS / "refined_choice.json",
    log:
        LOGS / "choose_prior_weight/{dataset}-{protocol}.log",
    benchmark:
        BENCHMARKS / "choose_prior_weight/{dataset}-{protocol}.tsv"
    priority: 1  # training runs wait for it
    conda:
        "../../envs/data.yaml"
    threads: 4
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        prior_weights=jobs.switched("supervision", "prior_weights"),
        constants=jobs.switched("supervision", "refined"),
        recovery=config["recovery"],
        channel_order=jobs.channel_order,
        shape="ellipse",
        exponent=2.0,
    script:
        "../scripts/choose_prior_weight.py"


use rule choose_prior_weight as choose_prior_weight_of_ends with:
    output:
        recovery_csv=TARGETS / "refined_ends_recovery.csv",
        choice_json=TARGETS / "refined_ends_choice.json",
    log:
        LOGS / "choose_prior_weight_of_ends/{dataset}-{protocol}.log",
    benchmark:
        BENCHMARKS / "choose_prior_weight_of_ends/{dataset}-{protocol}.tsv"
    params:
        shape="ends",
        exponent=jobs.switched("supervision", "ends_exponent"),


rule draw_refined:
    """Make each sample's pseudo-mask from its levels and its mark."""
    input:
        samples_csv=PATCHES / "samples.csv",
        images_npy=PATCHES / "images.npy",
        ellipses_csv=TARGETS / "ellipses.csv",
        choice_json=TARGETS / "refined_choice.json",
        code=code_of("draw_refined", "supervision.pseudo_masks"),
    output:
        target_npy=TARGETS / "refined.npy",
    log:
        LOGS / "draw_refined/{dataset}-{protocol}.log",
    benchmark:
        BENCHMARKS / "draw_refined/{dataset}-{protocol}.tsv"
    priority: 1  # training runs wait for it
    conda:
        "../../envs/data.yaml"
    threads: 4
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
    params:
        constants=jobs.switched("supervision", "refined"),
        channel_order=jobs.channel_order,
        shape="ellipse",
        exponent=2.0,
    script:
        "../scripts/draw_refined.py"


use rule draw_refined as draw_refined_ends with:
    input:
        samples_csv=PATCHES / "samples.csv",
        images_npy=PATCHES / "images.npy",
        ellipses_csv=TARGETS / "ellipses.csv",
        choice_json=TARGETS / "refined_ends_choice.json",
        code=code_of("draw_refined", "supervision.pseudo_masks"),
    output:
        target_npy=TARGETS / "refined_ends.npy",
    log:
        LOGS / "draw_refined_ends/{dataset}-{protocol}.log",
    benchmark:
        BENCHMARKS / "draw_refined_ends/{dataset}-{protocol}.tsv"
    params:
        shape="ends",
        exponent=jobs.switched("supervision", "ends_exponent"),


rule draw_shrunken:
    """Draw each ellipse with the area that pseudo-masks have, on average."""
    input:
        samples_csv=PATCHES / "samples.csv",
        ellipses_csv=TARGETS / "ellipses.csv",
        refined_npy=TARGETS / "refined.npy",
        code=code_of("draw_shrunken", "supervision.perturbed"),
    output:
        target_npy=TARGETS / "shrunken.npy",
    log:
        LOGS / "draw_shrunken/{dataset}-{protocol}.log",
    benchmark:
        BENCHMARKS / "draw_shrunken/{dataset}-{protocol}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    script:
        "../scripts/draw_shrunken.py"


rule perturb_marks:
    """Perturb the four ends of each sample's mark, as by a less exact reader."""
    input:
        images_npy=PATCHES / "images.npy",
        ellipses_csv=TARGETS / "ellipses.csv",
        code=code_of("perturb_marks", "supervision.perturbed"),
    output:
        perturbed_csv=TARGETS / "ellipses_{marks}.csv",
        ellipse_npy=TARGETS / "ellipse_{marks}.npy",
        ends_npy=TARGETS / "ends_{marks}.npy",
    log:
        LOGS / "perturb_marks/{dataset}-{protocol}-{marks}.log",
    benchmark:
        BENCHMARKS / "perturb_marks/{dataset}-{protocol}-{marks}.tsv"
    wildcard_constraints:
        marks="|".join(map(re.escape, config["mark_noise"])) or "none",
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        mark_noise=lambda wildcards: config["mark_noise"][wildcards.marks],
        center=jobs.switched("supervision", "center"),
        ends_exponent=jobs.switched("supervision", "ends_exponent"),
    script:
        "../scripts/perturb_marks.py"


rule simulate_readers:
    """Mark each lesion anew, like a reader who follows its outline but not exactly RECIST."""
    input:
        reference_npy=PATCHES / "reference.npy",
        reference_ids_csv=PATCHES / "samples.csv",
        ellipses_csv=TARGETS / "ellipses.csv",
        code=code_of("simulate_readers", "supervision.simulated_readers"),
    output:
        perturbed_csv=TARGETS / "ellipses_{marks}.csv",
        ellipse_npy=TARGETS / "ellipse_{marks}.npy",
        ends_npy=TARGETS / "ends_{marks}.npy",
    log:
        LOGS / "simulate_readers/{dataset}-{protocol}-{marks}.log",
    benchmark:
        BENCHMARKS / "simulate_readers/{dataset}-{protocol}-{marks}.tsv"
    wildcard_constraints:
        marks="|".join(map(re.escape, config["readers"])) or "none",
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        reader=lambda wildcards: config["readers"][wildcards.marks],
        center=jobs.switched("supervision", "center"),
        ends_exponent=jobs.switched("supervision", "ends_exponent"),
    script:
        "../scripts/simulate_readers.py"


rule measure_agreement:
    """Compare the targets of a dataset with its dense reference."""
    input:
        reference_npy=PATCHES / "reference.npy",
        samples_csv=PATCHES / "samples.csv",
        target_npys=drawn_targets,
        target_ids_csv=TARGETS / "ellipses.csv",
        code=code_of("measure_agreement", "scoring.agreement"),
    output:
        agreement_csv=TARGETS / "agreement.csv",
    log:
        LOGS / "measure_agreement/{dataset}-{protocol}.log",
    benchmark:
        BENCHMARKS / "measure_agreement/{dataset}-{protocol}.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    script:
        "../scripts/measure_agreement.py"
