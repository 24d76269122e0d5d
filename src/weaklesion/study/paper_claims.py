"""What Chu et al., Agarwal et al. and Moseley et al. claim."""

from typing import Any

from weaklesion.study.claims import (
    AGARWAL,
    COSEGMENTATION,
    DEEPLESION,
    EQUAL_TIME_PERCENT,
    HAM10K,
    LITS,
    LIVER,
    MOSELEY,
    SUPERVISION,
    Claim,
)


def _table1(name: str, text: str, column: str, **changes: Any) -> Claim:
    return Claim(name=name, where="section 5", text=text, column=column, **changes)


CLAIMS = (
    Claim(
        name="Dice against A1",
        where="section 5",
        text="The second task improves Dice over A1.",
        primary=True,
    ),
    Claim(
        name="Dice against ACoseg",
        where="section 5",
        text="A1+L improves Dice over co-segmentation on CT.",
        datasets=(DEEPLESION, LITS),
        baseline=COSEGMENTATION,
        primary=True,
    ),
    Claim(
        name="Dice against ACoseg on HAM10K",
        where="Table 1",
        text="A1+L has a higher Dice than co-segmentation (the text claims it on CT only).",
        datasets=(HAM10K,),
        baseline=COSEGMENTATION,
    ),
    Claim(
        name="Dice, headline",
        where="abstract",
        text="Joint training improves Dice by the headline's size (reached against ACoseg on"
        " DeepLesion only, P1).",
        datasets=(DEEPLESION,),
        baseline=COSEGMENTATION,
        stated="dice_improvement_pct",
    ),
    Claim(
        name="AVD, headline",
        where="abstract",
        text="Joint training improves AVD by the headline's size (reached against"
        " A1 on DeepLesion only, P1).",
        datasets=(DEEPLESION,),
        column="AVD",
        stated="avd_improvement_pct",
    ),
    _table1("IoU against A1", "The second task improves IoU over A1.", "IoU"),
    _table1("VS against A1", "The second task improves volumetric similarity over A1.", "VS"),
    _table1("AVD against A1", "The second task improves AVD over A1.", "AVD"),
    _table1("Centre against A1", "The second task improves the centre over A1.", "CenterError"),
    _table1(
        "Perimeter against A1", "The second task improves the perimeter over A1.", "PerimeterError"
    ),
    _table1(
        "ACoseg against A1",
        "Co-segmentation performs better than A1.",
        "Dice",
        arm=COSEGMENTATION,
        contradicted={DEEPLESION: "P6"},
    ),
    _table1(
        "AVD of ACoseg",
        "Co-segmentation has a slightly lower AVD than A1+L.",
        "AVD",
        arm=COSEGMENTATION,
        baseline="a1l",
        datasets=(LITS, HAM10K),
    ),
    Claim(
        name="Training time",
        where="section 5, Table 2",
        text="A1+L takes less training time than co-segmentation.",
        kind="hours",
        baseline=COSEGMENTATION,
    ),
    Claim(
        name="Equal training time",
        where="section 5",
        text="A1 and A1+L take approximately the same training time (no time of A1 is printed, P15;"
        f" within {EQUAL_TIME_PERCENT:g} % is our reading).",
        kind="equal hours",
    ),
    Claim(
        name="Best K",
        where="section 4, Figure 2",
        text="Dice is highest at the chosen number of clusters.",
        baseline="a1l~k",
        table="",
    ),
    *(
        Claim(
            name=f"{column} with GrabCut",
            where="section 7.2, Tables 3 to 5",
            text="The second task helps with GrabCut's masks as well.",
            arm="a1l_grabcut",
            baseline="a1_grabcut",
            column=column,
            table=SUPERVISION,
            contradicted={LITS: "P8"} if column == "CenterError" else {},
        )
        for column in ("IoU", "Dice", "CenterError")
    ),
    Claim(
        name="GrabCut on DeepLesion",
        where="section 7.2, Table 3",
        text="On DeepLesion A1+L is best with GrabCut's masks by Dice.",
        datasets=(DEEPLESION,),
        arm="a1l_grabcut",
        baseline="a1l",
        table=SUPERVISION,
    ),
    Claim(
        name="Centre with ellipses",
        where="section 7.2, Table 3",
        text="On DeepLesion A1+L finds the centre better with ellipses than with GrabCut's masks.",
        datasets=(DEEPLESION,),
        baseline="a1l_grabcut",
        column="CenterError",
        table=SUPERVISION,
    ),
    Claim(
        name="Ellipses against GrabCut",
        where="section 7.2, Tables 4 and 5",
        text="On LiTS and HAM10K A1+L is better with ellipses than with GrabCut's masks.",
        datasets=(LITS, HAM10K),
        baseline="a1l_grabcut",
        table=SUPERVISION,
    ),
    Claim(
        name="Loss by weak supervision",
        where="section 7.3, Table 6",
        text="Ellipses lose no more Dice against dense masks than Table 6 shows, about 3 %.",
        datasets=(DEEPLESION, HAM10K),
        baseline="a1l_dense",
        table="table6",
    ),
    Claim(
        name="Ellipses against dense masks",
        where="section 7.3, Table 6",
        text="On LiTS training on ellipses is better than on dense masks.",
        datasets=(LITS,),
        baseline="a1l_dense",
        table="table6",
    ),
    Claim(
        name="Backbone",
        where="section 7.4, Table 7",
        text="DeepLabV3+ is better than U-Net (its numbers of DeepLabV3+ stand nowhere else, P4).",
        arm="a1",
        baseline="unet",
        table="table7",
    ),
    Claim(
        name="Best alpha",
        where="section 7.5, Figure 5",
        text="Dice is highest at the chosen weight of the segmentation loss.",
        datasets=(HAM10K,),
        baseline="a1l~alpha",
        table="",
    ),
    *(
        Claim(
            name=f"Parameters of {arm}",
            where="section 7.6",
            text="The network has as many parameters as printed (compared exactly).",
            kind="parameters",
            arm=arm,
            baseline=(),
        )
        for arm in ("a1", "a1l", "acoseg_released")
    ),
    *(
        Claim(
            name=name,
            where=where,
            text=text,
            paper=AGARWAL,
            datasets=(DEEPLESION,),
            arm=arm,
            baseline=baseline,
            column=column,
            table=table,
        )
        for name, where, text, arm, baseline, column, table in (
            ("Co-segmentation against FCN", "section 3, Table 1",
             "Co-segmentation improves Dice over a fully convolutional network.",
             "coseg_d1_crf", "fcn32", "Dice", "agarwal_table1"),
            ("SGD against Adam", "section 3, Table 1",
             "SGD with a polynomial schedule is better than Adam.",
             "coseg_mg_d1_crf", "coseg_mg_d1_adam_crf", "Dice", "agarwal_table1"),
            ("Multi-grid", "section 3, Table 1", "A multi-grid encoder improves Dice.",
             "coseg_mg_d1_crf", "coseg_d1_crf", "Dice", "agarwal_table1"),
            ("Decoder", "section 3, Table 2", "The decoder with low-level features is better.",
             "coseg_mg_d2", "coseg_mg_d1", "Dice", "agarwal_table2"),
            ("Precision by CRF", "section 3, Table 2", "The CRF raises precision.",
             "coseg_mg_d1_crf", "coseg_mg_d1", "Precision", "agarwal_table2"),
            ("Attention", "section 3, Table 3",
             "Squeeze-and-excitation with mean spatial attention has the highest Dice.",
             "coseg_mg_d2",
             ("coseg_mg_d2_se_aspp", "coseg_mg_d2_eca", "coseg_mg_d2_eca_aspp",
              "coseg_mg_d2_danet"), "Dice", "agarwal_table3"),
        )
    ),
    *(
        Claim(
            name=name,
            where="section 3, Table 1",
            text=text,
            paper=MOSELEY,
            datasets=(LIVER,),
            arm="cmu_net",
            baseline=baseline,
            column=column,
            table="cmu_table1",
        )
        for name, text, baseline, column in (
            ("Joint training, Dice", "The second task improves Dice over a U-Net.",
             "cmu_unet", "Dice"),
            ("Joint training, distance", "The second task improves the Hausdorff distance.",
             "cmu_unet", "Hausdorff"),
            ("Joint training against pre-training",
             "Training both tasks jointly is better than pre-training the encoder on the second.",
             "cmu_pretrained", "Dice"),
        )
    ),
)  # fmt: skip
