"""The models against each other, SciPy, their derivatives; as stated for NumPyro."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from numpyro import handlers
from numpyro.infer import Predictive
from numpyro.infer.util import log_density, potential_energy, unconstrain_fn
from scipy import stats
from scipy.stats import norm

from jaxbayes.data import PARAMETERS, TRUTH, simulate
from jaxbayes.fitting import chi2_numpy
from jaxbayes.models import (
    HIGH,
    LOW,
    SITES,
    double_gaussian,
    double_gaussian_numpy,
    free_model,
    gaussian_sum,
    lines_on_continuum,
    ordered_model,
    pixel_sum,
    relabel,
    to_params,
)

FALSE_ALARM = 1e-6  # how often a test of noise may fail if the code is right
MODELS = [double_gaussian_numpy, double_gaussian, gaussian_sum]
JAX_MODELS = MODELS[1:]
STATED = [free_model, ordered_model]  # for NumPyro
SMALL = simulate(0, 50)
X = np.linspace(-5, 5, 101)
PARAMS = [
    TRUTH,
    np.array([-1.5, 2.0, 0.2, 0.3, -3.0, 4.0]),  # a dip, narrow beside wide
    np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),  # one upon the other
]


def scaled_pdfs(params, x):
    """Evaluate a sum of Gaussians by SciPy's normal density, in float64."""
    terms = np.reshape(np.asarray(params, dtype=float), (-1, 3))
    return sum(a * s * np.sqrt(2 * np.pi) * norm.pdf(x, m, s) for a, m, s in terms)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("params", PARAMS)
@pytest.mark.parametrize("model", MODELS)
def test_models_agree_with_scipy(model, params, dtype):
    with jax.enable_x64(True):
        y = model(params.astype(dtype), X.astype(dtype))
    assert y.dtype == dtype
    expected = scaled_pdfs(params.astype(dtype), X.astype(dtype).astype(float))
    np.testing.assert_allclose(y, expected, rtol=0, atol=10 * np.finfo(dtype).eps)


@pytest.mark.parametrize("k", [1, 3])
def test_gaussian_sum_takes_any_number_of_terms(k):
    params = np.arange(1.0, 3 * k + 1)
    with jax.enable_x64(True):
        y = gaussian_sum(params, X)
    np.testing.assert_allclose(y, scaled_pdfs(params, X), rtol=1e-12)


@pytest.mark.parametrize("model", JAX_MODELS)
def test_jax_models_are_float32_by_default(model):
    assert model(TRUTH, X).dtype == jnp.float32


def test_numpy_model_takes_the_wider_dtype():
    narrow = TRUTH.astype(np.float32), X.astype(np.float32)
    assert double_gaussian_numpy(TRUTH, narrow[1]).dtype == np.float64
    assert double_gaussian_numpy(narrow[0], X).dtype == np.float64


@pytest.mark.parametrize("kind", [list, tuple, np.array, jnp.asarray])
@pytest.mark.parametrize("model", MODELS)
def test_params_may_be_any_sequence(model, kind):
    y = model(kind(TRUTH.tolist()), X)
    assert isinstance(y, np.ndarray if model is double_gaussian_numpy else jax.Array)
    np.testing.assert_allclose(y, scaled_pdfs(TRUTH, X), rtol=0, atol=3e-6)


@pytest.mark.parametrize("shape", [(), (1,), (4,), (2, 3)])
@pytest.mark.parametrize("model", MODELS)
def test_result_has_the_shape_of_x(model, shape):
    assert np.shape(model(TRUTH, np.zeros(shape))) == shape


@pytest.mark.parametrize("model", JAX_MODELS)
def test_jit_and_vmap_change_nothing(model):
    with jax.enable_x64(True):
        batch = jnp.array(PARAMS)
        one_by_one = [model(params, X) for params in PARAMS]
        together = jax.jit(jax.vmap(model, in_axes=(0, None)))(batch, X)
    np.testing.assert_allclose(together, one_by_one, rtol=1e-12)


@pytest.mark.parametrize("model", JAX_MODELS)
def test_gradient_in_closed_form(model):
    with jax.enable_x64(True):
        jacobian = jax.jacrev(model)(jnp.array(TRUTH), X)
    columns = []
    for a, m, s in TRUTH.reshape(2, 3):
        z = (X - m) / s
        bell = np.exp(-(z**2) / 2)
        columns += [bell, a * bell * z / s, a * bell * z**2 / s]
    np.testing.assert_allclose(jacobian, np.transpose(columns), atol=1e-12)


@pytest.mark.parametrize("model", JAX_MODELS)
def test_derivatives_match_finite_differences(model):
    with jax.enable_x64(True):
        check_grads(jax.jit(lambda params: model(params, X)), (TRUTH,), order=2)


@pytest.mark.parametrize("n", [0, 5, 7, 12])
@pytest.mark.parametrize("model", [double_gaussian_numpy, double_gaussian])
def test_double_gaussian_needs_six_params(model, n):
    with pytest.raises(ValueError, match=f"params must hold 6 values, got {n}"):
        model(np.ones(n), X)


@pytest.mark.parametrize("shape", [(0,), (1,), (2,), (4,), (), (3, 6)])
def test_gaussian_sum_needs_three_params_a_term(shape):
    with pytest.raises(ValueError, match="params must hold 3 values a Gaussian"):
        gaussian_sum(np.ones(shape), X)
    with pytest.raises(ValueError, match="params must hold 3 values a Gaussian"):
        pixel_sum(np.ones(shape), X, 0.1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("pixel", [1e-6, 0.05, 0.59, 0.61, 1.1, 20.0])
@pytest.mark.parametrize("params", [*PARAMS, np.array([2.0, 0.3, 0.5])])
def test_pixels_average_the_curve(params, pixel, dtype):
    """By Gauss-Legendre quadrature, in pieces much narrower than each Gaussian."""
    nodes, weights = np.polynomial.legendre.leggauss(8)
    inner = (np.arange(400) + 0.5 + nodes[:, None] / 2) / 400 - 0.5
    with jax.enable_x64(True):
        y = pixel_sum(params.astype(dtype), X.astype(dtype), dtype(pixel))
    assert y.dtype == dtype
    at = X.astype(dtype).astype(float)[:, None, None] + dtype(pixel).astype(float) * (
        inner
    )
    within = scaled_pdfs(params.astype(dtype), at)
    expected = np.mean(np.sum(within * weights[:, None] / 2, axis=1), axis=1)
    np.testing.assert_allclose(y, expected, rtol=0, atol=30 * np.finfo(dtype).eps)


@pytest.mark.parametrize("pixel", [0.05, 1.15, 1.25, 4.0])
def test_pixels_far_from_a_line_keep_their_digits(pixel):
    nodes, weights = np.polynomial.legendre.leggauss(200)
    with jax.enable_x64(True):
        y = pixel_sum([1.0, 0.0, 1.0], np.array([-9.0, 6.0, 12.0]), pixel)
    at = np.array([[-9.0], [6.0], [12.0]]) + pixel / 2 * nodes
    expected = np.sum(weights / 2 * np.exp(-(at**2) / 2), axis=1)
    np.testing.assert_allclose(y, expected, rtol=1e-6)


def test_pixels_that_touch_hold_the_whole_line():
    x = np.linspace(-50, 50, 101)
    for width in (0.01, 0.5, 4.0):  # its flux is a s sqrt(2 pi)
        with jax.enable_x64(True):
            flux = np.sum(pixel_sum([3.0, 0.3, width], x, 1.0))
        np.testing.assert_allclose(flux, 3 * width * np.sqrt(2 * np.pi), rtol=1e-12)


def test_pixels_may_have_gaps_and_widths_of_their_own():
    pixel = np.linspace(0.05, 3, X.size)
    with jax.enable_x64(True):
        y = pixel_sum(TRUTH, X, pixel)
        for i in (0, 40, 77):
            one = pixel_sum(TRUTH, X[i], pixel[i])
            np.testing.assert_allclose(y[i], one, rtol=1e-12)
        some = np.array([5, 44, 45, 90])
        np.testing.assert_allclose(pixel_sum(TRUTH, X[some], pixel[some]), y[some])
        turned = pixel_sum(TRUTH, X[::-1], pixel[::-1])
        np.testing.assert_allclose(turned, y[::-1], rtol=1e-12)


def test_points_are_very_narrow_pixels():
    with jax.enable_x64(True):
        np.testing.assert_allclose(
            pixel_sum(TRUTH, X, 1e-9), gaussian_sum(TRUTH, X), rtol=1e-12
        )


@pytest.mark.parametrize("pixel", [0.1, 1.2])
def test_derivatives_of_pixels_match_finite_differences(pixel):
    with jax.enable_x64(True):
        check_grads(
            jax.jit(lambda params: pixel_sum(params, X, pixel)), (TRUTH,), order=2
        )


@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize("width", [1e-8, 0.5, 1e3, 1e8])
def test_derivatives_of_pixels_are_finite(width, x64):
    """Also far from the line, and for lines much narrower or wider than a pixel."""
    far = np.linspace(-1e4, 1e4, 21)
    with jax.enable_x64(x64):
        params = jnp.array([2.0, 0.1, width])
        jacobian = jax.jacrev(pixel_sum)(params, far, 1.0)
        by_pixel = jax.grad(lambda p: jnp.sum(pixel_sum(params, far, p)))(1.0)
    assert np.all(np.isfinite(jacobian))
    assert np.isfinite(by_pixel)


@pytest.mark.parametrize("shape", [(3,), (101, 1), (1,)])
def test_pixels_must_match_x(shape):
    message = r"pixel must be one number or of shape \(101,\), got"
    with pytest.raises(ValueError, match=message):
        pixel_sum(TRUTH, X, np.ones(shape))


# the models that are stated for NumPyro


def in_prior(n):
    """Draw parameters from the prior of the ordered model, as dictionaries."""
    pairs = np.random.default_rng(0).uniform(LOW, HIGH, (n, 6)).reshape(n, 2, 3)
    pairs[:, :, 1].sort(axis=1)
    return [{name: one[:, i] for i, name in enumerate(SITES)} for one in pairs]


KNOWN = {
    "rest": np.array([-0.4, 0.1, 0.5]),
    "shift": 0.05,
    "tie": np.array([[1 / 3, 0], [0, -1], [1, 0]]),  # the second absorbs
    "amplitude": np.array([0.5, 0.2]),
    "resolution": 0.02,
    "broadening": 0.03,
    "continuum": np.array([1.0, 0.0, 0.0]),
    "slack": 0.3,
}


@pytest.mark.parametrize("own", [False, True])
def test_lines_on_continuum_by_hand(own):
    """One shift and width for all lines, or one for each."""
    x, pixel = np.linspace(-1, 1, 80)[::-1], 0.01
    many = (lambda *v: np.array(v)) if own else (lambda *v: v[0])
    known = KNOWN | {"shift": many(0.05, 0.05, 0.05), "broadening": many(0.03, 1, 1)}
    values = {
        "shift": many(0.02, -0.01, 0.03),
        "amplitude": np.array([0.6, 0.1]),
        "broadening": many(0.04, 0.03, 0.02),
        "continuum": np.array([0.9, -0.1, 0.05]),
    }
    with jax.enable_x64(True):
        model = handlers.substitute(lines_on_continuum, values)
        curve = np.asarray(model(x, pixel, known))
        width = np.sqrt(0.02**2 + np.square(values["broadening"]))
        places = KNOWN["rest"] + values["shift"]
        widths = np.broadcast_to(width, 3)
        three = np.transpose([[0.2, -0.1, 0.6], places, widths]).ravel()
        expected = np.array(pixel_sum(three, x, pixel))
    expected += np.polynomial.chebyshev.chebval(x, values["continuum"])
    np.testing.assert_allclose(curve, expected, rtol=1e-10)


def test_lines_on_continuum_have_their_priors():
    draws = Predictive(lines_on_continuum, num_samples=4_000)(
        jax.random.key(0), X / 5, 0.02, KNOWN
    )
    known = {
        "shift": (draws["shift"], norm(0, 0.05)),
        "nitrogen": (draws["amplitude"][:, 0], stats.halfnorm(scale=0.5)),
        "hydrogen": (draws["amplitude"][:, 1], stats.halfnorm(scale=0.2)),
        "broadening": (draws["broadening"], stats.halfnorm(scale=0.03)),
        "continuum": (draws["continuum"][:, 0], norm(1, 0.3)),
        "slope": (draws["continuum"][:, 1], norm(0, 0.3)),
    }
    for name, (values, prior) in known.items():
        p = stats.kstest(np.asarray(values, dtype=float), prior.cdf).pvalue
        assert p > FALSE_ALARM, name


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"slack": None}, "known must have slack, got amplitude, broad"),
        ({"rest": 0.1}, r"known\['rest'\] must have one axis, got shape \(\)"),
        ({"continuum": 1.0}, r"known\['continuum'\] must have one axis"),
        ({"tie": np.ones((2, 3))}, r"known\['tie'\] must have shape \(3, 2\), a row"),
        ({"shift": np.ones(2)}, r"known\['shift'\] must be .* shape \(3,\), .* \(2,\)"),
    ],
)
def test_what_is_known_is_checked(changed, message):
    known = {k: v for k, v in (KNOWN | changed).items() if v is not None}
    seeded = handlers.seed(lines_on_continuum, 0)
    with pytest.raises(ValueError, match=message):
        seeded(X, 0.1, known)


def test_params_are_in_their_order():
    values = {"amplitude": TRUTH[[0, 3]], "mean": TRUTH[[1, 4]], "width": TRUTH[[2, 5]]}
    np.testing.assert_allclose(to_params(**values), TRUTH, rtol=1e-6)
    many = {name: np.broadcast_to(v, (3, 4, 2)) for name, v in values.items()}
    params = to_params(**many)
    assert params.shape == (3, 4, len(PARAMETERS))
    np.testing.assert_allclose(params[2, 1], TRUTH, rtol=1e-6)


@pytest.mark.parametrize("model", STATED)
def test_ends_are_those_of_the_priors(model):
    trace = handlers.trace(handlers.seed(model, 0)).get_trace(SMALL.x)
    supports = [trace[name]["fn"].support for name in SITES]
    for i, support in enumerate(supports):
        assert np.all(support.lower_bound == LOW[i::3])
        assert np.all(support.upper_bound == HIGH[i::3])


@pytest.mark.parametrize(
    ("flag", "rtol"), [(True, 1e-12), (False, 1e-5)], ids=["float64", "float32"]
)
@pytest.mark.parametrize("yerr", [0.7, np.linspace(0.1, 0.5, 50)], ids=["one", "many"])
@pytest.mark.parametrize("model", STATED)
def test_log_density_is_what_scipy_says(model, yerr, flag, rtol):
    x, y = SMALL.x, SMALL.y
    for values in in_prior(10):
        params = np.stack([values[name] for name in SITES], axis=-1).ravel()
        expected = stats.norm(double_gaussian_numpy(params, x), yerr).logpdf(y).sum()
        expected += stats.uniform(LOW, HIGH - LOW).logpdf(params).sum()
        expected += np.log(2) if model is ordered_model else 0  # one order of two
        with jax.enable_x64(flag):
            found, _ = log_density(model, (x, y, yerr), {}, values)
        np.testing.assert_allclose(found, expected, rtol=rtol)


@pytest.mark.parametrize("model", STATED)
def test_log_density_is_minus_half_of_chi2(model):
    first, second = in_prior(2)
    params = [
        np.stack([v[name] for name in SITES], -1).ravel() for v in (first, second)
    ]
    drop = np.diff([chi2_numpy(one, *SMALL) for one in params])
    with jax.enable_x64(True):
        rise = np.diff([log_density(model, SMALL, {}, v)[0] for v in (first, second)])
    np.testing.assert_allclose(rise, -drop / 2, rtol=1e-12)


def test_free_model_has_a_mirror_image_and_the_ordered_has_none():
    values = in_prior(1)[0]
    mirror = {name: value[::-1] for name, value in values.items()}
    with jax.enable_x64(True):
        there, image = (
            log_density(free_model, SMALL, {}, v)[0] for v in (values, mirror)
        )
    np.testing.assert_allclose(there, image, rtol=1e-12)
    with pytest.warns(UserWarning, match="Out-of-support"):
        assert log_density(ordered_model, SMALL, {}, mirror)[0] == -np.inf


@pytest.mark.parametrize("model", STATED)
def test_gradients_are_finite_all_over_the_prior(model):
    values = jax.tree.map(lambda *leaves: jnp.stack(leaves), *in_prior(20))

    def energy(values):
        start = unconstrain_fn(model, SMALL, {}, values)
        return potential_energy(model, SMALL, {}, start)

    gradients = jax.jit(jax.vmap(jax.grad(energy)))(values)
    assert np.all([np.isfinite(leaf) for leaf in jax.tree.leaves(gradients)])


@pytest.mark.parametrize("model", STATED)
def test_prior_predictive(model):
    n = 1000
    drawn = Predictive(model, num_samples=n)(jax.random.key(0), SMALL.x)
    assert {name: value.shape for name, value in drawn.items()} == {
        "amplitude": (n, 2),
        "mean": (n, 2),
        "width": (n, 2),
        "y": (n, 50),
    }
    ordered = np.mean(drawn["mean"][:, 0] <= drawn["mean"][:, 1])
    assert ordered == 1 if model is ordered_model else 0.3 < ordered < 0.7
    params = np.asarray(to_params(*(drawn[name] for name in SITES)))
    assert np.all((params >= LOW) & (params <= HIGH))
    noise = drawn["y"] - np.array([double_gaussian_numpy(p, SMALL.x) for p in params])
    assert stats.kstest(noise.ravel() / 0.3, "norm").pvalue > FALSE_ALARM


@pytest.mark.parametrize("model", STATED)
def test_models_refuse_mismatched_data(model):
    with pytest.raises(ValueError, match=r"y must have the shape of x, \(50,\), got"):
        log_density(model, (SMALL.x, SMALL.y[:1], 0.3), {}, in_prior(1)[0])


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_relabeled_gaussians_keep_their_parameters(k):
    rng = np.random.default_rng(k)
    lines = rng.normal(size=(4, 7, k, 3))
    mixed = np.take_along_axis(lines, rng.random((4, 7, k, 1)).argsort(axis=2), axis=2)
    found = relabel(mixed.reshape(4, 7, 3 * k))
    np.testing.assert_array_equal(found, relabel(lines.reshape(4, 7, 3 * k)))
    assert np.all(np.diff(found[..., 1::3]) > 0)
    key = lambda parts: parts[np.argsort(parts[:, 1])]  # noqa: E731
    for i, j in np.ndindex(4, 7):
        np.testing.assert_array_equal(found[i, j].reshape(k, 3), key(lines[i, j]))


@pytest.mark.parametrize("bad", [3.0, np.zeros(4), np.zeros((6, 2))])
def test_what_is_no_set_of_gaussians_is_not_relabeled(bad):
    with pytest.raises(ValueError, match=r"params must be of shape \(\.\.\., 3 K\)"):
        relabel(bad)
