//! How a training is watched: a bar, JSON lines, or not at all; Ctrl-C ends it with everything saved.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cambist_lab::{LabError, Observer, Progress, Resumed};
use indicatif::{ProgressBar, ProgressStyle};

use crate::output;

/// What a training says to Ctrl-C.
pub(crate) const SAVING: &str = "stopping: finishing this update and saving; again to stop at once";

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voice {
    /// A progress bar.
    Bar,
    /// A JSON object an update.
    Json,
    /// Nothing.
    Quiet,
}

impl Voice {
    pub(crate) fn of(json: bool, quiet: bool) -> Self {
        match (json, quiet) {
            (true, _) => Self::Json,
            (_, true) => Self::Quiet,
            _ => Self::Bar,
        }
    }
}

/// Set by the first Ctrl-C or SIGTERM, which is answered by what it `says`; the second ends the program.
pub(crate) fn interruption(says: &'static str) -> Result<Arc<AtomicBool>, ctrlc::Error> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&flag);
    ctrlc::set_handler(move || {
        if set.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        output::error(says);
    })?;
    Ok(flag)
}

/// Watches a training.
pub(crate) struct Watcher {
    voice: Voice,
    bar: ProgressBar,
    stop: Arc<AtomicBool>,
    validation: String,
}

impl Watcher {
    pub(crate) fn new(voice: Voice, stop: Arc<AtomicBool>) -> Self {
        let bar = if voice == Voice::Bar { ProgressBar::new(0) } else { ProgressBar::hidden() };
        let template = "{bar:24} {percent:>3} % {msg} eta {eta}";
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        Self { voice, bar, stop, validation: "–".to_owned() }
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Watcher {
    fn resumed(&mut self, resumed: &Resumed) {
        for damaged in &resumed.damaged {
            output::error(damaged);
        }
        if self.voice == Voice::Bar {
            output::error(&format!("going on after update {} of {}", resumed.updates, resumed.of));
        }
    }

    fn update(&mut self, progress: &Progress) -> Result<bool, LabError> {
        if let Some(sharpe) = progress.validation.map(|look| look.sharpe) {
            self.validation = format!("{sharpe:.2}");
        }
        let (fold, n_folds) = progress.fold;
        let before = fold as u64 * progress.total_steps;
        self.bar.set_length(n_folds as u64 * progress.total_steps);
        self.bar.set_position(before + progress.steps);
        let returned = if progress.episode_return.is_nan() {
            "–".to_owned()
        } else {
            format!("{:.3}", progress.episode_return)
        };
        let place = if n_folds > 1 { format!("fold {}/{n_folds} ", fold + 1) } else { String::new() };
        self.bar.set_message(format!(
            "{place}{:.0} steps/s, return {returned}, entropy {:.3}, KL {:.4}, validation Sharpe {}",
            progress.steps_per_second, progress.stats.entropy, progress.stats.approx_kl, self.validation
        ));
        if self.voice == Voice::Json {
            let value = serde_json::json!({
                "fold": fold,
                "steps": progress.steps,
                "total_steps": progress.total_steps,
                "steps_per_second": progress.steps_per_second,
                "episode_return": progress.episode_return,
                "validation_sharpe": progress.validation.map(|look| look.sharpe),
                "entropy": progress.stats.entropy,
                "approx_kl": progress.stats.approx_kl,
                "policy_loss": progress.stats.policy_loss,
                "value_loss": progress.stats.value_loss,
                "explained_variance": progress.stats.explained_variance,
            });
            output::line(&value.to_string());
        }
        Ok(!self.stop.load(Ordering::SeqCst))
    }
}
