//! How a policy that only watched compares with the one that traded, from a journal: both decided on the same bars and the same account.

use std::path::Path;

use serde::Serialize;

use crate::error::LiveError;
use crate::journal::Journal;
use crate::words::{Command, Record};

/// What both asked for, bar by bar; of pairs the trading policy is the first.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Compared {
    /// Hash of the policy that watched; the last one, if there were several.
    pub shadow: String,
    /// Bars on which both decided.
    pub n_bars: usize,
    /// Share of them on which both wanted the same side, or none.
    pub same_side: f64,
    /// Mean |difference| of targets.
    pub difference: f64,
    /// Sum of target times the log return of the bars after it: what the targets were worth, before costs.
    pub gross: [f64; 2],
    /// Sum of |change| of targets.
    pub turnover: [f64; 2],
}

/// Compares the decisions of the shadow in the journal in `folder` with those that were traded, since that shadow began to watch, and that trader to trade.
///
/// # Errors
/// When the journal is damaged, or nobody watched.
pub fn compare_shadow(folder: &Path) -> Result<Compared, LiveError> {
    let mut found = Compared::default();
    let mut before: Option<([f64; 2], f64)> = None;
    let (mut same, mut apart) = (0usize, 0.0);
    Journal::read(folder, |kept| {
        match kept.record {
            Record::Commanded { command: Command::Shadow { artefact: Some((_, hash)) }, .. } => {
                found = Compared { shadow: hash, ..Compared::default() };
                (before, same, apart) = (None, 0, 0.0);
            }
            Record::Commanded { command: Command::Swap { .. }, .. } => {
                found = Compared { shadow: std::mem::take(&mut found.shadow), ..Compared::default() };
                (before, same, apart) = (None, 0, 0.0);
            }
            Record::Step { bar, decision, shadow, .. } => {
                if let Some((targets, close)) = before {
                    let earned = libm::log(bar.close / close);
                    found.gross.iter_mut().zip(targets).for_each(|(sum, target)| *sum += target * earned);
                }
                let both = shadow.map(|shadow| [decision.target, shadow.target]);
                if let Some(targets) = both {
                    let last = before.map_or(targets, |(last, _)| last);
                    let moves = found.turnover.iter_mut().zip(targets.iter().zip(last));
                    moves.for_each(|(sum, (target, last))| *sum += (target - last).abs());
                    found.n_bars += 1;
                    let side = |target: f64| if target == 0.0 { 0.0 } else { target.signum() };
                    same += usize::from(side(targets[0]) == side(targets[1]));
                    apart += (targets[0] - targets[1]).abs();
                }
                before = both.map(|targets| (targets, bar.close));
            }
            _ => {}
        }
        Ok(())
    })?;
    if found.n_bars == 0 {
        let what =
            format!("nobody watched in the journal in {}: serve with --shadow ARTEFACT", folder.display());
        return Err(LiveError::Config(what));
    }
    (found.same_side, found.difference) = (same as f64 / found.n_bars as f64, apart / found.n_bars as f64);
    Ok(found)
}
