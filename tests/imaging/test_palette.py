import numpy as np
import pytest
from pydicom.dataset import Dataset

from pipeline.imaging import palette


def header(entries, bits, data, first=0):
    made = Dataset()
    for colour, part in zip(palette.COLOURS, data, strict=True):
        setattr(made, f"{colour}PaletteColorLookupTableDescriptor", [entries, first, bits])
        setattr(made, f"{colour}PaletteColorLookupTableData", part)
    return made


def test_an_odd_number_of_8_bit_entries_has_a_byte_of_padding():
    made = header(3, 8, [b"\x01\x02\x03\x00", b"\x04\x05\x06\x00", b"\x07\x08\x09\x00"])
    rgb = palette.colours(np.array([0, 1, 2, 9]), made, True)
    np.testing.assert_allclose(rgb * 255, [[1, 4, 7], [2, 5, 8], [3, 6, 9], [3, 6, 9]], rtol=1e-6)


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_entries_are_in_the_byte_order_of_the_file(order):
    data = [np.array([0, value], f"{order}u2").tobytes() for value in (258, 5, 65535)]
    rgb = palette.colours(np.array([1]), header(2, 16, data), order == "<")
    np.testing.assert_allclose(rgb * 65535, [[258, 5, 65535]], rtol=1e-6)


def test_more_than_256_entries_of_8_bits_do_not_wrap_around():
    table = (np.arange(600) // 3).astype(np.uint8)
    rgb = palette.colours(np.array([599, 300]), header(600, 8, [table.tobytes()] * 3), True)
    np.testing.assert_allclose(rgb[:, 0] * 255, [199, 100], rtol=1e-6)


def test_8_bit_entries_in_words_keep_their_scale():
    data = [np.array([0, 200], "<u2").tobytes()] * 3
    np.testing.assert_allclose(palette.colours(np.array([1]), header(2, 8, data), True) * 255, 200, rtol=1e-6)
