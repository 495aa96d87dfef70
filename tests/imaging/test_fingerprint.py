import hashlib
import io

import pytest

from pipeline.imaging import fingerprint

BODY = bytes(range(256)) * 2048  # 512 KiB


def of(content):
    return fingerprint.of(io.BytesIO(content))


def changed(content, place):
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def test_of_a_small_file_every_byte_counts():
    small = BODY[: fingerprint.WHOLE]
    assert of(small) == hashlib.sha256(small).hexdigest()[:32]
    assert len({of(changed(small, place)) for place in (0, 70_000, 200_001, len(small) - 1)} | {of(small)}) == 5


@pytest.mark.parametrize("magic", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*"])
def test_of_a_large_picture_every_byte_counts(magic):
    content = magic + BODY
    assert of(content) == hashlib.sha256(content).hexdigest()[:32]


@pytest.mark.parametrize("place", [0, 132, 65_535, 2**16 + 7 * 2**12 - 1, 2**16 + 6 * 2**12, 2**19 - 4_096, 2**19 - 1])
def test_of_a_large_dicom_file_start_and_blocks_up_to_the_end_count(place):
    assert of(changed(BODY, place)) != of(BODY)


def test_of_a_large_dicom_file_what_lies_between_the_blocks_does_not_count():
    assert of(changed(BODY, 2**16)) == of(changed(BODY, 2**19 - 4_097)) == of(BODY)


def test_of_a_large_dicom_file_16_blocks_count_and_the_size():
    counted = sum(of(changed(BODY, place)) != of(BODY) for place in range(2**16, len(BODY), 2**12))
    assert counted == 16
    assert of(BODY + b"\0" * 4096) != of(BODY)


def test_of_one_byte_more_than_is_read_whole_the_last_byte_counts():
    content = BODY[: fingerprint.WHOLE + 1]
    assert of(changed(content, fingerprint.WHOLE)) != of(content)
    assert of(changed(content, 2**16)) == of(content)
