//! Intervals of shares and of percentiles: what a count of so many says of all that could have been.

use statrs::distribution::{Beta, Binomial, ContinuousCDF, DiscreteCDF};

use super::Interval;

/// Of a share, from `part` among `whole`: exact, whatever the share is (Clopper and Pearson 1934). `miss` is how often it
/// may miss. With none among `whole` the far end is the rule of three: about 3 over `whole`.
pub fn share_interval(part: u64, whole: u64, miss: f64) -> Interval {
    let part = part.min(whole);
    // At the ends the distribution is a power, which takes no search however many there are.
    let all = || (miss / 2.0).powf(1.0 / whole as f64);
    let end =
        |a: u64, b: u64, at: f64| Beta::new(a as f64, b as f64).map_or(0.0, |beta| beta.inverse_cdf(at));
    Interval {
        low: if part == 0 {
            0.0
        } else if part == whole {
            all()
        } else {
            end(part, whole - part + 1, miss / 2.0)
        },
        high: if part == whole {
            1.0
        } else if part == 0 {
            1.0 - all()
        } else {
            end(part + 1, whole - part, 1.0 - miss / 2.0)
        },
    }
}

/// Ranks (from 1) of the values between which a quantile lies, of `count` independent values in order: below the first
/// with a probability of half of `miss` at most, and above the second as well. `None` where there are too few values
/// for such a rank: then the end is open.
pub fn rank_interval(count: u64, quantile: f64, miss: f64) -> (Option<u64>, Option<u64>) {
    let Ok(below) = Binomial::new(quantile, count) else { return (None, None) };
    // The number of values below the quantile is binomial. The value of rank r is not above it if r at least are below it.
    let low = below.inverse_cdf(miss / 2.0);
    let low = (low > 0 && below.cdf(low - 1) <= miss / 2.0).then_some(low);
    let high = below.inverse_cdf(1.0 - miss / 2.0) + 1;
    (low, (high <= count).then_some(high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_of_few_values_is_open_above() {
        assert_eq!(rank_interval(20, 0.95, 0.05).1, None);
        assert_eq!(rank_interval(120, 0.99, 0.05).1, None);
        let (low, high) = rank_interval(1_000, 0.99, 0.05);
        assert!(
            low.is_some_and(|r| (980..990).contains(&r)) && high.is_some_and(|r| (990..=998).contains(&r))
        );
    }

    /// The closed form is what the search finds.
    #[test]
    fn a_share_of_all_or_none_is_known_for_any_number() {
        for whole in [1_u64, 60, 1_000] {
            let searched = Beta::new(whole as f64, 1.0).unwrap().inverse_cdf(0.05);
            let all = share_interval(whole, whole, 0.1);
            assert!((all.low - searched).abs() < 1e-9 && all.high >= 1.0, "{whole}: {all:?} {searched}");
            let none = share_interval(0, whole, 0.1);
            assert!((none.high - (1.0 - searched)).abs() < 1e-9 && none.low <= 0.0, "{whole}: {none:?}");
        }
        assert!(share_interval(u64::MAX, u64::MAX, 0.1).low < 1.0 + 1e-12);
        assert!(share_interval(0, 0, 0.1).high >= 1.0);
    }

    /// Counted over the binomial distribution itself.
    #[test]
    fn the_ranks_cover_and_no_closer_ones_do() {
        for count in [50, 120, 368, 400, 1_000, 20_000] {
            for quantile in [0.5, 0.9, 0.95, 0.99] {
                let below = Binomial::new(quantile, count).unwrap();
                let (low, high) = rank_interval(count, quantile, 0.05);
                if let Some(low) = low {
                    assert!(
                        below.cdf(low - 1) <= 0.025 && below.cdf(low) > 0.025,
                        "{count} {quantile} {low}"
                    );
                }
                match high {
                    Some(high) => {
                        assert!(1.0 - below.cdf(high - 1) <= 0.025, "{count} {quantile} {high}");
                        assert!(1.0 - below.cdf(high - 2) > 0.025, "{count} {quantile} {high}");
                    }
                    None => assert!(1.0 - below.cdf(count - 1) > 0.025, "{count} {quantile}"),
                }
            }
        }
    }
}
