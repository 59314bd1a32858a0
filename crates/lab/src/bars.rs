//! What `cambist data` does, as functions that return lines of text.

use std::path::{Path, PathBuf};

use cambist_core::{InstrumentId, MarketTape, Timeframe, UnixNanos};
use cambist_data::check::{Choice, Choices, Fault, Report};
use cambist_data::synth::{
    GeometricBrownian, HestonJumps, OrnsteinUhlenbeck, SynthKind, SynthRequest, synthesize,
};
use cambist_data::{DataError, DataFolder, DataSet, ImportRequest, import, resample};
use cambist_evaluate::chart::{Line, Style, lines};
use cambist_features::family::FAMILIES;

use crate::error::LabError;

/// The words that name a data set.
#[derive(Debug, Clone)]
pub struct SetName {
    /// Symbol.
    pub symbol: String,
    /// Timeframe.
    pub timeframe: String,
    /// Venue, if it matters.
    pub venue: Option<String>,
}

/// The words of an import.
#[derive(Debug, Clone)]
pub struct ImportWords {
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// Symbol.
    pub symbol: String,
    /// Timeframe.
    pub timeframe: String,
    /// Venue.
    pub venue: String,
    /// Zone of local stamps.
    pub tz: Option<String>,
    /// `kind=choice` each.
    pub on: Vec<String>,
    /// Outlier threshold.
    pub outlier_deviations: Option<f64>,
    /// Whether other bars of that name are replaced.
    pub replace: bool,
}

/// The words of a synthesis.
#[derive(Debug, Clone)]
pub struct SynthWords {
    /// gbm, ou, heston or regime.
    pub kind: String,
    /// Symbol.
    pub symbol: String,
    /// Timeframe.
    pub timeframe: String,
    /// Number of bars.
    pub n_bars: usize,
    /// Date of the first bar.
    pub start: String,
    /// Price at the start.
    pub price: f64,
    /// Seed.
    pub seed: u64,
    /// gbm: drift a year.
    pub drift: f64,
    /// gbm, ou: volatility a year.
    pub volatility: f64,
    /// ou: pull, a year.
    pub speed: f64,
    /// Whether other bars of that name are replaced.
    pub replace: bool,
}

fn bad(what: impl Into<String>) -> LabError {
    DataError::BadParameter(what.into()).into()
}

fn timeframe(text: &str) -> Result<Timeframe, LabError> {
    text.parse().map_err(|e: cambist_core::time::TimeframeError| bad(e.to_string()))
}

fn choices(words: &ImportWords) -> Result<Choices, LabError> {
    let mut choices = Choices::default();
    if let Some(deviations) = words.outlier_deviations {
        choices.outlier_deviations = deviations;
    }
    for word in &words.on {
        let known = Fault::ALL.map(Fault::name).join(", ");
        let (kind, choice) =
            word.split_once('=').ok_or_else(|| bad(format!("--on {word}: write KIND=keep|drop|fail")))?;
        let fault = Fault::ALL.into_iter().find(|f| f.name() == kind);
        let fault =
            fault.ok_or_else(|| bad(format!("--on {word}: there is no kind '{kind}'; there are {known}")))?;
        *choices.of_mut(fault) = choice.parse::<Choice>().map_err(|e| bad(format!("--on {word}: {e}")))?;
    }
    Ok(choices)
}

/// Imports and stores; returns what was found.
///
/// # Errors
/// When a file cannot be read or the bars are refused; nothing is stored then.
pub fn import_into(root: &Path, words: &ImportWords) -> Result<Vec<String>, LabError> {
    let request = ImportRequest {
        paths: words.paths.clone(),
        instrument: InstrumentId(words.symbol.clone()),
        timeframe: timeframe(&words.timeframe)?,
        zone: words.tz.clone(),
        choices: choices(words)?,
    };
    let (tape, report) = import(&request)?;
    let folder = DataFolder::open(root)?;
    let names: Vec<String> = words.paths.iter().map(|p| p.display().to_string()).collect();
    let origin = format!("import of {}", names.join(" "));
    let set = folder.put(&tape, &words.venue, &origin, Some(report), None, words.replace)?;
    let mut out = head(&set);
    out.extend(set.report.iter().flat_map(report_lines));
    Ok(out)
}

fn head(set: &DataSet) -> Vec<String> {
    vec![
        format!("{}: {} bars from {} to {}", set.key, set.n_bars, set.first, set.last),
        format!("prices {:?}, volume {:?}; {}", set.price_side, set.volume_kind, set.origin),
        format!("fingerprint {}", set.fingerprint),
    ]
}

fn report_lines(report: &Report) -> Vec<String> {
    let mut out = vec![format!(
        "{} rows read, {} kept; {} without volume",
        report.n_read, report.n_kept, report.n_without_volume
    )];
    for finding in report.findings.iter().filter(|f| f.count > 0 && f.fault != Fault::Gap) {
        out.push(format!("{} × {} ({}), such as:", finding.count, finding.fault.name(), finding.choice));
        out.extend(finding.examples.iter().map(|e| format!("    {e}")));
    }
    let missing: i64 = report.gaps.iter().map(|g| g.n_bars).sum();
    out.push(format!(
        "{} gaps, {missing} bars missing{}",
        report.gaps.len(),
        if missing > 0 { "; the longest:" } else { "" }
    ));
    let hours = |from: UnixNanos, until: UnixNanos| (until.0 - from.0) as f64 / 3.6e12;
    out.extend(report.gaps.iter().take(5).map(|g| {
        format!("    {} to {}: {} bars, {:.1} h", g.from, g.until, g.n_bars, hours(g.from, g.until))
    }));
    out
}

/// Every data set, a row each.
///
/// # Errors
/// When the catalogue cannot be read.
pub fn list(root: &Path) -> Result<Vec<Vec<String>>, LabError> {
    let row = |set: &DataSet| {
        let gaps = set.report.as_ref().map_or("–".to_owned(), |r| r.gaps.len().to_string());
        vec![
            set.key.symbol.to_string(),
            set.key.venue.clone(),
            set.key.timeframe.to_string(),
            set.n_bars.to_string(),
            set.first.to_string(),
            set.last.to_string(),
            gaps,
            set.fingerprint.chars().take(12).collect(),
        ]
    };
    Ok(DataFolder::open(root)?.list()?.iter().map(row).collect())
}

/// Seals the rows of an instrument from the day `from` on; returns that day.
///
/// # Errors
/// When it is no day, or the instrument is sealed from an earlier one.
pub fn seal(root: &Path, symbol: &str, venue: &str, from: &str) -> Result<cambist_core::UnixNanos, LabError> {
    let day = cambist_core::UnixNanos::parse(from).ok_or_else(|| LabError::Time(from.to_owned()))?;
    DataFolder::open(root)?.seal(symbol, venue, day)?;
    Ok(day)
}

fn read(root: &Path, name: &SetName) -> Result<(DataFolder, DataSet, MarketTape), LabError> {
    let folder = DataFolder::open(root)?;
    let (set, tape) = folder.read(&name.symbol, name.venue.as_deref(), timeframe(&name.timeframe)?)?;
    Ok((folder, set, tape))
}

/// One data set in full.
///
/// # Errors
/// When there is none.
pub fn show(root: &Path, name: &SetName) -> Result<Vec<String>, LabError> {
    let folder = DataFolder::open(root)?;
    let set = folder.find(&name.symbol, name.venue.as_deref(), timeframe(&name.timeframe)?)?;
    let mut out = head(&set);
    out.push(format!("files in {}", folder.place(&set).display()));
    if set.has_truth {
        out.push("its hidden states are stored beside it, as truth.parquet".into());
    }
    if let Some(report) = &set.report {
        out.extend(report_lines(report));
        let chosen = Fault::ALL.map(|f| format!("{}={}", f.name(), report.choices.of(f)));
        out.push(format!("choices: {}", chosen.join(" ")));
    }
    Ok(out)
}

/// Reads a data set back.
///
/// # Errors
/// When it is not what was stored.
pub fn check(root: &Path, name: &SetName) -> Result<String, LabError> {
    let (_, set, tape) = read(root, name)?;
    Ok(format!("{}: {} bars read back, the fingerprint is right", set.key, tape.len()))
}

/// Makes and stores longer bars.
///
/// # Errors
/// When they cannot be made.
pub fn resample_into(root: &Path, name: &SetName, to: &str, replace: bool) -> Result<Vec<String>, LabError> {
    let (folder, set, tape) = read(root, name)?;
    let tape = resample(&tape, timeframe(to)?)?;
    let partial = tape.coverage.iter().filter(|&&c| c < 0.999).count();
    let origin = format!("resampled from {} ({})", set.key, set.fingerprint);
    let made = folder.put(&tape, &set.key.venue, &origin, None, None, replace)?;
    let mut out = head(&made);
    out.push(format!("{partial} bars have less than all of their finer bars"));
    Ok(out)
}

/// Draws the closes.
///
/// # Errors
/// When the file cannot be written.
pub fn plot(root: &Path, name: &SetName, out: &Path) -> Result<(), LabError> {
    let (_, set, tape) = read(root, name)?;
    let time: Vec<UnixNanos> = (0..tape.len()).map(|row| tape.close_time(row)).collect();
    let title = format!("{} — close", set.key);
    let style = Style { title: &title, unit: "price", logarithmic: true, filled: false };
    let svg = lines(&style, &time, &[Line { name: "close", values: &tape.close }])
        .map_err(cambist_evaluate::report::ReportError::from)?;
    cambist_store::write_atomic(out, |f| std::io::Write::write_all(f, svg.as_bytes()))
        .map_err(DataError::from)?;
    Ok(())
}

/// Makes and stores a synthetic market.
///
/// # Errors
/// When a parameter is out of range.
pub fn synth_into(root: &Path, words: &SynthWords) -> Result<Vec<String>, LabError> {
    let kind = match words.kind.as_str() {
        "gbm" => SynthKind::GeometricBrownian(GeometricBrownian {
            drift: words.drift,
            volatility: words.volatility,
        }),
        "ou" => SynthKind::OrnsteinUhlenbeck(OrnsteinUhlenbeck {
            speed: words.speed,
            volatility: words.volatility,
        }),
        "heston" => SynthKind::HestonJumps(HestonJumps::default()),
        _ => SynthKind::RegimeSwitching,
    };
    let start = UnixNanos::parse(&words.start)
        .ok_or_else(|| bad(format!("--start {}: write a date such as 2018-01-01", words.start)))?;
    let request = SynthRequest {
        kind,
        instrument: InstrumentId(words.symbol.clone()),
        timeframe: timeframe(&words.timeframe)?,
        n_bars: words.n_bars,
        start,
        price: words.price,
        seed: words.seed,
    };
    let (tape, truth) = synthesize(&request)?;
    let truth = (!truth.columns.is_empty()).then_some(truth);
    let origin = format!("synthetic {}, seed {}", words.kind, words.seed);
    let set =
        DataFolder::open(root)?.put(&tape, "synthetic", &origin, None, truth.as_ref(), words.replace)?;
    Ok(head(&set))
}

/// The indicators, with parameters, columns and meaning.
#[must_use]
pub fn features() -> Vec<String> {
    FAMILIES
        .iter()
        .map(|family| {
            let parameters: Vec<String> =
                family.parameters.iter().map(|(n, d)| format!("{n} = {d}")).collect();
            let parts: Vec<&str> = family.features.iter().copied().filter(|f| !f.is_empty()).collect();
            let columns = if parts.is_empty() { String::new() } else { format!(" [{}]", parts.join(", ")) };
            format!("{}({}){columns}\n    {}", family.name, parameters.join(", "), family.meaning)
        })
        .collect()
}
