//! Figures: their median, and how people write them.

/// Returns the middle value, or the mean of the two in the middle; `None` when there are no values.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        length if length % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

/// Formats a number as people write it: two or three significant digits, thousands separated.
pub(super) fn number(value: f64) -> String {
    let text = match value.abs() {
        size if size >= 999.5 => {
            let digits = format!("{value:.0}");
            let mut grouped = String::new();
            for (at, digit) in digits.chars().enumerate() {
                if at > 0 && (digits.len() - at).is_multiple_of(3) {
                    grouped.push(',');
                }
                grouped.push(digit);
            }
            return grouped;
        }
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 0.995 => format!("{value:.1}"),
        size if size >= 0.0995 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&[1.0, 2.0, 4.0, 9.0]), Some(3.0));
    }

    #[test]
    fn numbers_are_short_and_readable() {
        let texts =
            [0.0, 0.0394, 0.33, 1.0, 8.04, 26.44, 99.96, 512.3, 999.7, 25_600.0, 1_234_567.0].map(number);
        let expected = ["0", "0.039", "0.33", "1", "8", "26.4", "100", "512", "1,000", "25,600", "1,234,567"];
        assert_eq!(texts, expected);
    }
}
