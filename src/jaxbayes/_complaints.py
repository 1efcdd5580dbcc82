"""What is wrong with draws, in words and numbers, graded."""

import arviz
import numpy as np
from scipy import stats

WRONG, FEW, LOOK = "do not trust these draws", "too few draws", "look before use"
PER_CHAIN = 100  # effective draws, for R-hat and error bars to mean something


def of_chains(tree, chi2, bounds):
    """List what is wrong with a run of NUTS, the gravest first.

    Args:
        tree: the run.
        chi2: of each observed site with a Normal likelihood, chi squared at the best
            draw and the number of points.
        bounds: the two ends of the sites that have two.
    """
    found = {WRONG: [], FEW: [], LOOK: []}
    names = [name for name in tree.posterior.data_vars if name in latent(tree)]
    draws = by_parameter({name: tree.posterior[name].values for name in names})
    frozen = [
        f"chain {i} never moved"
        for i in range(tree.posterior.sizes["chain"])
        if all(np.ptp(values[i]) == 0 for values in draws.values())
    ]
    if frozen:
        found[WRONG].append(", ".join(frozen))
    elif tree.posterior.sizes["draw"] < 4:
        found[FEW].append("fewer than 4 a chain, none of which can be compared")
    else:
        told = tree.posterior.to_dataset()[names]
        of_convergence(found, draws, tree.sample_stats["lp"].values, told)
    of_transitions(found, draws, tree.sample_stats)
    of_bounds(found, tree, bounds)
    of_fit(found, chi2)
    return [f"{grade}: {'; '.join(what)}" for grade, what in found.items() if what]


def latent(tree):
    """Return the names of the sites that are not computed from others."""
    return tree.attrs["latent"]


def by_parameter(values):
    """Take arrays of shape (chain, draw, ...) apart: one of (chain, draw) each."""
    return {
        name + "".join(f"[{i}]" for i in index): array[(..., *index)]
        for name, array in values.items()
        for index in np.ndindex(*array.shape[2:])
    }


def of_convergence(found, draws, lp, posterior):
    """Compare the chains, and count effective draws."""
    chains = len(lp)
    ess = {
        f"{kind} ESS": {
            name: float(value)
            for name, value in flat(arviz.ess(posterior, method=kind, prob=prob))
        }
        for kind, prob in (("bulk", None), ("tail", (0.05, 0.95)))
    }
    rhat = {}
    if chains > 1:
        rhat = dict(flat(arviz.rhat(posterior)))
        # of a parameter that no chain, or only one, ever moved
        rhat = {name: np.inf if np.isnan(v) else float(v) for name, v in rhat.items()}
    else:
        found[LOOK].append("one chain alone cannot be compared (run several)")
    worst = max(rhat, key=rhat.get, default=None)
    if worst and rhat[worst] > 1.1:
        found[WRONG].append(
            f"chains disagree, R-hat is {rhat[worst]:.2f} for {worst}: "
            + ", ".join(
                f"chain {i} at {np.median(one):.3g} (log density {np.median(p):.1f})"
                for i, (one, p) in enumerate(zip(draws[worst], lp, strict=True))
            )
            + " (they found different answers, or are slow to move between them: look "
            "at both, and change the model or the start)"
        )
        return
    wanted = PER_CHAIN * chains
    for kind, values in ess.items():
        least = min(values, key=values.get)
        if not values[least] >= wanted:
            times = wanted / max(values[least], 1)
            found[FEW].append(
                f"{kind} is {values[least]:.0f} for {least}, below {wanted} "
                f"(draw {times:.1f} times as many)"
            )
    if worst and rhat[worst] > 1.01:
        found[FEW].append(f"R-hat is {rhat[worst]:.3f} for {worst}, above 1.01")


def flat(dataset):
    """Yield the names and values of single parameters."""
    for name, array in dataset.data_vars.items():
        for index, value in np.ndenumerate(array.values):
            yield name + "".join(f"[{i}]" for i in index), value


def of_transitions(found, draws, sample_stats):
    """Look at divergences and at trees as deep as allowed."""
    diverging = sample_stats["diverging"].values
    if np.sum(diverging) > diverging.size / 1000:
        shift = {
            name: (np.median(values[diverging]) - np.median(values)) / np.std(values)
            for name, values in draws.items()
            if np.std(values) > 0
        }
        where = max(shift, key=lambda name: abs(shift[name]), default=None)
        there = (
            where
            and f", mostly where {where} is {'high' if shift[where] > 0 else 'low'}"
        )
        found[LOOK].append(
            f"{np.sum(diverging)} of {diverging.size} transitions diverged{there or ''}"
            " (change the prior or the parameterization there)"
        )
    deep = np.mean(sample_stats["n_steps"].values >= 2**10 - 1)
    if deep > 0.01:
        found[LOOK].append(
            f"{100 * deep:.0f} % of the trajectories are 1023 steps long, as allowed "
            "(parameters of very different scales, or strongly correlated)"
        )


def of_bounds(found, tree, bounds):
    """Look for draws piled up at an end of a bounded prior, narrower than it."""
    for name, (low, high) in bounds.items():
        values = tree.posterior[name].values
        for index in np.ndindex(*values.shape[2:]):
            one = values[(..., *index)].ravel()
            ends = low[index], high[index]
            width = np.subtract(*np.quantile(one, [0.95, 0.05]))
            if not 0 < width < 0.5 * (ends[1] - ends[0]):
                continue
            for end in ends:
                share = np.mean(np.abs(one - end) < 0.05 * width)
                if share > 0.1:  # 0.08 if the data want the end, 0.14 if far beyond
                    label = name + "".join(f"[{i}]" for i in index)
                    found[LOOK].append(
                        f"draws of {label} pile up at an end of its prior, {end:.6g} "
                        "(the data may want values that the prior excludes)"
                    )


def of_fit(found, chi2):
    """Compare chi squared at the best draw with the number of points.

    At any one draw it has that many degrees of freedom, whatever the model, if truth
    and data come from it: the truth might as well have been that draw.
    """
    for name, (value, points) in chi2.items():
        if stats.chi2.sf(float(value), int(points)) < 1e-6:
            found[LOOK].append(
                f"chi squared of {name} is {value:.0f} at the best draw, for {points} "
                "points (the model does not fit, or the error bars are too small)"
            )


def of_weights(khat, optima):
    """List what is wrong with draws by importance sampling."""
    found = []
    if not khat <= 0.7:
        found.append(
            f"{WRONG}: k-hat is {khat:.2f}, above 0.7 (the weights are too uneven: "
            "draw with sample)"
        )
    rivals = int(np.sum(optima.log_weight[1:] > -10))
    if rivals:
        share = np.exp(optima.log_weight[1])
        found.append(
            f"{LOOK}: {rivals + 1} optima share the posterior, the second with "
            f"{share:.2g} times the weight of the first (see the group optima; where "
            "they are copies with other labels, averages over both mean little)"
        )
    return found
