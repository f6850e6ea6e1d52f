"""Which tasks somebody sees."""

from taskservice.domain.sight import ALL, Sight


def test_who_is_not_narrowed_sees_all() -> None:
    assert not ALL.is_narrowed
    assert ALL.sees(()) and ALL.sees(("billing",))


def test_who_is_sees_what_bears_one_of_the_tags() -> None:
    sight = Sight(("billing", "日报"))
    assert sight.is_narrowed
    assert sight.sees(("x", "日报")) and sight.sees(["billing"])
    for others in ((), ("Billing",), ("billing2", "bill")):
        assert not sight.sees(others)
