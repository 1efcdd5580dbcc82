"""What is wrong with draws, in words and numbers, graded."""

import numpy as np


def of_weights(khat, optima):
    """List what is wrong with draws by importance sampling."""
    found = []
    if not khat <= 0.7:
        found.append(
            f"do not trust these draws: k-hat is {khat:.2f}, above 0.7 (the posterior "
            "is not like a multivariate t: draw with sample)"
        )
    rivals = np.sum(optima.log_weight[1:] > -10)
    if rivals:
        share = np.exp(optima.log_weight[1])
        found.append(
            f"do not trust these draws: {rivals} more optima as good or nearly so, "
            f"the best with a weight of {share:.2g} of the first, are left out (look "
            "at the group optima of the result)"
        )
    return found
