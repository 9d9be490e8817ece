"""Lists of prices: what is taken from ``genai-prices`` of a model, and what goes into the table that comes with spanhouse."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, time
from decimal import Decimal

from genai_prices.types import ClauseEquals, ConditionalPrice, ModelInfo, ModelPrice, StartDateConstraint, Tier, TieredPrices, TimeOfDateConstraint
from tests.support.shipped_prices import FILE, MODELS, as_line, changed, shipped_name

from spanhouse.cli.price_files import prices_of, read_package, without_repeats
from spanhouse.schema.prices.price import ALWAYS, UNKNOWN, Price, fault
from spanhouse.schema.prices.price_table import read_shipped

LATER = date(2026, 6, 1)


def model(prices: ModelPrice | list[ConditionalPrice]) -> ModelInfo:
    return ModelInfo(id="m", match=ClauseEquals(equals="m"), prices=prices)


def usd(value: str, output: str | None = None) -> ModelPrice:
    return ModelPrice(input_mtok=Decimal(value), output_mtok=None if output is None else Decimal(output))


def hours(begin: int, end: int) -> TimeOfDateConstraint:
    return TimeOfDateConstraint(start_time=time(begin, tzinfo=UTC), end_time=time(end, tzinfo=UTC))


def taken(prices: ModelPrice | list[ConditionalPrice]) -> Sequence[tuple[date, float, float]]:
    return [(one.valid_from, one.input, one.output) for one in prices_of(model(prices), "m", "maker")]


def test_tokens_out_without_a_price_cost_nothing_and_a_model_without_prices_of_tokens_has_none() -> None:
    assert taken(usd("1", "2")) == [(ALWAYS, 1, 2)]
    assert taken(usd("1")) == [(ALWAYS, 1, 0)]
    assert taken(ModelPrice(requests_kcount=Decimal(5))) == []
    (one,) = prices_of(model(ModelPrice(input_mtok=Decimal(1), cache_read_mtok=Decimal("0.1"))), "m", "maker")
    assert one.cached == 0.1
    assert one.source.endswith(", maker")


def test_of_prices_in_tiers_those_for_small_prompts_count() -> None:
    tiers = TieredPrices(base=Decimal(3), tiers=[Tier(start=200_000, price=Decimal(6))])
    assert taken(ModelPrice(input_mtok=tiers, output_mtok=Decimal(15))) == [(ALWAYS, 3, 15)]


def test_of_prices_by_the_hour_those_for_most_of_the_day_count() -> None:
    base = ConditionalPrice(prices=usd("1", "1"))
    assert taken([base, ConditionalPrice(constraint=hours(0, 16), prices=usd("2", "2"))]) == [(ALWAYS, 2, 2)]
    assert taken([base, ConditionalPrice(constraint=hours(22, 4), prices=usd("2", "2"))]) == [(ALWAYS, 1, 1)]


def test_a_day_on_which_no_price_changed_is_left_out() -> None:
    since = StartDateConstraint(start_date=LATER)
    assert taken([ConditionalPrice(prices=usd("1", "1")), ConditionalPrice(constraint=since, prices=usd("2", "2"))]) == [
        (ALWAYS, 1, 1),
        (LATER, 2, 2),
    ]
    assert taken([ConditionalPrice(prices=usd("1", "1")), ConditionalPrice(constraint=since, prices=usd("1", "1"))]) == [(ALWAYS, 1, 1)]


def test_every_price_of_the_package_can_be_written() -> None:
    prices = read_package()
    assert len(prices) > 300
    assert [fault(price) for price in prices if fault(price)] == []
    assert len({price.key for price in without_repeats(prices)}) == len(without_repeats(prices))


def test_what_changed_is_added_and_nothing_else() -> None:
    present = [
        Price(model="a", input=1, added="2026-01-01"),
        Price(model="b", input=1, added="2026-01-01"),
        Price(model="b", input=2, added="2026-02-01"),
    ]
    wanted = [Price(model="a", input=1, source="another"), Price(model="b", input=1), Price(model="c", input=3, output=0.5, valid_from=LATER)]
    new = changed(present, wanted)
    assert [price.model for price in new] == ["b", "c"]
    text = "added,model,valid_from,input,output,cached,reasoning,source\n" + "".join(as_line(price, "2026-03-01") for price in new)
    assert [(row.added, row.model, row.valid_from, row.input, row.output, row.cached) for row in read_shipped(text)] == [
        ("2026-03-01", "b", ALWAYS, 1, 0, UNKNOWN),
        ("2026-03-01", "c", LATER, 3, 0.5, UNKNOWN),
    ]
    assert changed(read_shipped(text), new) == []


def test_the_file_has_all_models_that_are_to_come_with_spanhouse_and_says_its_date() -> None:
    text = FILE.read_text(encoding="utf-8")
    rows = read_shipped(text)
    wanted = {shipped_name(name) for line in MODELS.splitlines() for name in line.split()[1:]}
    assert {row.model for row in rows} == wanted
    assert f"read on {max(row.added for row in rows)} by `make prices`" in text.splitlines()[0]
    assert [row.added for row in rows] == sorted(row.added for row in rows)
