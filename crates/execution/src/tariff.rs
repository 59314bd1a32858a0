//! What a fill costs: commission, slippage, impact. Each model says its formula, units, typical numbers and source.

use serde::{Deserialize, Serialize};

/// Commission of a fill. The larger of the minimum of an order and of
/// `per lot · lots + basis points · value`, in the deposit currency.
/// Typical: 3.50 a lot a side at Forex brokers; 10 bp taker and maker on spot, 5 bp and 2 bp on perpetuals.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Commission {
    /// Money a lot, one side.
    pub per_lot: f64,
    /// Basis points of the value, when the order took what was there.
    pub taker_bp: f64,
    /// Basis points of the value, when the order had waited; negative for a rebate.
    pub maker_bp: f64,
    /// Least money an order pays, once, however many fills it takes.
    pub minimum: f64,
}

impl Commission {
    /// Commission (positive) or rebate (negative) of a fill of `lots` worth `value`; `charged` is what the order has paid
    /// before.
    #[inline]
    #[must_use]
    pub fn of(&self, lots: f64, value: f64, maker: bool, charged: f64, traded_before: f64) -> f64 {
        let bp = if maker { self.maker_bp } else { self.taker_bp };
        let own = self.per_lot * lots + bp * 1e-4 * value;
        if own < 0.0 || self.minimum == 0.0 {
            return own;
        }
        // The order's due so far, less what it paid so far.
        (traded_before + own).max(self.minimum) - charged
    }
}

/// How far beyond the quote an order fills that takes what is there:
/// `fixed + volatility · σ · price`, in ticks, with σ the standard deviation of a bar's log return.
/// Typical: half a tick to two; 0.01 to 0.05 of a minute's σ.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Slippage {
    /// Ticks.
    pub fixed: f64,
    /// Share of σ.
    pub volatility: f64,
}

impl Slippage {
    /// Ticks at a price of `ticks` under σ = `volatility`.
    #[inline]
    #[must_use]
    pub fn ticks(&self, ticks: f64, volatility: f64) -> f64 {
        self.fixed + self.volatility * volatility * ticks
    }
}

/// What an order's own size does to the price. Temporary: `Y · σ · √(Q/V)` of the price, paid by the fill alone
/// (Tóth et al. 2011, "Anomalous price impact and the critical nature of liquidity", eq. 1; Y is of order one). Permanent:
/// `γ · σ · Q/V` of the price, which shifts what this account trades at from then on (Almgren, Thum, Hauptmann and Li 2005,
/// "Direct estimation of equity market impact", γ = 0.314). What an account has bought makes buying dearer and selling no
/// better, and the other way round: a linear shift is free of profit in trading against oneself only while V stands still
/// (Huberman and Stanzl 2004), and it does not. V is the volume and σ the volatility of a bar; neither part is ever more
/// than half the price.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Impact {
    /// Y.
    pub temporary: f64,
    /// γ.
    pub permanent: f64,
    /// Bars after which half of a permanent shift is gone; zero for never.
    pub half_life: f64,
}

impl Impact {
    /// Whether any of it is there.
    #[inline]
    #[must_use]
    pub fn is_some(&self) -> bool {
        self.temporary != 0.0 || self.permanent != 0.0
    }

    /// Temporary and permanent ticks of a fill of `steps` when `volume` steps trade a bar.
    #[inline]
    #[must_use]
    pub fn ticks(&self, steps: i64, volume: f64, ticks: f64, volatility: f64) -> (f64, f64) {
        let share = steps as f64 / volume.max(1.0);
        let (scale, most) = (volatility * ticks, 0.5 * ticks);
        ((self.temporary * scale * share.sqrt()).min(most), (self.permanent * scale * share).min(most))
    }

    /// What is left of a permanent shift after a bar.
    #[inline]
    #[must_use]
    pub fn kept(&self) -> f64 {
        if self.half_life > 0.0 { libm::exp2(-1.0 / self.half_life) } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_pays_the_minimum_once_however_it_fills() {
        let tariff = Commission { per_lot: 0.0, taker_bp: 10.0, maker_bp: -1.0, minimum: 2.0 };
        // 10 bp of 500 is 0.50, of 1,500 is 1.50, of 3,000 is 3.00.
        assert_eq!(tariff.of(1.0, 500.0, false, 0.0, 0.0), 2.0);
        assert_eq!(tariff.of(1.0, 500.0, false, 2.0, 0.5), 0.0);
        assert!((tariff.of(1.0, 3000.0, false, 2.0, 1.0) - 2.0).abs() < 1e-12, "4 due, 2 paid");
        assert!((tariff.of(1.0, 3000.0, true, 0.0, 0.0) + 0.3).abs() < 1e-12, "a rebate knows no minimum");
    }

    #[test]
    fn impact_is_the_square_root_of_the_share_and_linear_where_it_stays() {
        let impact = Impact { temporary: 1.0, permanent: 0.5, half_life: 2.0 };
        let (small, small_kept) = impact.ticks(1, 100.0, 10_000.0, 0.01);
        let (large, large_kept) = impact.ticks(4, 100.0, 10_000.0, 0.01);
        assert!((small - 10.0).abs() < 1e-9 && (large - 20.0).abs() < 1e-9);
        assert!((large_kept - 4.0 * small_kept).abs() < 1e-12);
        assert!((impact.kept() * impact.kept() - 0.5).abs() < 1e-12);
    }
}
