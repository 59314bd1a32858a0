//! The policy as a service: features and account in, action and target out, through the decision path that trades.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use cambist_decide::AccountView;
use cambist_policy::Runner;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::problem::{Body, Problem};
use crate::deployment::Deployment;

/// What is known.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Known {
    /// Raw features of the window's rows, oldest first, as `GET /policy` names them; none while they warm up.
    features: Option<Vec<f32>>,
    /// The account.
    account: AccountBody,
    /// What the policy remembers, as it was answered; left out for nothing.
    #[serde(default)]
    memory: Vec<f32>,
    /// Index of the market's regime.
    #[serde(default, deserialize_with = "whole")]
    #[schema(value_type = Option<u8>, maximum = 255)]
    regime: Option<u8>,
}

/// A whole number, however JSON writes it: 2 or 2.0.
fn whole<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
    let Some(number) = Option::<f64>::deserialize(deserializer)? else { return Ok(None) };
    let fits = number.fract() == 0.0 && (0.0..=255.0).contains(&number);
    fits.then_some(Some(number as u8))
        .ok_or_else(|| serde::de::Error::custom(format!("{number} is no whole number from 0 to 255")))
}

/// The account at the close.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountBody {
    /// Equity.
    equity: f64,
    /// Equity at the start.
    initial: f64,
    /// Units held, signed.
    units: f64,
    /// Profit not yet realised.
    unrealised: f64,
    /// The last close.
    #[schema(exclusive_minimum = 0.0)]
    price: f64,
    /// The target that led to the position held.
    #[schema(minimum = -1.0, maximum = 1.0)]
    held_target: f64,
}

/// What was decided.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Wanted {
    /// What the policy saw.
    observation: Vec<f32>,
    /// What it did.
    action: Vec<f32>,
    /// Position it asks for, in [−1, 1].
    target: f64,
    /// What it remembers.
    memory: Vec<f32>,
    /// Hash of the artefact.
    artefact: String,
}

/// Policies that wait for a request, all of one artefact.
#[derive(Default)]
pub(crate) struct Decider {
    idle: Mutex<(String, Vec<Runner>)>,
}

impl Decider {
    fn take(&self, deployment: &Deployment) -> Runner {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.0 != deployment.hash {
            *idle = (deployment.hash.clone(), Vec::new());
        }
        let waiting = idle.1.pop();
        drop(idle);
        waiting.unwrap_or_else(|| Runner::greedy(deployment.policy.clone(), 1))
    }

    fn give_back(&self, deployment: &Deployment, runner: Runner) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.0 == deployment.hash {
            idle.1.push(runner);
        }
    }
}

/// Decides: the policy as a service, by its most probable action. It trades nothing.
#[utoipa::path(post, path = "/decide", request_body = Known, security(("token" = [])), responses(
    (status = 200, body = Wanted),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub(crate) async fn decide(
    State(api): State<Arc<Api>>,
    Body(known): Body<Known>,
) -> Result<Json<Wanted>, Problem> {
    let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, "body", detail);
    // What is well said may still not be what the policy at work takes.
    let other = |detail: String| Problem::new(StatusCode::CONFLICT, "other-policy", detail);
    let deployment = api.shared.deployment();
    let AccountBody { equity, initial, units, unrealised, price, held_target } = known.account;
    let numbers = [equity, initial, units, unrealised, price, held_target];
    if numbers.iter().any(|x| !x.is_finite()) || price <= 0.0 || held_target.abs() > 1.0 {
        return Err(bad(
            "account: numbers must be finite, price positive, held_target from -1 to 1".to_owned()
        ));
    }
    let width = deployment.normaliser.names.len() * deployment.decision.window.max(1);
    if let Some(features) = &known.features {
        if features.iter().any(|x| !x.is_finite()) {
            return Err(bad("features: numbers must be finite".to_owned()));
        }
        if features.len() != width {
            return Err(other(format!(
                "features: {width} numbers are needed, {} were given",
                features.len()
            )));
        }
    }
    let path = deployment.path();
    let view = AccountView { equity, initial, units, unrealised, price, held_target };
    let mut observation = vec![0.0; path.observation_spec().width()];
    path.observe(known.features.as_deref(), &view, None, &mut observation);
    let mut allowed = vec![true; path.mask_width()];
    path.mask(&mut allowed);
    let mut action = vec![0.0; path.action_spec().width()];
    let mut runner = api.decider.take(&deployment);
    runner.forget(0);
    if !known.memory.is_empty() && !runner.remember(&known.memory) {
        let needed = runner.memory().len();
        return Err(other(format!("memory: {needed} numbers are needed, {} were given", known.memory.len())));
    }
    runner.act_once(&observation, &allowed, known.regime, &mut action);
    let memory = runner.memory().to_vec();
    api.decider.give_back(&deployment, runner);
    let target = path.target(&action, held_target, known.features.is_some());
    Ok(Json(Wanted { observation, action, target, memory, artefact: deployment.hash.clone() }))
}
