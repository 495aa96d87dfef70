import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageColor, ImageFont

from pipeline.imaging import sheet
from pipeline.imaging.sheet import Cell

RAMP = np.tile(np.arange(0, 224, 2, np.uint8), (112, 1))


def colours(image) -> set[tuple[int, int, int]]:
    return {colour for _, colour in image.getcolors(image.width * image.height)}


def rgb(name: str) -> tuple[int, ...]:
    return ImageColor.getrgb(name)


def drawn(*cells: Cell, size: int = 112) -> np.ndarray:
    return np.asarray(sheet.draw(cells, "title", size))


def find(page: np.ndarray, picture: np.ndarray) -> list[tuple[int, int]]:
    """Where the picture stands on the page, pixel for pixel."""
    height, width = picture.shape[:2]
    corners = [(0, 0), (0, width - 1), (height - 1, 0), (height - 1, width - 1), (0, width // 2)]
    inside = len(page) - height + 1, page.shape[1] - width + 1
    seen = [page[y : y + inside[0], x : x + inside[1], 0] == picture[y, x] for y, x in corners]
    rows, columns = np.nonzero(np.logical_and.reduce(seen))
    return [
        (int(row), int(column))
        for row, column in zip(rows, columns, strict=True)
        if (page[row : row + height, column : column + width] == picture[..., None]).all()
    ]


def test_a_small_picture_is_enlarged_by_a_whole_number_so_that_no_pixel_is_invented():
    assert len(find(drawn(Cell("a", RAMP)), RAMP.repeat(2, axis=0).repeat(2, axis=1))) == 1


def test_a_picture_that_is_large_enough_is_drawn_as_it_is_and_a_huge_one_reduced():
    large = RAMP.repeat(3, axis=0).repeat(3, axis=1)
    assert len(find(drawn(Cell("a", large), size=336), large)) == 1
    assert drawn(Cell("a", np.zeros((2000, 2000), np.uint8)), size=2000).shape[1] < 600


def test_sixteen_bits_look_like_eight():
    assert (drawn(Cell("a", RAMP.astype(np.uint16) << 8)) == drawn(Cell("a", RAMP))).all()


def test_colour_stays_colour():
    red = np.zeros((112, 112, 3), np.uint8)
    red[..., 0] = 200
    assert (200, 0, 0) in colours(sheet.draw([Cell("a", red)], "t", 112))


def test_what_cannot_be_shown_says_so_in_red_and_the_others_stay():
    image = sheet.draw([Cell("a", RAMP), Cell("b", fault="blank", remedy="export it again")], "title", 112)
    assert {rgb(sheet.FAULT), rgb(sheet.FAULT_GROUND)} <= colours(image)
    assert rgb(sheet.FAULT) not in colours(sheet.draw([Cell("a", RAMP)], "title", 112))
    assert len(find(np.asarray(image), RAMP.repeat(2, axis=0).repeat(2, axis=1))) == 1


def test_the_crop_box_stands_where_it_is_on_the_whole_picture():
    whole = np.zeros((200, 100), np.uint8)
    page = drawn(Cell("a", RAMP, whole=whole, box=(50, 25, 100, 50)))
    rows, columns = np.nonzero((page == rgb(sheet.BOX)).all(axis=-1))
    scale = 224 / 200  # as high as the picture beside it
    assert abs(np.ptp(rows) + 1 - 100 * scale) <= 2
    assert abs(np.ptp(columns) + 1 - 50 * scale) <= 2
    left = find(page, RAMP.repeat(2, axis=0).repeat(2, axis=1))[0][1] + 224 + sheet.PAD
    assert abs(columns.min() - left - 25 * scale) <= 2


def test_without_a_crop_no_place_is_kept_for_the_whole_picture():
    assert drawn(Cell("a", RAMP)).shape[1] < drawn(Cell("a", RAMP, whole=RAMP)).shape[1]


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (6, 1), (7, 2), (24, 4)])
def test_cells_stand_in_rows_of_equal_length(count, rows):
    page = drawn(*[Cell("a", RAMP)] * count)
    places = find(page, RAMP.repeat(2, axis=0).repeat(2, axis=1))
    assert (len(places), len({row for row, _ in places})) == (count, rows)
    assert page.shape[1] <= sheet.WIDEST + 2 * sheet.MARGIN


@given(st.text(max_size=120), st.integers(40, 400))
def test_wrapped_lines_fit_and_lose_no_character(text, width):
    lines = sheet.wrap(text, 13, width)
    font = ImageFont.load_default(13)
    assert all(font.getlength(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == sheet.plain(text).replace(" ", "")


def test_text_breaks_at_spaces_and_slashes_before_it_breaks_within_words():
    assert sheet.wrap("the folder/of/some/images with a name", 13, 100) == [
        "the folder/of/",
        "some/images",
        "with a name",
    ]
    whole = "a" * 30
    first, *rest = sheet.wrap(whole, 13, 100)
    assert first + "".join(rest) == whole
    assert ImageFont.load_default(13).getlength(first + "a") > 100
    assert sheet.wrap("", 13, 100) == [""]


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("12…3870", "12...3870"),
        ("640 × 512", "640 x 512"),
        ("Müller é", "Muller e"),
        ("中", "\\u4e2d"),
        ("a\nb", "a b"),
    ],
)
def test_characters_that_the_font_lacks_are_written_otherwise(text, drawn):
    assert sheet.plain(text) == drawn


@given(st.text())
def test_text_that_is_drawn_is_in_the_font(text):
    assert all((char.isascii() and char.isprintable()) or char in "·°" for char in sheet.plain(text))


def test_a_name_that_is_no_valid_text_is_drawn_all_the_same():
    assert sheet.plain("a\udcff") == "a\\udcff"
