//! Did a rate grow? Two counts over two stretches of time, compared exactly: under equal rates the later count is a
//! binomial share of both (Przyborowski and Wilenski, 1940). It does not know what was counted.

use crate::model::{Baseline, GrowthTest};

/// A baseline shorter than this tells nothing.
pub const BASELINE_MIN_SECS: f64 = 30.0;

/// Half the logarithm of two pi.
const HALF_LN_2_PI: f64 = 0.918_938_533_204_672_8;

/// How much ordinary time a baseline tells of, seconds. A time in which the service had no clients tells nothing: beside it any
/// close would be growth.
pub(crate) fn ordinary_secs(baseline: &Baseline) -> f64 {
    let Baseline {
        window_secs,
        counts,
    } = baseline;
    if counts.opened == 0 && counts.closes() == 0 {
        return 0.0;
    }
    *window_secs
}

/// Sets a count beside the baseline's. The p-value is the probability of such a count, or a greater one, had the rate
/// not grown; it and the ratio are left out where the baseline cannot give them.
pub fn test(count: u64, secs: f64, baseline_count: u64, baseline_secs: f64) -> GrowthTest {
    let judged = baseline_secs >= BASELINE_MIN_SECS && secs > 0.0;
    GrowthTest {
        count,
        secs,
        baseline_count,
        baseline_secs,
        ratio: (judged && baseline_count > 0).then(|| {
            let baseline = baseline_count as f64 / baseline_secs;
            count as f64 / secs / baseline
        }),
        p_value: judged.then(|| {
            upper_tail(
                count,
                count.saturating_add(baseline_count),
                secs / (secs + baseline_secs),
            )
        }),
    }
}

/// How many more there were than at the ordinary rate; all of them where that is not known.
pub(crate) fn excess(grown: &GrowthTest) -> u64 {
    if grown.baseline_secs < BASELINE_MIN_SECS {
        return grown.count;
    }
    let ordinary = grown.baseline_count as f64 / grown.baseline_secs * grown.secs;
    (grown.count as f64 - ordinary).max(0.0) as u64
}

/// P(X >= k) for X of a binomial distribution of n trials with probability p, 0 < p < 1.
///
/// Every term of the shorter tail is summed, outwards from the largest: all are positive, so nothing cancels, and they
/// fall off within a few standard deviations, so that there are some ten thousand even at ten million.
fn upper_tail(k: u64, n: u64, p: f64) -> f64 {
    if k == 0 {
        return 1.0;
    }
    let odds = p / (1.0 - p);
    if k as f64 > n as f64 * p {
        tail(
            pmf(k, n, p),
            (k..n).map(|j| (n - j) as f64 / (j + 1) as f64 * odds),
        )
    } else {
        let below = k - 1;
        let lower = tail(
            pmf(below, n, p),
            (1..=below)
                .rev()
                .map(|j| j as f64 / (n - j + 1) as f64 / odds),
        );
        1.0 - lower
    }
    .clamp(0.0, 1.0)
}

/// The first term and those after it, each given by its ratio to the one before.
fn tail(first: f64, ratios: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut term) = (first, first);
    for ratio in ratios {
        term *= ratio;
        sum += term;
        if term <= sum * 1e-17 {
            break;
        }
    }
    sum
}

/// P(X = k), by Loader's saddle-point expansion: it keeps all digits where factorials in logarithms lose half of them.
fn pmf(k: u64, n: u64, p: f64) -> f64 {
    let q = 1.0 - p;
    if k == 0 {
        return (n as f64 * (-p).ln_1p()).exp();
    }
    if k == n {
        return (n as f64 * p.ln()).exp();
    }
    let (x, m, rest) = (k as f64, n as f64, (n - k) as f64);
    let exponent = stirling_error(n)
        - stirling_error(k)
        - stirling_error(n - k)
        - deviance(x, m * p)
        - deviance(rest, m * q);
    let scale = 2.0 * HALF_LN_2_PI + x.ln() + (-x / m).ln_1p();
    (exponent - scale / 2.0).exp()
}

/// ln n! less Stirling's formula for it; n > 0.
fn stirling_error(n: u64) -> f64 {
    let x = n as f64;
    if n <= 15 {
        let ln_factorial: f64 = (2..=n).map(|i| (i as f64).ln()).sum();
        return ln_factorial - (x + 0.5) * x.ln() + x - HALF_LN_2_PI;
    }
    let square = x * x;
    (1.0 / 12.0
        - (1.0 / 360.0 - (1.0 / 1260.0 - (1.0 / 1680.0 - 1.0 / 1188.0 / square) / square) / square)
            / square)
        / x
}

/// x ln(x / mean) + mean - x, without loss of digits where the two are close.
fn deviance(x: f64, mean: f64) -> f64 {
    if (x - mean).abs() >= 0.1 * (x + mean) {
        return x * (x / mean).ln() + mean - x;
    }
    let v = (x - mean) / (x + mean);
    let mut sum = (x - mean) * v;
    let mut term = 2.0 * x * v;
    for j in 1..1_000 {
        term *= v * v;
        let next = sum + term / f64::from(2 * j + 1);
        if next == sum {
            break;
        }
        sum = next;
    }
    sum
}

#[cfg(test)]
#[path = "growth_tests.rs"]
mod tests;
