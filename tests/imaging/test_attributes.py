import pandas as pd
import pytest

from pipeline.errors import PipelineError
from pipeline.imaging import attributes


def index(values):
    return pd.DataFrame({"image_id": [str(number) for number in range(len(values))], "attribute_x": values})


def test_a_few_values_are_kept():
    attributes.check(index([str(number % 50) for number in range(200)]))


def test_a_column_with_very_many_values_is_refused_without_showing_one():
    message = r"data.attributes: 'x' has 51 different values, more than 50\n  Remedy: leave 'x' out, or write groups"
    with pytest.raises(PipelineError, match=message) as raised:
        attributes.check(index([f"Jane {number}" for number in range(51)]))
    assert "Jane" not in str(raised.value)


@pytest.mark.parametrize("date", ["1980-02-03", "19800203", "3.2.1980", "1980/02/03 10:00"])
def test_dates_are_refused_however_few(date):
    with pytest.raises(PipelineError, match="'x' holds dates, which tell patients apart"):
        attributes.check(index(["", date]))


@pytest.mark.parametrize("text", ["1980", "40-49", "12.5", "GE 3.0", "123456789"])
def test_numbers_and_groups_are_no_dates(text):
    attributes.check(index([text]))
