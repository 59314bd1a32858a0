//! How large a full position is.

use serde::{Deserialize, Serialize};

/// What sizing looks at: statistics of the bars before the decision.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Outlook {
    /// Standard deviation of the log return of a bar.
    pub volatility: f64,
    /// Mean log return of a bar.
    pub drift: f64,
    /// Bars a year.
    pub bars_per_year: f64,
    /// Average true range of a bar, in price.
    pub true_range: f64,
}

/// The size of a position whose target is 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SizeRule {
    /// So many lots, whatever the account.
    FixedLots(f64),
    /// So many times equity.
    FixedFraction(f64),
    /// As many times equity as gives this volatility a year, at most `cap`.
    VolatilityTarget {
        /// Standard deviation a year.
        annual: f64,
        /// Most times equity.
        cap: f64,
    },
    /// `fraction · drift / variance` times equity in the drift's direction, nothing against it, at most `cap` (Kelly 1956;
    /// Thorp 2006, "The Kelly criterion in blackjack, sports betting and the stock market", eq. 7.3).
    Kelly {
        /// Share of the full Kelly bet.
        fraction: f64,
        /// Most times equity.
        cap: f64,
    },
}

/// A size, in lots or in times of equity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Size {
    /// Signed lots.
    Lots(f64),
    /// Signed value over equity.
    Exposure(f64),
}

impl SizeRule {
    /// The size of `target` in [−1, 1].
    #[inline]
    #[must_use]
    pub fn of(&self, target: f64, outlook: &Outlook) -> Size {
        match *self {
            Self::FixedLots(lots) => Size::Lots(target * lots),
            Self::FixedFraction(fraction) => Size::Exposure(target * fraction),
            Self::VolatilityTarget { annual, cap } => {
                let now = outlook.volatility * outlook.bars_per_year.sqrt();
                Size::Exposure(target * if now > 0.0 { (annual / now).min(cap) } else { 0.0 })
            }
            Self::Kelly { fraction, cap } => {
                let variance = outlook.volatility * outlook.volatility;
                let favour = (outlook.drift * target.signum()).max(0.0);
                let bet = if variance > 0.0 { (fraction * favour / variance).min(cap) } else { 0.0 };
                Size::Exposure(target * bet)
            }
        }
    }

    /// The largest value over equity it can ask for; none when it is in lots.
    #[must_use]
    pub fn most(&self) -> Option<f64> {
        match *self {
            Self::FixedLots(_) => None,
            Self::FixedFraction(fraction) => Some(fraction),
            Self::VolatilityTarget { cap, .. } | Self::Kelly { cap, .. } => Some(cap),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_what_their_formulas_say() {
        let outlook = Outlook { volatility: 0.01, drift: 2e-4, bars_per_year: 400.0, true_range: 1.0 };
        let of = |rule: SizeRule, target| rule.of(target, &outlook);
        assert_eq!(of(SizeRule::FixedLots(2.0), -0.5), Size::Lots(-1.0));
        assert_eq!(of(SizeRule::FixedFraction(3.0), 0.5), Size::Exposure(1.5));
        // 1 % a bar, 400 bars: 20 % a year.
        let target = SizeRule::VolatilityTarget { annual: 0.1, cap: 2.0 };
        assert_eq!(of(target, 1.0), Size::Exposure(0.5));
        assert_eq!(of(SizeRule::VolatilityTarget { annual: 1.0, cap: 2.0 }, -1.0), Size::Exposure(-2.0));
        // 2e-4 / 1e-4 = 2, half of it 1; nothing against the drift.
        let kelly = SizeRule::Kelly { fraction: 0.5, cap: 3.0 };
        let Size::Exposure(bet) = of(kelly, 1.0) else { return };
        assert!((bet - 1.0).abs() < 1e-12);
        assert_eq!(of(kelly, -1.0), Size::Exposure(-0.0));
        assert_eq!(SizeRule::FixedFraction(1.0).of(1.0, &Outlook::default()), Size::Exposure(1.0));
        assert_eq!(target.of(1.0, &Outlook::default()), Size::Exposure(0.0), "nothing known, nothing bet");
    }
}
