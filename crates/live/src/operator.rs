//! The operator's side of the API: a command to a loop that runs.

use std::time::Duration;

use serde_json::Value;

use crate::error::LiveError;

/// A loop that runs somewhere.
#[derive(Debug, Clone)]
pub struct Operator {
    url: String,
    token: String,
}

impl Operator {
    /// Of the loop whose API listens at `url` and obeys `token`.
    ///
    /// # Errors
    /// When it is another machine's, without TLS.
    pub fn new(url: &str, token: String) -> Result<Self, LiveError> {
        if !cambist_bridge::keeps_secrets(url) {
            let what = "--url: write http://127.0.0.1:8230, or https for another machine, and no password in it: token and password would travel in the open";
            return Err(LiveError::Config(what.to_owned()));
        }
        Ok(Self { url: url.to_owned(), token })
    }

    /// Asks for `path`, with `body` as a POST.
    ///
    /// # Errors
    /// When nobody answers, or what the loop says is wrong.
    pub fn ask(&self, path: &str, body: Option<Value>) -> Result<Value, LiveError> {
        let failed = |reason: String| LiveError::Config(format!("the loop at {}: {reason}", self.url));
        let client = reqwest::blocking::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(40))
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let url = format!("{}{path}", self.url.trim_end_matches('/'));
        let request = match &body {
            Some(body) => client.post(url).json(body),
            None => client.get(url),
        };
        let answer = request
            .bearer_auth(&self.token)
            .send()
            .map_err(|error| failed(error.without_url().to_string()))?;
        let good = answer.status().is_success();
        let status = answer.status();
        let said: Value = answer.json().map_err(|error| failed(format!("{status}: {error}")))?;
        if good {
            return Ok(said);
        }
        Err(failed(said.get("detail").and_then(Value::as_str).unwrap_or("it refuses").to_owned()))
    }
}
