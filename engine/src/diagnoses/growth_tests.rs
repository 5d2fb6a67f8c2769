//! The exact test held against values that were computed elsewhere.

use super::*;

/// A count and its seconds, the baseline's count and its seconds.
type Input = (u64, f64, u64, f64);

/// Inputs, and the p-value as SciPy gives it:
/// `python3 -c "from scipy.stats import binom; print(repr(float(binom.sf(k1 - 1, k1 + k0, t1 / (t1 + t0)))))"`.
const KNOWN: &[(Input, f64)] = &[
    ((1, 1.0, 0, 60.0), 0.016_393_442_622_950_82),
    ((2, 1.0, 0, 60.0), 0.000_268_744_961_031_980_7),
    ((20, 2.0, 0, 600.0), 2.683_305_297_912_252e-50),
    ((5, 10.0, 300, 600.0), 0.560_958_099_900_182_2),
    ((20, 10.0, 300, 600.0), 5.123_885_112_315_069e-7),
    ((3, 5.0, 40, 60.0), 0.652_603_117_533_273_4),
    ((16, 1.0, 9_000, 600.0), 0.432_080_985_066_278_34),
    ((140, 60.0, 1_000, 600.0), 0.000_199_835_977_131_906_22),
    ((7, 0.5, 12, 31.0), 1.081_793_791_048_814_4e-8),
    (
        (10_010_000, 600.0, 10_000_000, 600.0),
        0.012_699_300_566_248_382,
    ),
    (
        (10_000_000, 600.0, 10_000_000, 600.0),
        0.500_089_206_204_692_8,
    ),
    (
        (5_005_000, 300.0, 10_000_000, 600.0),
        0.033_993_502_747_305_095,
    ),
    (
        (9_990_000, 600.0, 10_000_000, 600.0),
        0.987_351_956_870_253_8,
    ),
];

fn p_value((count, secs, baseline_count, baseline_secs): Input) -> f64 {
    test(count, secs, baseline_count, baseline_secs)
        .p_value
        .expect("the baseline is long enough")
}

#[test]
fn p_values_are_those_of_another_implementation() {
    for (input, expected) in KNOWN {
        let p = p_value(*input);
        assert!(
            (p - expected).abs() <= expected * 1e-9,
            "{input:?}: {p:e} is not {expected:e}"
        );
    }
}

#[test]
fn a_certain_growth_is_not_less_than_zero() {
    // SciPy's value is 0 as well: the true one is below the smallest number that is told apart from it.
    assert_eq!(p_value((10_000_000, 600.0, 0, 600.0)), 0.0);
    assert_eq!(p_value((200, 1.0, 200, 600.0)).max(1e-300), 1e-300);
}

#[test]
fn nothing_counted_is_no_growth() {
    assert_eq!(p_value((0, 10.0, 0, 600.0)), 1.0);
    assert_eq!(p_value((0, 10.0, 50, 600.0)), 1.0);
}

#[test]
fn a_baseline_of_zero_has_no_ratio_and_still_an_exact_p_value() {
    let growth = test(3, 2.0, 0, 598.0);
    assert_eq!(growth.ratio, None);
    let p = growth.p_value.expect("judged");
    assert!((p - (2.0f64 / 600.0).powi(3)).abs() < 1e-18, "{p:e}");
}

#[test]
fn a_thin_baseline_is_not_judged_and_its_counts_are_still_shown() {
    let growth = test(30, 2.0, 1, 29.9);
    assert_eq!((growth.ratio, growth.p_value), (None, None));
    assert_eq!((growth.count, growth.baseline_count), (30, 1));
    assert!(test(30, 2.0, 1, 30.0).p_value.is_some());
}

#[test]
fn the_ratio_is_of_rates() {
    assert_eq!(test(20, 10.0, 60, 600.0).ratio, Some(20.0));
}

#[test]
fn p_falls_as_the_count_grows() {
    let mut last = 1.1;
    for count in 0..400 {
        let p = p_value((count, 10.0, 900, 300.0));
        assert!(
            p < last || (p == last && p == 0.0),
            "at {count}: {p:e} after {last:e}"
        );
        last = p;
    }
}
