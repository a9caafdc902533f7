"""What canary texts must show of any model; services/*/canary.py have the texts."""


class Refuted(Exception):
    """The model computes something, and it is wrong; the message says what."""


# Of the texts whose order is known, a small model may get one wrong.
MAY_BE_WRONG = 1


def require_order(good: list[float], bad: list[float]) -> None:
    """Each good score has to be above the bad one at its place, but for MAY_BE_WRONG."""
    wrong = sum(not above > below for above, below in zip(good, bad, strict=True))
    if wrong > MAY_BE_WRONG:
        raise Refuted(f"of {len(good)} canary texts, {wrong} are in the wrong order")


def require_agreement(agreement: float | None, least: float, *, parity: bool) -> None:
    """Of the old model and the new one, where they are to be alike."""
    if parity and (agreement is None or agreement < least):
        found = "can't be compared" if agreement is None else f"agree to {agreement:.6f}"
        raise Refuted(f"parity was asked for; on the canary texts the two models {found}, {least} is needed")
