import numpy as np
import pytest
import torch

from pipeline.backbone.augment import augment, mix, strength

STILL = {
    "flip": False,
    "turns": False,
    "degrees": 0.0,
    "shift": 0.0,
    "scale": 0.0,
    "contrast": 0.0,
    "colour": 0.0,
    "gamma": 0.0,
    "noise": 0.0,
}
ALL = {
    "flip": True,
    "turns": True,
    "degrees": 15.0,
    "shift": 0.1,
    "scale": 0.2,
    "contrast": 0.4,
    "colour": 0.2,
    "gamma": 0.3,
    "noise": 0.05,
}


def change(pictures, seed=0, strength=1.0, **amplitudes):
    strengths = np.full(len(pictures), strength)
    return augment(pictures, np.random.default_rng(seed), strengths, **(STILL | amplitudes))


def test_an_augmentation_of_nothing_changes_nothing():
    pictures = torch.rand(5, 3, 20, 20)
    assert torch.equal(change(pictures), pictures)


@pytest.mark.parametrize("degrees", [0.0, 1e-5])
def test_a_flip_mirrors_left_and_right_of_about_half_the_pictures(degrees):
    pictures = torch.rand(64, 1, 16, 16)
    moved = change(pictures, flip=True, degrees=degrees)
    close = 1e-5 if degrees else 0
    mirrored, same = ((moved - views).abs().amax((1, 2, 3)) <= close for views in (pictures.flip(-1), pictures))
    assert torch.equal(mirrored, ~same)
    assert 20 <= mirrored.sum() <= 44


@pytest.mark.parametrize("degrees", [0.0, 1e-5])
def test_turns_give_each_of_the_eight_right_angle_views_with_and_without_interpolation(degrees):
    picture = torch.rand(1, 1, 8, 8)
    moved = change(picture.repeat(200, 1, 1, 1), turns=True, degrees=degrees)
    views = [picture[0].rot90(turn, (-2, -1)) for turn in range(4)]
    views += [view.flip(-2) for view in views]
    close = 1e-5 if degrees else 0
    hits = [sum(torch.allclose(one, view, rtol=0, atol=close) for one in moved) for view in views]
    assert min(hits) > 0
    assert sum(hits) == 200


def test_what_lies_beyond_an_edge_continues_it():
    white = torch.ones(8, 1, 16, 16)
    torch.testing.assert_close(change(white, degrees=45.0, shift=0.3, scale=0.5), white)


def spots(where, n=400, side=41):
    """A soft spot in each of n pictures, at (x, y) in pixels from the centre."""
    y, x = torch.meshgrid(torch.arange(side) - side // 2, torch.arange(side) - side // 2, indexing="ij")
    return torch.exp(-((x - where[0]) ** 2 + (y - where[1]) ** 2) / 8.0).repeat(n, 1, 1, 1)


def centres(pictures):
    """Centre of mass in pixels from the middle: x and y, (2, n)."""
    offsets = torch.arange(pictures.shape[-1]) - pictures.shape[-1] // 2
    mass = pictures.sum((1, 2, 3))
    return torch.stack([(pictures.sum((1, 2)) * offsets).sum(1) / mass, (pictures.sum((1, 3)) * offsets).sum(1) / mass])


def assert_fills(values, low, high):
    """All within, up to interpolation, and close to both ends."""
    slack = 0.03 * (high - low)
    assert low - slack <= values.min() <= low + 2 * slack
    assert high - 2 * slack <= values.max() <= high + slack


@pytest.mark.parametrize("strength", [1.0, 2.0])
def test_a_shift_is_a_share_of_the_side(strength):
    for along in centres(change(spots((0, 0)), strength=strength, shift=0.1)):
        assert_fills(along, -4.1 * strength, 4.1 * strength)


@pytest.mark.parametrize("strength", [1.0, 2.0])
def test_a_rotation_is_in_degrees(strength):
    x, y = centres(change(spots((10, 0)), strength=strength, degrees=20.0))
    assert_fills(torch.rad2deg(torch.atan2(y, x)), -20.0 * strength, 20.0 * strength)
    torch.testing.assert_close(torch.hypot(x, y), torch.full((400,), 10.0), atol=0.1, rtol=0)


@pytest.mark.parametrize("strength", [1.0, 2.0])
def test_a_magnification_is_bounded_by_its_inverse(strength):
    x, y = centres(change(spots((0, 8)), strength=strength, scale=0.2))
    assert_fills(torch.log(y / 8), -np.log1p(0.2 * strength), np.log1p(0.2 * strength))
    assert x.abs().max() < 0.1


def grey(n=400):
    return torch.full((n, 1, 4, 4), 0.5)


@pytest.mark.parametrize("strength", [1.0, 2.0])
def test_contrast_and_gamma_are_one_change_per_picture_and_bounded(strength):
    bound = 1 + 0.1 * strength
    lift = change(grey(), strength=strength, contrast=0.1)
    assert torch.equal(lift.amin((1, 2, 3)), lift.amax((1, 2, 3)))
    steep = change(torch.tensor([0.4, 0.6]).repeat(400, 1, 1, 1), strength=strength, contrast=0.1)
    gain = (steep[..., 1] - steep[..., 0]) / 0.2
    assert_fills(gain.log(), -np.log(bound), np.log(bound))
    middle = steep.mean((1, 2, 3)) - 0.5 * gain.squeeze()
    assert_fills(middle, -0.05 * strength, 0.05 * strength)
    power = change(grey(), strength=strength, gamma=0.1)[:, 0, 0, 0].log() / np.log(0.5)
    assert_fills(power.log(), -np.log(bound), np.log(bound))


def test_colour_changes_each_channel_on_its_own_and_leaves_grey_pictures_alone():
    pictures = torch.full((200, 3, 4, 4), 0.5)
    means = change(pictures, colour=0.2).mean((2, 3))  # (B, 3)
    assert means.min() >= 0.5 / 1.2 - 0.1
    assert means.max() <= 0.5 * 1.2 + 0.1
    assert abs(float(torch.corrcoef(means.T)[0, 1])) < 0.2
    assert means.std(0).min() > 0.05
    assert torch.equal(change(pictures[:, :1], colour=0.2), pictures[:, :1])


def test_noise_has_its_standard_deviation_times_the_strength_of_each_picture():
    pictures = torch.full((2, 3, 100, 100), 0.5)
    noisy = augment(pictures, np.random.default_rng(0), np.array([1.0, 3.0]), **(STILL | {"noise": 0.02}))
    torch.testing.assert_close(noisy.std((2, 3)), torch.tensor([[0.02] * 3, [0.06] * 3]), rtol=0.03, atol=0)
    assert noisy.mean((2, 3)).flatten().tolist() == pytest.approx([0.5] * 6, abs=0.002)
    assert not torch.equal(noisy[0, 0], noisy[0, 1])


@pytest.mark.parametrize("channels", [1, 3])
def test_augmented_pictures_stay_in_range_and_differ_from_each_other(channels):
    pictures = torch.rand(1, channels, 24, 24).repeat(8, 1, 1, 1)
    moved = change(pictures, strength=3.0, **ALL)
    assert (moved.shape, moved.dtype) == (pictures.shape, torch.float32)
    assert moved.is_contiguous(memory_format=torch.channels_last)
    assert moved.min() >= 0
    assert moved.max() <= 1
    assert all(not torch.equal(moved[0], other) for other in moved[1:])


@pytest.mark.parametrize("amplitudes", [{}, {"flip": True}, {"degrees": 9.0}])
def test_the_pictures_given_stay_as_they_are(amplitudes):
    pictures = torch.rand(8, 3, 24, 24).contiguous(memory_format=torch.channels_last)
    before = pictures.clone()
    change(pictures, contrast=0.2, **amplitudes)
    assert torch.equal(pictures, before)


def test_the_generator_is_the_only_source_of_randomness():
    pictures = torch.rand(8, 3, 24, 24)
    state = torch.get_rng_state()
    once = change(pictures, **ALL)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(int(torch.randint(1000, ())))
    assert torch.equal(change(pictures, **ALL), once)
    assert not torch.equal(change(pictures, seed=1, **ALL), once)


def test_autocast_moves_no_pixel():
    pictures = torch.rand(8, 3, 24, 24)
    with torch.autocast("cpu", torch.bfloat16):
        inside = change(pictures, **ALL)
    assert torch.equal(change(pictures, **ALL), inside)


def test_rarer_classes_are_augmented_more_by_the_logarithm_of_their_count():
    targets = np.repeat([0, 1, 2], [100, 10, 1])
    np.testing.assert_allclose(strength(targets, 3, 3.0), np.repeat([1, 2, 3], [100, 10, 1]))
    several = np.zeros((111, 2), np.int8)
    several[:11, 0] = several[0, 1] = 1  # ten rows have the first label, one both, a hundred none
    np.testing.assert_allclose(strength(several, 2, 3.0), np.repeat([3, 2, 1], [1, 10, 100]))


@pytest.mark.parametrize("targets", [[0, 1, 0, 1], [2, 2], []])
def test_equal_classes_are_augmented_alike(targets):
    np.testing.assert_array_equal(strength(np.array(targets, int), 3, 3.0), np.ones(len(targets)))


def test_mixing_blends_each_picture_with_its_partner():
    pictures = torch.rand(500, 1, 4, 4)
    mixed, partner, share = mix(pictures, np.random.default_rng(0), 0.4)
    shares = share[:, None, None, None]
    torch.testing.assert_close(mixed, shares * pictures + (1 - shares) * pictures[partner])
    assert sorted(partner.tolist()) == list(range(500))
    assert (share.dtype, partner.dtype) == (torch.float32, torch.int64)
    assert share.mean().item() == pytest.approx(0.5, abs=0.05)
    assert share.var().item() == pytest.approx(1 / (4 * 1.8), abs=0.02)  # of Beta(a, a): 1 / (4 (2 a + 1))
    assert torch.equal(mix(pictures, np.random.default_rng(0), 0.4)[0], mixed)
