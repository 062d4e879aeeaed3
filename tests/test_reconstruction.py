"""An autoencoder's way: trained by a recipe, judged by what comes back, beside lossy codecs."""

import io
import json

import numpy as np
import pytest
from colour_banks import write_imagenette
from PIL import Image
from tiny import recipe

import vgzoo
from vgzoo import hub, models, registry
from vgzoo.metrics import PSNR, lossy, reconstruction
from vgzoo.metrics.evaluate import evaluate
from vgzoo.train import recipes, train

VAE = dict(frames=5, height=64, width=64, channels=3, widths=[4, 4, 8], latent=2)
VAE |= dict(encoder_blocks=[1, 1, 1], decoder_blocks=[1, 1, 1])
RECIPE = recipe(
    "causalvae",
    VAE,
    "imagenette",
    stage={"steps": 2, "frames": 5, "size": 64, "batch_size": 4},
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A weights folder that a recipe made, among judges that have learnt nothing."""
    root = tmp_path_factory.mktemp("weights")
    write_imagenette(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VGZOO_DATA", str(root))
        patch.setattr(models.model_class("causalvae"), "fitted_to", 8)
        patch.setattr(registry, "weights_root", lambda: root)
        encoder = models.build("clip_encoder", frames=4, stem=4, widths=(4, 4, 4), head=8)
        hub.save(encoder, root / "clip-encoder", dataset="mnist+cifar10+imagenette")
        (root / "vae.json").write_text(json.dumps(RECIPE))
        done = train(root / "vae.json", out=root / "run", verbose=0)
        assert done["finished"]
        yield root / "run"


def test_training_leaves_a_fitted_prior_and_strips_of_what_comes_back(trained):
    model = vgzoo.load(trained / "vae")
    first = np.asarray(model.prior.first_new)
    assert np.isfinite(first).all() and np.abs(first - np.eye(2)).max() > 1e-3
    with np.load(trained / "vae" / "golden.npz") as golden:
        np.testing.assert_array_equal(model.generate(2, seed=0), golden["clips"])
    strip = np.asarray(Image.open(trained / "samples" / "0000002.png").convert("RGB"))
    real = recipes.shown(RECIPE, 2)
    assert real.shape == (2, 5, 64, 64, 3)
    rows = [np.abs(strip[y : y + 64].astype(int)[:, :64] - real[0, 0]).mean() for y in range(3)]
    assert min(rows) == 0, "a real clip stands above what comes back of it"


def test_an_autoencoder_is_judged_beside_codecs(trained):
    report = evaluate(trained / "vae", n=4)
    assert report["protocol"] == "reconstruction-imagenette"
    figures, floors = report["metrics"], report["floors"]
    # 2 latent frames of 16×16 places and 2 channels, of 8 bits each, for 5 frames of 64×64.
    assert figures["bits_per_pixel"] == pytest.approx(2 * 256 * 2 * 8 / (5 * 4096))
    for name in ("JPEG", "H.264"):
        assert 0 < floors[name]["bits_per_pixel"] <= figures["bits_per_pixel"]
        assert floors[name]["psnr"] > figures["psnr"], "two steps of training beat no codec"
    assert floors["block means"]["bits_per_pixel"] == figures["bits_per_pixel"]
    assert np.isfinite([*figures.values(), *floors["block means"].values()]).all()
    written = json.loads((trained / "vae" / "metrics.json").read_text())
    assert written["values"] == figures
    # What it generates is judged as a generator's clips are, too, its odd frame left out.
    other = evaluate(trained / "vae", protocol="generation-imagenette", n=8, write=False)
    assert np.isfinite(list(other["metrics"].values())).all()


def test_latents_are_coded_to_within_half_a_step(trained):
    model = vgzoo.load(trained / "vae")
    latents = np.random.default_rng(0).normal(size=(3, 2, 16, 16, 2)).astype("float32")
    coded, bits = reconstruction._coded(model, latents)
    span = np.ptp(latents, axis=(0, 1, 2, 3))
    assert (np.abs(coded - latents).max(axis=(0, 1, 2, 3)) <= 0.501 * span / 255).all()
    assert max(len(np.unique(coded[..., c])) for c in (0, 1)) <= 256 and bits == 8 * 1024


def test_a_quantised_latent_needs_the_logarithm_of_its_codes():
    model = models.build("causalvae", **VAE | {"levels": (8, 4)})
    latents = model.encode(np.zeros((1, 5, 64, 64, 3), "uint8"))
    coded, bits = reconstruction._coded(model, latents)
    assert coded is latents and bits == 2 * 256 * 5


def test_block_means_are_the_means_of_blocks():
    model = models.build("causalvae", **VAE)
    clips = np.random.default_rng(0).integers(0, 256, (2, 5, 64, 64, 3), "uint8")
    made = reconstruction._block_means(clips, model)
    assert (made[:, 0, :4, :4] == made[:, :1, 0, 0][:, None]).all()
    np.testing.assert_allclose(
        made[0, 1, 8, 12], clips[0, 1:, 8:12, 12:16].mean((0, 1, 2)), atol=0.5
    )
    assert (made[:, 1] == made[:, 4]).all()


# -- codecs --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def films():
    """Smooth pictures that move."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (4, 8, 8, 3), "uint8")
    large = [np.asarray(Image.fromarray(s).resize((48, 48), 3)) for s in small]
    return np.stack([[p[t : t + 32, 2 * t : 2 * t + 32] for t in range(6)] for p in large])


@pytest.mark.parametrize("codec, settings", [(lossy.jpeg, (5, 50, 95)), (lossy.h264, (45, 25, 5))])
@pytest.mark.parametrize("channels", [1, 3])
def test_more_bits_bring_more_back(films, codec, settings, channels):
    clip = films[0][..., :channels]
    made, bits = zip(*(codec(clip, setting) for setting in settings), strict=True)
    assert all(m.shape == clip.shape and m.dtype == np.uint8 for m in made)
    assert list(bits) == sorted(bits) and bits[0] < bits[-1]
    ratios = [PSNR()(clip, m) for m in made]
    assert ratios == sorted(ratios) and ratios[-1] > ratios[0] + 5


def test_of_a_jpeg_only_the_scan_counts(films):
    file = io.BytesIO()
    Image.fromarray(films[0, 0]).save(file, "JPEG", quality=50, optimize=True)
    _, bits = lossy.jpeg(films[0, :1], 50)
    assert 0 < bits < 8 * len(file.getvalue()) - 8 * 200


def test_the_best_setting_within_the_bits_is_found(films):
    every = {q: np.mean([lossy.jpeg(clip, q)[1] for clip in films]) for q in range(1, 96)}
    budget = every[60] + 1
    made, bits = lossy.at_most(lossy.jpeg, films, budget, range(1, 96))
    assert bits == max(b for b in every.values() if b <= budget)
    assert made.shape == films.shape
    least, bits = lossy.at_most(lossy.jpeg, films, 1.0, range(1, 96))
    assert bits == every[1] and least.shape == films.shape
