//! Medians: on a machine with other things to do, the mean is theirs.

/// The middle value, or the mean of the two in the middle; 0 of nothing.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// The value that a quarter of all is below; 0 of nothing. What disturbs a measurement of a program's time makes it longer.
pub(super) fn lower_quartile(values: &[f64]) -> f64 {
    quantile(values, 0.25)
}

/// The value that such a part of all is below, and the largest of all for 1; 0 of nothing.
pub(super) fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let nth = (sorted.len() as f64 * part) as usize;
    let nth = nth.min(sorted.len().saturating_sub(1));
    sorted.get(nth).copied().unwrap_or(0.0)
}

/// The median of each round's difference.
pub(super) fn median_difference(of: &[f64], from: &[f64]) -> f64 {
    let differences: Vec<f64> = of.iter().zip(from).map(|(a, b)| a - b).collect();
    median(&differences)
}

/// The median of each round's ratio: what disturbs a whole round disturbs both.
pub(super) fn median_ratio(over: &[f64], under: &[f64]) -> f64 {
    let ratios: Vec<f64> = over.iter().zip(under).map(|(a, b)| a / b).collect();
    median(&ratios)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[3.0, 1.0, 100.0]), 3.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 100.0]), 3.0);
    }

    #[test]
    fn a_quarter_is_below_the_lower_quartile() {
        assert_eq!(lower_quartile(&[]), 0.0);
        assert_eq!(lower_quartile(&[7.0]), 7.0);
        assert_eq!(lower_quartile(&[9.0, 1.0, 3.0, 2.0]), 2.0);
    }

    #[test]
    fn a_quantile_is_one_of_the_values() {
        assert_eq!(quantile(&[], 0.99), 0.0);
        let hundred: Vec<f64> = (0..100).rev().map(f64::from).collect();
        assert_eq!(quantile(&hundred, 0.5), 50.0);
        assert_eq!(quantile(&hundred, 0.99), 99.0);
        assert_eq!(quantile(&hundred, 1.0), 99.0);
        assert_eq!(quantile(&[7.0], 0.99), 7.0);
    }

    #[test]
    fn differences_are_taken_round_by_round() {
        let difference = median_difference(&[5.0, 20.0, 3.0], &[1.0, 19.0, 1.0]);
        assert_eq!(difference, 2.0);
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        assert_eq!(median_ratio(&[1.0, 20.0, 3.0], &[1.0, 10.0, 1.0]), 2.0);
    }
}
