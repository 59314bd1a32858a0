//! Bars through the checks, one after another: each is looked at with those kept before it.

use cambist_core::{Bar, MarketTape, UnixNanos};

use super::outlier::OutlierFilter;
use super::{Choice, Choices, Fault, Finding, Gap, Report};
use crate::error::DataError;
use crate::import::RawBars;

/// Rows quoted per kind of fault in a report.
const N_EXAMPLES: usize = 5;

/// Puts the good bars of `raw` on `tape` and reports the others.
///
/// # Errors
/// When a choice is not possible, a kind that is set to fail is found, or no bar is left.
pub fn screen(raw: RawBars, choices: &Choices, tape: &mut MarketTape) -> Result<Report, DataError> {
    choices.possible()?;
    let mut screen = Screen::new(choices, tape);
    let n_read = raw.len();
    screen.tape.open_time.reserve(n_read);
    for row in 0..n_read {
        let bar = Bar {
            open_time: UnixNanos(raw.open_time[row]),
            open: raw.prices[0][row],
            high: raw.prices[1][row],
            low: raw.prices[2][row],
            close: raw.prices[3][row],
            volume: raw.volume[row],
            spread: raw.spread.get(row).copied().unwrap_or(0.0),
            coverage: 1.0,
        };
        screen.take(&bar, || raw.place(row));
    }
    let report = screen.finish(n_read);
    if raw.spread.is_empty() {
        tape.forget_spread();
    }
    refuse(&report)?;
    if tape.is_empty() {
        return Err(DataError::NoBars(format!("{n_read} rows were read and none was kept")));
    }
    Ok(report)
}

fn refuse(report: &Report) -> Result<(), DataError> {
    let failed: Vec<String> = report
        .findings
        .iter()
        .filter(|f| f.choice == Choice::Fail && f.count > 0)
        .map(|f| format!("{} × {} (first at {})", f.count, f.fault.name(), f.examples.join("; ")))
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(DataError::Refused(format!(
        "the bars are refused: {}. Mend the file, or choose another way with --on KIND=keep or --on KIND=drop",
        failed.join(", ")
    )))
}

/// The checks of a running import.
struct Screen<'a> {
    choices: &'a Choices,
    tape: &'a mut MarketTape,
    outliers: OutlierFilter,
    findings: Vec<Finding>,
    gaps: Vec<Gap>,
    n_without_volume: usize,
    last_close: Option<f64>,
}

impl<'a> Screen<'a> {
    fn new(choices: &'a Choices, tape: &'a mut MarketTape) -> Self {
        let findings = Fault::ALL
            .map(|fault| Finding { fault, count: 0, choice: choices.of(fault), examples: Vec::new() })
            .to_vec();
        let outliers = OutlierFilter::new(choices.outlier_deviations);
        Self { choices, tape, outliers, findings, gaps: Vec::new(), n_without_volume: 0, last_close: None }
    }

    /// Counts a fault; true when its bar is to be left out.
    fn found(&mut self, fault: Fault, place: &dyn Fn() -> String, what: String) -> bool {
        let drop = self.choices.of(fault) != Choice::Keep;
        if let Some(finding) = self.findings.iter_mut().find(|f| f.fault == fault) {
            finding.count += 1;
            if finding.examples.len() < N_EXAMPLES {
                finding.examples.push(format!("{}: {what}", place()));
            }
        }
        drop
    }

    fn take(&mut self, bar: &Bar, place: impl Fn() -> String) {
        let prices = [bar.open, bar.high, bar.low, bar.close];
        let finite = prices.iter().chain([&bar.volume, &bar.spread]).all(|v| v.is_finite());
        if !finite || bar.volume < 0.0 || bar.spread < 0.0 {
            self.found(
                Fault::NotANumber,
                &place,
                format!("{prices:?}, volume {}, spread {}", bar.volume, bar.spread),
            );
            return;
        }
        if prices.iter().any(|&p| p <= 0.0) {
            self.found(Fault::NonPositive, &place, format!("{prices:?}"));
            return;
        }
        let inside = |p: f64| bar.low <= p && p <= bar.high;
        if !(inside(bar.open) && inside(bar.close))
            && self.found(Fault::ImpossibleOhlc, &place, format!("{prices:?}"))
        {
            return;
        }
        if self.tape.timeframe.floor(bar.open_time) != bar.open_time
            && self.found(
                Fault::OffGrid,
                &place,
                format!("{} is no multiple of {}", bar.open_time, self.tape.timeframe),
            )
        {
            return;
        }
        if let Some(&last) = self.tape.open_time.last() {
            if bar.open_time.0 == last {
                self.found(Fault::Duplicate, &place, bar.open_time.to_string());
                return;
            }
            if bar.open_time.0 < last {
                self.found(Fault::Unordered, &place, format!("{} after {}", bar.open_time, UnixNanos(last)));
                return;
            }
        }
        if let Some(last) = self.last_close {
            let change = libm::log(bar.close / last);
            let reach = (libm::log(bar.high / last)).max(-libm::log(bar.low / last));
            if let Some(deviations) = self.outliers.push(change, reach) {
                let what = format!("{prices:?} after a close of {last}: {deviations:.0} robust deviations");
                if self.found(Fault::Outlier, &place, what) {
                    return;
                }
            }
        }
        self.note_gap(bar, &place);
        self.n_without_volume += usize::from(bar.volume == 0.0);
        self.last_close = Some(bar.close);
        self.tape.push(*bar);
    }

    fn note_gap(&mut self, bar: &Bar, place: &dyn Fn() -> String) {
        let step = self.tape.timeframe.nanos();
        let Some(&last) = self.tape.open_time.last() else { return };
        let n_bars = (bar.open_time.0 - last - 1) / step;
        if n_bars > 0 {
            let gap = Gap { from: UnixNanos(last + step), until: bar.open_time, n_bars };
            self.found(Fault::Gap, place, format!("{n_bars} missing from {} to {}", gap.from, gap.until));
            self.gaps.push(gap);
        }
    }

    fn finish(mut self, n_read: usize) -> Report {
        self.gaps.sort_by_key(|g| (-g.n_bars, g.from));
        Report {
            n_read,
            n_kept: self.tape.len(),
            n_without_volume: self.n_without_volume,
            findings: self.findings,
            gaps: self.gaps,
            choices: *self.choices,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cambist_core::{InstrumentId, PriceSide, Timeframe, VolumeKind};

    fn raw(n: i64) -> RawBars {
        let times = (0..n).map(|m| m * Timeframe::MINUTE.nanos()).collect();
        // A small deterministic wiggle, so that the outlier rule has a scale.
        let close: Vec<f64> = (0..n).map(|m| 100.0 + 0.1 * (m % 7) as f64).collect();
        let high = close.iter().map(|c| c + 1.0).collect();
        let low = close.iter().map(|c| c - 1.0).collect();
        RawBars {
            open_time: times,
            prices: [close.clone(), high, low, close],
            volume: vec![1.0; n as usize],
            ..RawBars::default()
        }
    }

    fn run(raw: RawBars, choices: &Choices) -> (Result<Report, DataError>, MarketTape) {
        let name = InstrumentId("X".into());
        let mut tape = MarketTape::empty(name, Timeframe::MINUTE, PriceSide::Last, VolumeKind::Real);
        (screen(raw, choices, &mut tape), tape)
    }

    fn planted(fault: Fault) -> RawBars {
        let mut raw = raw(600);
        match fault {
            Fault::Unordered => raw.open_time[500] = raw.open_time[400],
            Fault::Duplicate => raw.open_time[500] = raw.open_time[499],
            Fault::Gap => {
                raw.open_time.iter_mut().skip(500).for_each(|t| *t += 5 * Timeframe::MINUTE.nanos())
            }
            Fault::NotANumber => raw.prices[3][500] = f64::NAN,
            Fault::ImpossibleOhlc => raw.prices[1][500] = 99.0,
            Fault::NonPositive => raw.prices[2][500] = 0.0,
            Fault::OffGrid => raw.open_time[500] += 1_000_000_000,
            Fault::Outlier => (0..4).for_each(|side| raw.prices[side][500] *= 3.0),
        }
        raw
    }

    #[test]
    fn each_fault_is_found_and_the_choice_is_followed() {
        for fault in Fault::ALL {
            for choice in [Choice::Keep, Choice::Drop, Choice::Fail] {
                let mut choices = Choices::default();
                // Dropping a bar leaves a gap, which is kept.
                *choices.of_mut(fault) = choice;
                let (report, tape) = run(planted(fault), &choices);
                match (choice, report) {
                    (Choice::Fail, Err(DataError::Refused(why))) => {
                        assert!(why.contains(fault.name()), "{why}")
                    }
                    (_, Err(DataError::ImpossibleChoice { kind, .. })) => assert_eq!(kind, fault.name()),
                    (Choice::Drop, Ok(report)) => {
                        assert!(report.count(fault) >= 1, "{fault:?}");
                        assert!(tape.len() < 600);
                    }
                    (Choice::Keep, Ok(report)) => {
                        assert!(report.count(fault) >= 1, "{fault:?}");
                        assert_eq!(tape.len(), 600);
                    }
                    (choice, other) => panic!("{fault:?} {choice}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn clean_bars_have_no_finding() {
        let (report, tape) = run(raw(600), &Choices::default());
        let report = report.unwrap();
        assert!(report.findings.iter().all(|f| f.count == 0), "{:?}", report.findings);
        assert_eq!(tape.len(), 600);
    }

    #[test]
    fn the_longest_gap_comes_first() {
        let mut raw = planted(Fault::Gap);
        raw.open_time.iter_mut().skip(300).for_each(|t| *t += 9 * Timeframe::MINUTE.nanos());
        let (report, _) = run(raw, &Choices::default());
        let lengths: Vec<i64> = report.unwrap().gaps.iter().map(|g| g.n_bars).collect();
        assert_eq!(lengths, [9, 5]);
    }
}
