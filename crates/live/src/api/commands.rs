//! What the loop obeys. What makes it do less needs the token; what makes it do more, a one-time password too.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::problem::{Body, Problem};
use crate::deployment::Deployment;
use crate::shared::Severity;
use crate::words::Command;

/// Who the journal says it was.
const BY: &str = "the API";
/// Characters of the longest reason.
const LONGEST: usize = 500;

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reason {
    /// For the journal.
    #[schema(min_length = 1, max_length = 500)]
    why: String,
}

/// Why, and a one-time password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confirmed {
    /// For the journal.
    #[schema(min_length = 1, max_length = 500)]
    why: String,
    /// Six digits.
    #[schema(pattern = "^[0-9]{6}$")]
    totp: String,
}

/// Another policy.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Swap {
    /// For the journal.
    #[schema(min_length = 1, max_length = 500)]
    why: String,
    /// Six digits.
    #[schema(pattern = "^[0-9]{6}$")]
    totp: String,
    /// Folder of the artefact, or of its run, on the loop's machine.
    #[schema(min_length = 1, max_length = 1000)]
    artefact: String,
}

/// Another limit.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limit {
    /// For the journal.
    #[schema(min_length = 1, max_length = 500)]
    why: String,
    /// Six digits.
    #[schema(pattern = "^[0-9]{6}$")]
    totp: String,
    /// Which, as `GET /limits` names them.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// From now on; none for no limit.
    value: Option<f64>,
}

/// It was done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Done {
    done: bool,
}

type Answer = Result<Json<Done>, Problem>;

impl Api {
    fn refused(&self, problem: Problem) -> Problem {
        let details = serde_json::json!({ "why": problem.detail });
        self.shared.say(Severity::Warning, "command_refused", &details, self.clock.now());
        problem
    }

    /// Asks the loop, which turns on a thread of its own.
    async fn obey(self: &Arc<Self>, command: Command, why: String) -> Answer {
        if why.is_empty() || why.chars().count() > LONGEST {
            let detail = format!("why must have from 1 to {LONGEST} characters");
            return Err(Problem::new(StatusCode::BAD_REQUEST, "body", detail));
        }
        let shared = Arc::clone(&self.shared);
        let asked = tokio::task::spawn_blocking(move || shared.ask(command, BY, &why)).await;
        match asked {
            Ok(Ok(())) => Ok(Json(Done { done: true })),
            Ok(Err(reason)) => Err(self.refused(Problem::new(StatusCode::CONFLICT, "refused", reason))),
            Err(_) => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "loop", "the loop has ended")),
        }
    }

    /// Takes a one-time password: whoever has it is there, and the dead-man's switch waits on.
    fn spend(&self, totp: &str) -> Result<(), Problem> {
        self.secrets.spend(totp, self.clock.now()).map_err(|problem| self.refused(problem))?;
        self.shared.heartbeat(self.clock.elapsed());
        Ok(())
    }

    async fn obey_confirmed(self: &Arc<Self>, command: Command, why: String, totp: &str) -> Answer {
        self.spend(totp)?;
        self.obey(command, why).await
    }
}

/// The operator is there: the dead-man's switch waits on. A body is read and means nothing: one that is left unread ends the connection.
#[utoipa::path(post, path = "/heartbeat", security(("token" = [])), responses(
    (status = 200, body = Done), (status = 401, body = Problem, content_type = "application/problem+json")
))]
pub(crate) async fn heartbeat(State(api): State<Arc<Api>>, _: axum::body::Bytes) -> Json<Done> {
    api.shared.heartbeat(api.clock.elapsed());
    Json(Done { done: true })
}

/// No more entries; what is held stays, and may be reduced.
#[utoipa::path(post, path = "/pause", request_body = Reason, security(("token" = [])), responses(
    (status = 200, body = Done),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = "5XX", body = Problem, content_type = "application/problem+json")
))]
pub(crate) async fn pause(State(api): State<Arc<Api>>, Body(reason): Body<Reason>) -> Answer {
    api.obey(Command::Pause, reason.why).await
}

/// No more trading until it is resumed; what is held is closed or frozen, as configured.
#[utoipa::path(post, path = "/kill", request_body = Reason, security(("token" = [])), responses(
    (status = 200, body = Done),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = "5XX", body = Problem, content_type = "application/problem+json")
))]
pub(crate) async fn kill(State(api): State<Arc<Api>>, Body(reason): Body<Reason>) -> Answer {
    api.obey(Command::Kill { flatten: true }, reason.why).await
}

/// On again, after a pause or a kill.
#[utoipa::path(post, path = "/resume", request_body = Confirmed, security(("token" = [])), responses(
    (status = 200, body = Done),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = "5XX", body = Problem, content_type = "application/problem+json")
))]
pub(crate) async fn resume(State(api): State<Arc<Api>>, Body(body): Body<Confirmed>) -> Answer {
    api.obey_confirmed(Command::Resume, body.why, &body.totp).await
}

/// The broker's books are taken over as they are: after somebody has looked at what differs.
#[utoipa::path(post, path = "/adopt", request_body = Confirmed, security(("token" = [])), responses(
    (status = 200, body = Done),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = "5XX", body = Problem, content_type = "application/problem+json")
))]
pub(crate) async fn adopt(State(api): State<Arc<Api>>, Body(body): Body<Confirmed>) -> Answer {
    api.obey_confirmed(Command::Adopt, body.why, &body.totp).await
}

/// Another policy decides from the next bar on.
#[utoipa::path(post, path = "/swap", request_body = Swap, security(("token" = [])), responses(
    (status = 200, body = Done),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = "5XX", body = Problem, content_type = "application/problem+json")
))]
pub(crate) async fn swap(State(api): State<Arc<Api>>, Body(body): Body<Swap>) -> Answer {
    api.spend(&body.totp)?;
    let folder =
        std::path::absolute(PathBuf::from(&body.artefact)).unwrap_or_else(|_| PathBuf::from(&body.artefact));
    let asked = Arc::clone(&api);
    let loaded = tokio::task::spawn_blocking(move || {
        let deployment = Deployment::load(&folder).map_err(|error| error.to_string())?;
        (asked.secrets.may_trade)(&deployment.hash)?;
        Ok::<_, String>((deployment.folder, deployment.hash))
    });
    let (folder, hash) = match loaded.await {
        Ok(Ok(loaded)) => loaded,
        Ok(Err(reason)) => return Err(api.refused(Problem::new(StatusCode::CONFLICT, "refused", reason))),
        Err(_) => {
            return Err(Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "loop",
                "the artefact cannot be read",
            ));
        }
    };
    api.obey(Command::Swap { folder, hash }, body.why).await
}

/// The policy before the last swap decides again.
#[utoipa::path(post, path = "/rollback", request_body = Confirmed, security(("token" = [])), responses(
    (status = 200, body = Done),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = "5XX", body = Problem, content_type = "application/problem+json")
))]
pub(crate) async fn rollback(State(api): State<Arc<Api>>, Body(body): Body<Confirmed>) -> Answer {
    let Some(before) = api.shared.previous() else {
        return Err(Problem::new(StatusCode::CONFLICT, "refused", "no policy has been swapped"));
    };
    (api.secrets.may_trade)(&before.hash)
        .map_err(|reason| api.refused(Problem::new(StatusCode::CONFLICT, "refused", reason)))?;
    let command = Command::Swap { folder: before.folder.clone(), hash: before.hash.clone() };
    api.obey_confirmed(command, body.why, &body.totp).await
}

/// Sets a limit of the loop's own.
#[utoipa::path(post, path = "/limit", request_body = Limit, security(("token" = [])), responses(
    (status = 200, body = Done),
    (status = "4XX", body = Problem, content_type = "application/problem+json"),
    (status = "5XX", body = Problem, content_type = "application/problem+json")
))]
pub(crate) async fn limit(State(api): State<Arc<Api>>, Body(body): Body<Limit>) -> Answer {
    let Limit { why, totp, name, value } = body;
    api.obey_confirmed(Command::Limit { name, value }, why, &totp).await
}
