import numpy as np
import pandas as pd

from weaklesion.figures import choose_cases


def test_cases_are_chosen_by_the_stated_rule():
    dice = pd.DataFrame(
        {"a1": np.arange(9) / 10, "a1l": np.arange(9) / 10}, index=list("abcdefghi")
    )
    dice.loc["d", "a1l"] = 0.9
    dice.loc["h", "a1l"] = 0.3
    cases = choose_cases(dice, "a1", 2)
    assert cases == {
        "worst of a1": ["a", "b"],
        "median of a1": ["d", "e"],
        "best of a1": ["h", "i"],
        "networks differ most": ["d", "h"],
    }
    assert choose_cases(dice.iloc[:1], "a1", 5)["best of a1"] == ["a"]
