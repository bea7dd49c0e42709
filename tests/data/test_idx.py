"""The reader of idx files: what it reads, and what it refuses before it allocates."""

from __future__ import annotations

import gzip
import hashlib
import struct
import tracemalloc

import numpy as np
import pytest

from snnlab.data.idx import read_idx
from snnlab.errors import BadData

VALUES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def idx(*sizes, values=b"", magic=b"\x00\x00\x08"):
    return magic + bytes([len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes) + values


GOOD = idx(2, 3, 4, values=VALUES.tobytes())


def refusal(path, **options):
    with pytest.raises(BadData) as caught:
        read_idx(path, advice="Fetch it again.", **options)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert message.endswith("Fetch it again.")
    assert "\n" not in message
    return message


def test_a_plain_file_gives_its_values(tmp_path):
    (tmp_path / "x").write_bytes(GOOD)
    assert np.array_equal(read_idx(tmp_path / "x"), VALUES)


def test_a_compressed_file_is_found_beside_the_plain_name(tmp_path):
    (tmp_path / "x.gz").write_bytes(gzip.compress(GOOD))
    assert np.array_equal(read_idx(tmp_path / "x"), VALUES)


def test_sizes_are_read_as_big_endian(tmp_path):
    (tmp_path / "x").write_bytes(idx(258, values=bytes(258)))
    assert read_idx(tmp_path / "x").shape == (258,)


def test_the_checksum_is_that_of_the_uncompressed_bytes(tmp_path):
    (tmp_path / "x.gz").write_bytes(gzip.compress(GOOD))
    assert np.array_equal(read_idx(tmp_path / "x", sha256=hashlib.sha256(GOOD).hexdigest()), VALUES)


def test_another_content_of_the_right_length_is_refused(tmp_path):
    (tmp_path / "x").write_bytes(GOOD[:-1] + b"\xff")
    assert "sha256" in refusal(tmp_path / "x", sha256=hashlib.sha256(GOOD).hexdigest())


def test_a_missing_file_is_refused_by_name(tmp_path):
    assert "no such file" in refusal(tmp_path / "x")


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path):
    (tmp_path / "x").mkdir()
    assert "no such file" in refusal(tmp_path / "x")


@pytest.mark.parametrize("length", range(len(GOOD)))
def test_a_truncated_file_is_refused(tmp_path, length):
    (tmp_path / "x").write_bytes(GOOD[:length])
    refusal(tmp_path / "x")


@pytest.mark.parametrize("length", [0, 5, 20, 39])
def test_a_compressed_file_of_truncated_content_is_refused(tmp_path, length):
    (tmp_path / "x.gz").write_bytes(gzip.compress(GOOD[:length]))
    refusal(tmp_path / "x.gz")


@pytest.mark.parametrize("length", [0, 5, 20, -1])
def test_a_truncated_compressed_file_is_refused(tmp_path, length):
    (tmp_path / "x.gz").write_bytes(gzip.compress(GOOD)[:length])
    refusal(tmp_path / "x.gz")


def test_a_damaged_compressed_file_is_refused(tmp_path):
    packed = bytearray(gzip.compress(GOOD))
    packed[len(packed) // 2] ^= 0xFF
    (tmp_path / "x.gz").write_bytes(packed)
    refusal(tmp_path / "x.gz")


def test_a_file_that_is_only_called_gz_is_refused(tmp_path):
    (tmp_path / "x.gz").write_bytes(GOOD)
    assert "gzip" in refusal(tmp_path / "x.gz")


def test_bytes_beyond_the_announced_ones_are_refused(tmp_path):
    (tmp_path / "x").write_bytes(GOOD + b"\x00")
    assert "announces 40 bytes, but it has 41" in refusal(tmp_path / "x")


@pytest.mark.parametrize("magic", [b"\x00\x00\x0d", b"\x08\x00\x00", b"\x1f\x8b\x08", b"<!D"])
def test_another_magic_number_is_refused(tmp_path, magic):
    (tmp_path / "x").write_bytes(idx(2, 3, 4, values=bytes(24), magic=magic))
    assert f"begins with {magic.hex(' ')}" in refusal(tmp_path / "x")


@pytest.mark.parametrize("name", ["x", "x.gz"])
@pytest.mark.parametrize("sizes", [(2**32 - 1, 1000), (2**32 - 1,) * 32])
def test_a_header_that_claims_terabytes_is_refused_without_reading_on(tmp_path, name, sizes):
    content = idx(*sizes, values=bytes(1000))
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    tracemalloc.start()
    message = refusal(tmp_path / name)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "announces" in message
    assert peak < 2**20


def test_more_sizes_than_an_array_may_have_are_refused(tmp_path):
    (tmp_path / "x").write_bytes(idx(*[1] * 33, values=b"\x07"))
    assert "announces 33 sizes" in refusal(tmp_path / "x")


def test_what_the_system_says_of_a_file_is_told_without_its_jargon(tmp_path, monkeypatch):
    (tmp_path / "x").write_bytes(GOOD)

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("snnlab.data.idx._open", refuse)
    assert refusal(tmp_path / "x") == f"{tmp_path / 'x'}: Permission denied. Fetch it again."


def test_a_compressed_header_that_claims_much_costs_only_what_is_there(tmp_path):
    (tmp_path / "x.gz").write_bytes(gzip.compress(idx(2**30, values=bytes(1000))))
    tracemalloc.start()
    message = refusal(tmp_path / "x.gz")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "but it has 1,008" in message
    assert peak < 8 * 2**20  # one chunk and the copies of it on the way


def test_a_compressed_file_that_unpacks_to_much_more_than_announced_is_left_early(tmp_path):
    with gzip.open(tmp_path / "x.gz", "wb") as file:
        file.write(idx(2, 3, 4))
        for _ in range(64):
            file.write(bytes(2**20))
    tracemalloc.start()
    message = refusal(tmp_path / "x.gz")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "announces 40 bytes, but it has more" in message
    assert peak < 2**20


def test_more_values_than_any_dataset_has_are_refused_though_the_file_could_hold_them(tmp_path):
    with open(tmp_path / "x", "wb") as file:
        file.write(idx(2**30 + 1))
        file.truncate(file.tell() + 2**30 + 1)  # a sparse file: it takes no room on the disk
    assert "more than the 1,073,741,824 that are read" in refusal(tmp_path / "x")
