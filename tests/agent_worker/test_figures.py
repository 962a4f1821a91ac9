"""How fast the persona answers."""

from agent_worker.figures import Figures, percentile


def answer(figures: Figures, at: float, after_s: float) -> None:
    figures.callee_began()
    figures.callee_ended(at)
    figures.assistant_began(at + after_s)


def test_latency_is_from_the_end_of_the_callees_speech_to_the_first_sound() -> None:
    figures = Figures()
    answer(figures, 10.0, 0.75)
    assert (figures.take_latency(), figures.take_latency()) == (750, None)


def test_speech_that_answers_nobody_has_no_latency() -> None:
    figures = Figures()
    figures.assistant_began(1.0)
    assert (figures.take_latency(), figures.latency) == (None, {"count": 0})


def test_a_callee_who_goes_on_speaking_starts_the_count_anew() -> None:
    figures = Figures()
    figures.callee_ended(1.0)
    figures.callee_began()
    figures.assistant_began(2.0)
    assert figures.take_latency() is None


def test_percentiles_are_values_that_were_measured() -> None:
    figures = Figures()
    for after in (0.5, 0.1, 0.4, 0.2, 0.3):
        answer(figures, 0.0, after)
    assert figures.latency == {"count": 5, "p50": 300, "p90": 500, "p95": 500, "p99": 500}
    assert [percentile([7], each) for each in (0, 50, 100)] == [7, 7, 7]
