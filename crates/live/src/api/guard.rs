//! Who may ask for what: a bearer token, compared in constant time, and one-time passwords that are good once.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use cambist_core::UnixNanos;
use cambist_store::write_atomic;
use serde_json::json;
use subtle::ConstantTimeEq;
use totp_rs::{Builder, Secret, Totp};

use super::Api;
use super::problem::Problem;
use crate::error::LiveError;
use crate::shared::Severity;

/// Characters of the shortest token.
const SHORTEST: usize = 16;

/// Says whether the artefact of a hash may trade here, or why not.
pub type MayTrade = Arc<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// The token, and the secret of one-time passwords.
pub struct Secrets {
    /// Asked before another policy is put in.
    pub(crate) may_trade: MayTrade,
    token: Vec<u8>,
    totp: Option<Totp>,
    /// The last step whose password was used; and how many wrong ones there were, and from when on the next is looked at.
    used: Mutex<(u64, u32, i64)>,
    /// Where the last step is kept, so that a password is good once for every process.
    kept: PathBuf,
}

/// Wrong passwords in a row after which none is looked at for a while, and for how many seconds.
const WRONG: u32 = 3;
const REST: i64 = 30;

/// The secret in the first line of the file at `path`.
///
/// # Errors
/// When it cannot be read.
pub fn secret_of(path: &Path) -> Result<String, LiveError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| LiveError::Config(format!("cannot read {}: {error}", path.display())))?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

impl Secrets {
    /// `token`, the file `kept` of the last password's step, and the base32 secret of an authenticator app; without one, nothing that needs a password is obeyed.
    ///
    /// # Errors
    /// When the token is short, or the secret is none.
    pub fn new(
        token: &str,
        totp: Option<&str>,
        kept: PathBuf,
        may_trade: MayTrade,
    ) -> Result<Self, LiveError> {
        if token.len() < SHORTEST || !token.bytes().all(|b| b.is_ascii_graphic()) {
            let text = format!(
                "the token must have at least {SHORTEST} visible characters: openssl rand -hex 32 makes one"
            );
            return Err(LiveError::Config(text));
        }
        let bad = |reason: String| {
            LiveError::Config(format!(
                "the secret of one-time passwords: {reason}; base32 of at least 16 bytes is needed"
            ))
        };
        let totp = totp
            .map(|text| {
                let secret = Secret::try_from_base32(text).map_err(|error| bad(error.to_string()))?;
                Builder::new().with_secret(secret).build().map_err(|error| bad(error.to_string()))
            })
            .transpose()?;
        let used = match std::fs::read_to_string(&kept) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            read => read.ok().and_then(|text| text.trim().parse().ok()).ok_or_else(|| {
                LiveError::Config(format!(
                    "{} cannot be read, and says which one-time password was used last: remove it when two minutes have passed since then",
                    kept.display()
                ))
            })?,
        };
        Ok(Self { may_trade, token: token.as_bytes().to_vec(), totp, used: Mutex::new((used, 0, 0)), kept })
    }

    fn knows(&self, request: &Request) -> bool {
        let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|text| text.strip_prefix("Bearer ")).unwrap_or_default();
        self.token.ct_eq(given.as_bytes()).into()
    }

    /// Takes a one-time password, which is good once.
    pub(crate) fn spend(&self, password: &str, now: UnixNanos) -> Result<(), Problem> {
        let refused = |detail: &str| Err(Problem::new(StatusCode::FORBIDDEN, "one-time-password", detail));
        let Some(totp) = &self.totp else {
            return refused(
                "no secret of one-time passwords was given (--totp-file): this cannot be asked for here",
            );
        };
        let mut kept = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let (used, wrong, from) = &mut *kept;
        if now.seconds() < *from {
            return refused("too many passwords were wrong: none is looked at for half a minute");
        }
        let Some(step) = totp.check(password, now.seconds().max(0).unsigned_abs()) else {
            *wrong += 1;
            if *wrong >= WRONG {
                (*wrong, *from) = (0, now.seconds() + REST);
            }
            return refused("the one-time password is not of this moment");
        };
        *wrong = 0;
        if step <= *used {
            return refused("the one-time password was used already: wait for the next");
        }
        let text = format!("{step}\n");
        let written = write_atomic(&self.kept, |file| std::io::Write::write_all(file, text.as_bytes()));
        if let Err(error) = written {
            return refused(&format!("that it was used cannot be written down: {error}"));
        }
        *used = step;
        Ok(())
    }
}

/// Strangers, counted: the log and those who are alerted hear of them this often, in seconds, and no more.
#[derive(Debug, Default)]
pub(crate) struct Strangers(Mutex<(u64, Option<i64>)>);

impl Strangers {
    const EVERY: i64 = 10;

    /// Another one: how many there were since it was last said, if it is to be said now.
    fn another(&self, now: UnixNanos) -> Option<u64> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (n, said) = &mut *kept;
        *n += 1;
        if said.is_some_and(|said| now.seconds() - said < Self::EVERY) {
            return None;
        }
        *said = Some(now.seconds());
        Some(std::mem::take(n))
    }
}

/// Refuses requests without the token.
pub(crate) async fn token(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    if api.secrets.knows(&request) {
        return next.run(request).await;
    }
    let path = request.uri().path().to_owned();
    let now = api.clock.now();
    if let Some(n) = api.strangers.another(now) {
        let details = json!({ "path": path.chars().take(100).collect::<String>(), "requests": n });
        api.shared.say(Severity::Warning, "token_refused", &details, now);
    }
    let detail = "send the token: Authorization: Bearer …";
    let mut response = Problem::new(StatusCode::UNAUTHORIZED, "token", detail).into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
    response
}

/// Counts answers by path and status.
pub(crate) async fn counted(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let path =
        request.extensions().get::<MatchedPath>().map_or("other".to_owned(), |path| path.as_str().to_owned());
    let response = next.run(request).await;
    api.shared.metrics.answered(&path, response.status().as_u16());
    response
}
