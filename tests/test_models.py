"""The models against each other, against SciPy, and against their derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.stats import norm

from jaxbayes.data import TRUTH
from jaxbayes.models import double_gaussian, double_gaussian_numpy, gaussian_sum

MODELS = [double_gaussian_numpy, double_gaussian, gaussian_sum]
JAX_MODELS = MODELS[1:]
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
