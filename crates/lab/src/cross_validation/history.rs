//! Whole histories, what they say together, and their chart.

use cambist_core::UnixNanos;
use cambist_evaluate::Track;
use cambist_evaluate::chart::{Line, Style, lines};
use cambist_evaluate::judgement::HOLD;
use cambist_evaluate::metrics::{drawdown, growth, sharpe};
use cambist_evaluate::windows::Span;
use serde::Serialize;

use crate::error::LabError;

/// One whole history.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct History {
    /// Annual Sharpe ratio; zero where nothing moved.
    pub sharpe: f64,
    /// Growth of the account.
    pub total_return: f64,
    /// Deepest drawdown.
    pub drawdown: f64,
    /// Costs over the equity at the start.
    pub costs: f64,
    /// Whether the account was ruined in a group.
    pub ruined: bool,
}

/// What the histories say of the method.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CrossValidation {
    /// Name of its folder.
    pub run: String,
    /// Trainings.
    pub n_splits: usize,
    /// Bars after what was set aside that were not learned from, beside purge.
    pub embargo: usize,
    /// From the first bar to the last.
    pub span: Span,
    /// Every history.
    pub histories: Vec<History>,
    /// Holding, over the same bars.
    pub hold: History,
    /// Share of the histories with a Sharpe ratio above zero.
    pub positive: f64,
    /// Share of them with one above holding's.
    pub above_hold: f64,
    /// All of it in one sentence.
    pub sentence: String,
}

/// Accounts one after the other, each beginning with what the one before left.
pub(super) fn joined<'a>(tracks: impl Iterator<Item = &'a Track>) -> Option<Track> {
    tracks.cloned().reduce(|mut whole, next| {
        whole.append(&next);
        whole
    })
}

impl CrossValidation {
    /// What the accounts `tracks` say beside holding; whose they are, is for the caller to say.
    pub(super) fn of(tracks: &[Track], hold: &Track) -> Self {
        let histories: Vec<History> = tracks.iter().map(History::of).collect();
        let hold = History::of(hold);
        let n = histories.len().max(1) as f64;
        let share = |good: &dyn Fn(&&History) -> bool| histories.iter().filter(good).count() as f64 / n;
        let (positive, above_hold) = (share(&|h| h.sharpe > 0.0), share(&|h| h.sharpe > hold.sharpe));
        Self {
            run: String::new(),
            n_splits: 0,
            embargo: 0,
            span: Span { from: UnixNanos(0), until: UnixNanos(0) },
            sentence: sentence(&histories, &hold, positive, above_hold),
            histories,
            hold,
            positive,
            above_hold,
        }
    }

    /// The history in the middle by its Sharpe ratio; of two, the worse.
    pub(super) fn median(&self) -> History {
        let mut order: Vec<&History> = self.histories.iter().collect();
        order.sort_by(|a, b| a.sharpe.total_cmp(&b.sharpe));
        order.get(order.len().saturating_sub(1) / 2).map_or_else(|| self.hold.clone(), |h| (*h).clone())
    }
}

impl History {
    fn of(track: &Track) -> Self {
        let ratio = sharpe::annual(&track.returns(), track.bars_per_year());
        let start = track.equity.first().copied().unwrap_or(1.0);
        Self {
            sharpe: if ratio.is_nan() { 0.0 } else { ratio },
            total_return: growth::total_return(&track.equity),
            drawdown: drawdown::drawdown(&track.equity).deepest,
            costs: track.costs.last().copied().unwrap_or(0.0) / start,
            ruined: track.ruined,
        }
    }
}

fn sentence(histories: &[History], hold: &History, positive: f64, above: f64) -> String {
    let ratios: Vec<f64> = histories.iter().map(|h| h.sharpe).collect();
    let hold = hold.sharpe;
    if let [only] = ratios[..] {
        return format!(
            "In its one history the Sharpe ratio is {only:.2}, and holding's {hold:.2}: test more groups at a time for more histories."
        );
    }
    let low = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let high = ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mean = ratios.iter().sum::<f64>() / ratios.len().max(1) as f64;
    let verdict = match (positive, above) {
        (p, _) if p < 0.5 => "the method loses more often than it earns",
        (1.0, 1.0) => "every history earns, and more for its risk than holding",
        (1.0, _) => "every history earns, not every one more for its risk than holding",
        _ => "what it earns depends on the history",
    };
    format!(
        "Over {} histories the Sharpe ratio is {mean:.2} in the mean, from {low:.2} to {high:.2}; holding has {hold:.2}: {verdict}. \
         Histories share trainings and are no independent draws.",
        ratios.len()
    )
}

/// Every history's account beside holding, as SVG.
pub(super) fn chart(title: &str, tracks: &[Track], hold: &Track) -> Result<String, LabError> {
    let scaled = |t: &Track| -> Vec<f64> { t.equity.iter().map(|e| e / t.equity[0]).collect() };
    let named =
        tracks.iter().enumerate().map(|(index, track)| (format!("history {}", index + 1), scaled(track)));
    let curves: Vec<(String, Vec<f64>)> = named.chain([(HOLD.to_owned(), scaled(hold))]).collect();
    let shown: Vec<Line<'_>> = curves.iter().map(|(name, values)| Line { name, values }).collect();
    let style = Style { title, unit: "multiple of start", logarithmic: true, filled: false };
    Ok(lines(&style, &hold.time, &shown)?)
}
