"""Response of target lesions over time by RECIST 1.1 (Eisenhauer et al., EJC 2009).

What the guideline leaves open follows EORTC's answers (https://recist.eortc.org/faq).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

PARTIAL = -30.0  # percent of the baseline sum, at most
PROGRESSIVE = 20.0  # percent above the nadir, at least
PROGRESSIVE_MM = 5.0  # mm above the nadir, at least
NORMAL_NODE_MM = 10.0  # short axis below which a node is no longer pathological
TARGET_NODE_MM = 15.0  # short axis at the baseline below which a node is no target
ROUNDING = 1e-9  # relative; limits count as reached despite it


@dataclass(frozen=True)
class Target:
    """A target lesion at one visit.

    Attributes:
        diameters_mm: the long diameter of a lesion, or the short one of a node; several if the
            lesion has split; 0 if it has disappeared, or has merged with another target lesion,
            whose diameter stands for both; none if it was not evaluated.
        node: whether it is a lymph node.
    """

    diameters_mm: tuple[float, ...] = ()
    node: bool = False

    @property
    def evaluated(self) -> bool:
        """Whether its diameter is known."""
        return bool(self.diameters_mm)

    @property
    def present(self) -> bool:
        """Whether it was evaluated and is there; a node below 10 mm is not."""
        return self.reaches(NORMAL_NODE_MM) if self.node else any(self.diameters_mm)

    def reaches(self, limit_mm: float) -> bool:
        """Return whether a part of it measures so much, mm, or more."""
        return any(each >= limit_mm * (1 - ROUNDING) for each in self.diameters_mm)


@dataclass(frozen=True)
class Visit:
    """A time point.

    Attributes:
        targets: target lesions by name. One of the baseline that is absent was not evaluated.
        new_lesion: whether there is an unequivocal new lesion.
        non_target: `CR`, `NON-CR/NON-PD`, `PD`, `NE`, or None without non-target lesions. From
            an export, it is known for small nodes only (`weaklesion.dicom.timeline.visits_of`); a
            caller who has assessed non-target lesions passes that response.
    """

    targets: Mapping[str, Target] = field(default_factory=dict)
    new_lesion: bool = False
    non_target: str | None = None


@dataclass(frozen=True)
class Assessment:
    """Response at a visit.

    Attributes:
        sum_mm: sum of the diameters of all target lesions; None if one was not evaluated.
        nadir_mm: smallest sum of earlier visits, the baseline among them; None at the baseline.
        from_baseline_pct: change of the sum from the baseline, percent, or None.
        from_nadir_pct: change of the sum from the nadir, percent, or None.
        target: `CR`, `PR`, `SD`, `PD` or `NE`; None at the baseline or without target lesions.
        overall: overall response; None at the baseline.
    """

    sum_mm: float | None
    nadir_mm: float | None = None
    from_baseline_pct: float | None = None
    from_nadir_pct: float | None = None
    target: str | None = None
    overall: str | None = None


def assess(visits: Sequence[Visit]) -> list[Assessment]:
    """Assess the response at each visit.

    Args:
        visits: in order of time; the first is the baseline, whose targets are the target lesions.
            Whether they may be is for the caller to check: RECIST 1.1 allows five, two per organ,
            lesions from 10 mm and nodes from a short axis of 15 mm (on CT).

    Returns:
        One assessment per visit. Sums with a lesion that was not evaluated are None and never
        become the nadir; yet progression is certain if the other lesions alone reach it.

        A partial response lasts until progression, also above 70 % of the baseline sum (FAQ
        "Managing PR when TP measurements change slightly over time"). No visit needs to confirm it.

        Once the overall response has been complete, a target lesion that is there again is
        progression at every later visit, whatever its size (FAQ "Does a new lesion always result
        in PD?"). A node is there again from a short axis of 10 mm; while all targets are gone, the
        response is complete, also if the sum of normal nodes grows (FAQ "Abnormal lymph node").

    >>> visits = [Visit({"T01": Target((mm,))}) for mm in (50.0, 35.0, 36.0, 0.0, 4.0)]
    >>> [each.target for each in assess(visits)]
    [None, 'PR', 'PR', 'CR', 'PD']
    """
    if not visits:
        return []
    names = list(visits[0].targets)
    baseline = _sum([visits[0].targets[name] for name in names])
    results = [Assessment(sum_mm=baseline if names else None)]
    nadir = baseline
    responding = complete = False
    for visit in visits[1:]:
        targets = [visit.targets.get(name, Target()) for name in names]
        total = _sum(targets)
        target = _target_response(targets, total, baseline, nadir) if names else None
        if complete and any(each.present for each in targets):
            target = "PD"
        elif target == "SD" and responding:
            target = "PR"
        overall = overall_response(target, visit.non_target, new_lesion=visit.new_lesion)
        results.append(
            Assessment(
                sum_mm=total if names else None,
                nadir_mm=nadir if names else None,
                from_baseline_pct=_percent(total, baseline),
                from_nadir_pct=_percent(total, nadir),
                target=target,
                overall=overall,
            )
        )
        if total is not None and nadir is not None:
            nadir = min(nadir, total)
        complete |= overall == "CR"
        responding = target in ("CR", "PR") or (responding and target != "PD")
    return results


def _sum(targets: Sequence[Target]) -> float | None:
    if not all(target.evaluated for target in targets):
        return None
    return sum(sum(target.diameters_mm) for target in targets)


def _percent(value: float | None, start: float | None) -> float | None:
    return None if value is None or not start else 100 * (value - start) / start


def _target_response(
    targets: Sequence[Target], total: float | None, baseline: float | None, nadir: float | None
) -> str:
    if baseline is None or nadir is None:
        return "NE"
    if not any(target.present for target in targets):
        return "CR" if total is not None else "NE"
    known = sum(sum(target.diameters_mm) for target in targets)
    increase = known - nadir
    if increase >= PROGRESSIVE_MM * (1 - ROUNDING) and (
        increase >= nadir * PROGRESSIVE / 100 * (1 - ROUNDING)
    ):
        return "PD"
    if total is None:
        return "NE"
    change = _percent(total, baseline)
    return "PR" if change is not None and change <= PARTIAL * (1 - ROUNDING) else "SD"


def overall_response(target: str | None, non_target: str | None, *, new_lesion: bool) -> str | None:
    """Return the overall response (RECIST 1.1, tables 1 and 2).

    Args:
        target: response of the target lesions; None without any.
        non_target: response of the non-target lesions; None without any.
        new_lesion: whether there is a new lesion.

    >>> overall_response("CR", "NON-CR/NON-PD", new_lesion=False)
    'PR'
    """
    if new_lesion or "PD" in (target, non_target):
        return "PD"
    if target is None:
        return non_target
    if target == "CR" and non_target not in (None, "CR"):
        return "PR"
    return target
