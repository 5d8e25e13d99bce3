"""The challenge's folders: what is written is read, and the truth wins."""

import numpy as np
import pytest

from ranvier.analysis.encoding import challenge_score
from ranvier.recordings.challenges import leaderboard, read_challenge, write_submission


def subject(folder, rng):
    fmri = folder / "training_split" / "training_fmri"
    images = folder / "training_split" / "training_images"
    for place in (fmri, images, folder / "roi_masks"):
        place.mkdir(parents=True)
    tables = {side: rng.standard_normal((6, n)).astype(np.float32) for side, n in (("lh", 4), ("rh", 5))}
    for side, table in tables.items():
        np.save(fmri / f"{side}_training_fmri.npy", table)
    for k in range(6):
        (images / f"train-{k:04}.png").touch()
    np.save(folder / "roi_masks" / "lh.floc_space.npy", np.arange(4))
    return tables


def test_a_subject_is_read_as_it_was_handed_out(tmp_path, rng):
    tables = subject(tmp_path / "subj01", rng)
    read = read_challenge(tmp_path / "subj01")
    assert read.name == "subj01" and len(read.train_images) == 6 and read.test_images == ()
    assert all((read.responses[side] == table).all() for side, table in tables.items())
    assert isinstance(read.responses["lh"], np.memmap) and read.masks["lh.floc_space"].tolist() == [0, 1, 2, 3]
    (read.train_images[0]).unlink()
    with pytest.raises(ValueError, match="6 images, 5 are there; expected"):
        read_challenge(tmp_path / "subj01")
    with pytest.raises(FileNotFoundError, match="expected a subject's folder"):
        read_challenge(tmp_path)


def test_no_pickle_is_read(tmp_path):
    folder = tmp_path / "training_split" / "training_fmri"
    folder.mkdir(parents=True)
    np.save(folder / "lh_training_fmri.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"expected a \.npy file"):
        read_challenge(tmp_path)


def test_the_truth_leads_the_board_and_scores_are_the_challenges(tmp_path, rng):
    truth = {s: {side: rng.standard_normal((50, 3)) for side in ("lh", "rh")} for s in ("subj01", "subj02")}
    ceilings = {s: {side: np.full(3, 0.5) for side in sides} for s, sides in truth.items()}
    noisy = {s: {side: x + 2 * rng.standard_normal(x.shape) for side, x in sides.items()} for s, sides in truth.items()}
    for name, answers in (("right", truth), ("noisy", noisy)):
        for s, sides in answers.items():
            paths = write_submission(tmp_path / name, s, sides)
            assert all(np.load(p).dtype == np.float32 for p in paths)
    board = leaderboard({"noisy": tmp_path / "noisy", "right": tmp_path / "right"}, truth, ceilings)
    assert [name for name, _ in board] == ["right", "noisy"] and board[0][1] == 100.0
    due = np.mean([challenge_score(np.concatenate([noisy[s][side].astype(np.float32) for side in ("lh", "rh")], 1),
                                   np.concatenate([truth[s][side] for side in ("lh", "rh")], 1), np.full(6, 0.5))
                   for s in truth])  # fmt: skip
    assert abs(board[1][1] - due) < 1e-9
    with pytest.raises(ValueError, match="expected \\(49, 3\\)"):
        leaderboard({"right": tmp_path / "right"}, {"subj01": {"lh": np.zeros((49, 3))}}, ceilings)
    with pytest.raises(ValueError, match="'lh' or 'rh'"):
        write_submission(tmp_path, "subj01", {"left": np.zeros((2, 2))})
    with pytest.raises(ValueError, match="finite"):
        write_submission(tmp_path, "subj01", {"lh": np.full((2, 2), np.nan)})
