//! What a run writes while it trains: scalars, checkpoints, and what was lost.

use std::path::PathBuf;

use cambist_runs::{Checkpoints, MetricsLog};

use crate::checkpoint::{Checkpoint, TrainingState};
use crate::error::LabError;
use crate::run::{Course, Prepared};
use crate::train::{Lost, Moment, Observer, Progress};

/// Writes the scalars of every update and the checkpoints, then passes on what it heard.
pub(crate) struct Logged<'a> {
    pub(crate) log: MetricsLog,
    course: Course<'a>,
    checkpoints: Checkpoints,
    inner: &'a mut dyn Observer,
}

impl<'a> Logged<'a> {
    pub(crate) fn new(course: &Course<'a>, log: MetricsLog, inner: &'a mut dyn Observer) -> Self {
        let checkpoints = Checkpoints::of(course.folder.path(), course.machine.keep_checkpoints);
        Self { log, course: *course, checkpoints, inner }
    }
}

impl Observer for Logged<'_> {
    fn update(&mut self, progress: &Progress) -> Result<bool, LabError> {
        let stats = &progress.stats;
        let terms: Vec<(String, f64)> =
            progress.terms.iter().map(|(name, mean)| (format!("reward/{name}"), *mean)).collect();
        let mut scalars: Vec<(&str, f64)> = vec![
            ("rollout/episode_return", progress.episode_return),
            ("rollout/ruined", progress.ruined),
            ("train/policy_loss", stats.policy_loss),
            ("train/value_loss", stats.value_loss),
            ("train/entropy", stats.entropy),
            ("train/approx_kl", stats.approx_kl),
            ("train/clip_fraction", stats.clip_fraction),
            ("train/explained_variance", stats.explained_variance),
            ("train/gradient_norm", stats.gradient_norm),
            ("train/learning_rate", stats.learning_rate),
            ("train/policy_std", stats.policy_std),
            ("time/steps_per_second", progress.steps_per_second),
            ("time/environment_s", progress.phases.environment.as_secs_f64()),
            ("time/policy_s", progress.phases.policy.as_secs_f64()),
            ("time/advantage_s", progress.phases.advantage.as_secs_f64()),
            ("time/update_s", progress.phases.update.as_secs_f64()),
            ("time/fold", progress.fold.0 as f64),
        ];
        scalars.extend(terms.iter().map(|(name, mean)| (name.as_str(), *mean)));
        if let Some(look) = &progress.validation {
            scalars.push(("validation/sharpe", look.sharpe));
        }
        let mut own = Vec::new();
        for (index, member) in progress.members.iter().enumerate() {
            let mut note = |name: &str, value: f64| own.push((format!("member/{index:02}/{name}"), value));
            if let Some(look) = &member.validation {
                note("validation_sharpe", look.sharpe);
            }
            if let Some(inherited) = &member.inherited {
                note("inherited_from", inherited.from as f64);
                note("learning_rate", f64::from(inherited.learning_rate));
                note("entropy_coefficient", f64::from(inherited.entropy_coefficient));
            }
        }
        scalars.extend(own.iter().map(|(name, value)| (name.as_str(), *value)));
        let step = progress.steps + progress.fold.0 as u64 * progress.total_steps;
        self.log.add(step, self.course.clock.now(), &scalars)?;
        let goes_on = self.inner.update(progress)?;
        Ok(goes_on && self.course.machine.time_limit.is_none_or(|limit| self.course.clock.elapsed() < limit))
    }

    fn keep(
        &mut self,
        moment: Moment,
        state: &dyn Fn() -> Result<TrainingState, LabError>,
    ) -> Result<(), LabError> {
        let Moment { fold, update, n_updates, is_best, .. } = moment;
        if !(is_best || moment.is_due(self.course.machine.checkpoint_every)) {
            return Ok(());
        }
        let Prepared { config, market, .. } = self.course.prepared;
        let checkpoint = Checkpoint::new(config, &market.fingerprint, fold, state()?)?;
        checkpoint.save(&self.checkpoints, fold as u64 * n_updates + update, is_best)
    }

    fn lost(&mut self, lost: &Lost<'_>) -> Result<Option<PathBuf>, LabError> {
        let name = match lost.member {
            (_, 1) => "last_good.safetensors".to_owned(),
            (index, _) => format!("last_good-{index:02}.safetensors"),
        };
        let path = self.course.folder.path().join(name);
        cambist_policy::weights::save(&lost.good.clone().into(), &path)?;
        let event = serde_json::json!({
            "member": lost.member.0,
            "update": lost.update,
            "reason": lost.reason.to_string(),
            "kept": path,
            "learning_rate_factor": lost.pace,
        });
        self.course.folder.log(self.course.clock.now(), "not_finite", &event)?;
        self.inner.lost(lost)?;
        Ok(Some(path))
    }
}
