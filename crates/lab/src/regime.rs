//! `cambist regime`: fit, label, plot and report a model of regimes on the bars of a config.

use std::io::Write as _;
use std::path::Path;

use cambist_core::UnixNanos;
use cambist_evaluate::chart::{Line, Shades, Style, shaded};
use cambist_evaluate::metrics::moments::{deviation, mean};
use cambist_regime::{RegimeModel, RegimeView};
use cambist_store::files::write_atomic;

use crate::config::{Config, Layers};
use crate::error::LabError;
use crate::market::{Market, Regimes};

/// Parts into which the training window grows when refits are compared.
const N_REFITS: usize = 6;

/// Bars and regimes of `layers`: of the model at `saved`, or of one fitted on the first training window.
fn prepared(
    layers: &Layers,
    data: &Path,
    saved: Option<&Path>,
) -> Result<(Config, Market, std::sync::Arc<Regimes>), LabError> {
    let config = Config::validate(layers.resolve()?)?;
    let market = Market::prepare(&config, data)?;
    let market = match saved {
        Some(path) => {
            let wrong = |reason: String| LabError::Series { path: path.to_owned(), line: 0, reason };
            let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
            let model: RegimeModel =
                serde_json::from_str(&text).map_err(|e| wrong(format!("is no regime model: {e}")))?;
            let asked = config.regime.as_ref().map_or(Ok(()), |request| model.answers(request));
            let market = market.with_regime_model(&config, model)?;
            asked?;
            market
        }
        None => market.with_regimes(&config, &config.folds(market.whole())?.remove(0))?,
    };
    let regimes = market.regime.clone().ok_or(LabError::NoRegime)?;
    Ok((config, market, regimes))
}

/// Fits on the first training window and writes the model, as JSON.
///
/// # Errors
/// When it cannot be fitted or written.
pub fn fit(layers: &Layers, data: &Path, out: &Path) -> Result<Vec<String>, LabError> {
    let (_, _, regimes) = prepared(layers, data, None)?;
    let json = serde_json::to_vec_pretty(&regimes.model)?;
    write_atomic(out, |file| file.write_all(&json))?;
    Ok(summary(&regimes.model))
}

/// Writes `time,label,probabilities` of every bar as CSV; returns the number of bars and of those without a label.
///
/// # Errors
/// When there is no model or the file cannot be written.
pub fn label(
    layers: &Layers,
    data: &Path,
    saved: Option<&Path>,
    out: &Path,
) -> Result<(usize, usize), LabError> {
    let (_, market, regimes) = prepared(layers, data, saved)?;
    let view = &regimes.view;
    let mut none = 0;
    write_atomic(out, |file| {
        let mut file = std::io::BufWriter::new(file);
        writeln!(file, "close_time,label,{}", view.names.join(","))?;
        for row in 0..market.tape.len() {
            let time = market.tape.close_time(row);
            match (view.at(row), view.label[row]) {
                (Some(probability), Some(label)) => {
                    let shown: Vec<String> = probability.iter().map(f32::to_string).collect();
                    writeln!(file, "{time},{},{}", view.names[usize::from(label)], shown.join(","))?;
                }
                _ => {
                    none += 1;
                    writeln!(file, "{time},{}", ",".repeat(view.names.len()))?;
                }
            }
        }
        file.flush()
    })?;
    Ok((market.tape.len(), none))
}

/// Draws the price on the regimes, as SVG.
///
/// # Errors
/// When there is no model or the file cannot be written.
pub fn plot(layers: &Layers, data: &Path, saved: Option<&Path>, out: &Path) -> Result<(), LabError> {
    let (config, market, regimes) = prepared(layers, data, saved)?;
    let time: Vec<UnixNanos> = (0..market.tape.len()).map(|row| market.tape.close_time(row)).collect();
    let title = format!("{} {}, by regime", config.raw.data.symbol, config.timeframe);
    let style = Style { title: &title, unit: "price", logarithmic: true, filled: false };
    let price = [Line { name: "close", values: &market.tape.close }];
    let shades = Shades { names: &regimes.view.names, labels: &regimes.view.label };
    let svg = shaded(&style, &time, &price, &shades)?;
    write_atomic(out, |file| file.write_all(svg.as_bytes()))?;
    Ok(())
}

/// What a report says.
#[derive(Debug, Clone, PartialEq)]
pub struct RegimeReport {
    /// Of the model.
    pub summary: Vec<String>,
    /// Of each state: name, share of bars, mean dwell in bars, drift and volatility a year.
    pub states: Vec<Vec<String>>,
    /// Share of overlapping bars on which refits on ever longer windows agree, by the window's end.
    pub agreement: Vec<(String, f64)>,
}

/// Describes the states over all bars, and refits on ever longer parts of the training window.
///
/// # Errors
/// When there is no model.
pub fn report(layers: &Layers, data: &Path, saved: Option<&Path>) -> Result<RegimeReport, LabError> {
    let (config, market, regimes) = prepared(layers, data, saved)?;
    let bars_per_year = cambist_core::time::SECONDS_PER_YEAR / f64::from(market.tape.timeframe.seconds());
    let view = &regimes.view;
    let returns: Vec<f64> = market.tape.close.windows(2).map(|p| libm::log(p[1] / p[0])).collect();
    let labelled = view.label.iter().flatten().count().max(1);
    let state = |(k, name): (usize, &String)| {
        let is = |label: &Option<u8>| *label == Some(k as u8);
        let bars = view.label.iter().filter(|l| is(l)).count();
        let visits = view.label.chunk_by(|a, b| a == b).filter(|run| is(&run[0])).count().max(1);
        // The return that follows a label is what the label was good for.
        let after: Vec<f64> =
            returns.iter().zip(&view.label).filter(|(_, l)| is(l)).map(|(r, _)| *r).collect();
        vec![
            name.clone(),
            format!("{:.1} %", 100.0 * bars as f64 / labelled as f64),
            format!("{:.1}", bars as f64 / visits as f64),
            format!("{:+.1} %", 100.0 * mean(&after) * bars_per_year),
            format!("{:.1} %", 100.0 * deviation(&after) * bars_per_year.sqrt()),
        ]
    };
    let states = view.names.iter().enumerate().map(state).collect();
    Ok(RegimeReport { summary: summary(&regimes.model), states, agreement: agreement(&config, &market)? })
}

fn summary(model: &RegimeModel) -> Vec<String> {
    let mut lines = vec![format!(
        "{} states on {} bars of {}: {}",
        model.names.len(),
        model.timeframe,
        model.instrument,
        model.names.join(", ")
    )];
    if let Some(fit) = model.hmm() {
        lines.push(format!(
            "hidden Markov model, fitted on {} bars: log-likelihood {:.1}, BIC {:.1} against {:.1} for a single state; {} of \
             the starts came within a nat of the best",
            fit.n, fit.log_likelihood, fit.bic, fit.bic_of_one, fit.agreeing
        ));
        let gain = 100.0 * (fit.expected_accuracy - fit.constant_accuracy);
        lines.push(match fit.is_identifiable() {
            true => format!(
                "the filter would be right {:.1} % of the time if the model were, {gain:.1} points more than a constant guess",
                100.0 * fit.expected_accuracy
            ),
            false => format!(
                "NOT IDENTIFIABLE: these bars do not tell the states apart (the filter would gain {gain:.1} points over a \
                 constant guess): do not build on them"
            ),
        });
    }
    lines
}

/// Share of overlapping bars on which each refit agrees with the one before it.
fn agreement(config: &Config, market: &Market) -> Result<Vec<(String, f64)>, LabError> {
    let Some(request) = &config.regime else { return Ok(Vec::new()) };
    let fold = config.folds(market.whole())?.remove(0);
    let rows = market.rows("train", "train_until", fold.train)?;
    let (mut out, mut before): (Vec<(String, f64)>, Option<RegimeView>) = (Vec::new(), None);
    for part in N_REFITS / 2..=N_REFITS {
        let end = rows.start + rows.len() * part / N_REFITS;
        let tape = market.tape.slice(rows.start..end);
        let view = RegimeModel::fit(request, &tape)?.view(&tape)?;
        if let Some(before) = &before {
            let both = || before.label.iter().zip(&view.label).filter(|(a, b)| a.is_some() && b.is_some());
            let same = both().filter(|(a, b)| a == b).count();
            out.push((
                tape.close_time(tape.len() - 1).to_string(),
                same as f64 / both().count().max(1) as f64,
            ));
        }
        before = Some(view);
    }
    Ok(out)
}
