"""`last.pt` ends with a checksum, so a damaged file is never resumed from."""

import random

import pytest
import torch

from weaklesion.training.checkpoints import load_last, save_last


@pytest.mark.parametrize("seed", range(20))
def test_a_flipped_bit_starts_afresh(tmp_path, seed):
    path = tmp_path / "last.pt"
    save_last(path, "digest", {"weights": torch.arange(64.0)})
    assert torch.equal(load_last(path, "digest")["weights"], torch.arange(64.0))
    content, draw = bytearray(path.read_bytes()), random.Random(seed)
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)
    assert load_last(path, "digest") is None
