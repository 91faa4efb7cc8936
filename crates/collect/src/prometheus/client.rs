//! One server that speaks the Prometheus HTTP API: bounded in time, bytes and depth, never redirected, and connected
//! only to addresses that the policy allows.
//!
//! Queries are sent with GET, since proxies that authorise reads (kube-rbac-proxy and others) take POST for a write.

use std::time::Duration;

use plimsoll_analysis::record::{Cost, SourceReason};
use plimsoll_analysis::request::{Auth, HeaderValue as Value, KeyRef, PrometheusRequest};
use reqwest::header::{AUTHORIZATION, DATE, HOST, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Response, StatusCode};
use url::{Host, Url};

use super::parse::{self, Answer, ParseError};
use super::transport;
use crate::failure::Failure;
use crate::guard::{AddressPolicy, Guard};
use crate::keys::{Keys, described};
use crate::limit::{Late, TimeLimit};
use crate::tls;

/// Longest that one query may take.
pub(crate) const QUERY_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest that connecting may take, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of one answer after decompression. As types the smallest series take some five times as much, which a
/// Job's memory limit must hold (`tests/memory.rs`).
pub(crate) const MAX_ANSWER_BYTES: u64 = 8 * 1024 * 1024;
/// Most bytes of all answers of a run after decompression.
pub(crate) const MAX_RUN_BYTES: u64 = 64 * 1024 * 1024;
/// Most bytes of an answer with an error status that are read for the error's type.
const MAX_ERROR_BYTES: u64 = 64 * 1024;

/// Header that every answer of VictoriaMetrics has, and no other server's (`lib/httpserver`).
const VICTORIA_METRICS: HeaderName = HeaderName::from_static("x-server-hostname");

/// A client of one server.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    headers: HeaderMap,
    /// The URL as the request has it, for messages.
    shown: String,
    limit: TimeLimit,
    /// Longest that one query may take.
    query_timeout: Duration,
    queries: u64,
    bytes: u64,
    /// Seconds by which the server's clock is ahead of ours, by the first `Date` header.
    clock_ahead: Option<i64>,
    is_victoria_metrics: bool,
}

impl Client {
    pub(crate) fn new(
        request: &PrometheusRequest,
        keys: &Keys,
        policy: AddressPolicy,
        limit: TimeLimit,
    ) -> Result<Self, Failure> {
        let (mut base, host) = base_url(&request.url)?;
        let port = base.port_or_known_default().expect("http and https have default ports");
        let guard = Guard::new(host, port, policy);
        guard
            .check_literal()
            .map_err(|error| Failure::of_source(SourceReason::Unreachable, error.to_string()))?;
        let mut headers = headers(request, keys)?;
        if let Some(name) = request.server_name.as_deref().filter(|_| base.scheme() == "https") {
            rename(&mut base, &mut headers, name)?;
        }
        let ca = request.ca.as_ref().map(|key| value_of(keys, key).map(|pem| (described(key), pem)));
        let ca = ca.transpose()?;
        let mut config = tls::config(ca.as_ref().map(|(name, pem)| (name.as_str(), *pem)))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(config)
            .dns_resolver(guard)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .http1_only()
            .gzip(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(1)
            .user_agent(concat!("plimsoll/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| transport::failure(&error, &request.url))?;
        Ok(Self {
            http,
            base,
            headers,
            shown: request.url.clone(),
            limit,
            query_timeout: QUERY_TIMEOUT,
            queries: 0,
            bytes: 0,
            clock_ahead: None,
            is_victoria_metrics: false,
        })
    }

    /// What was spent so far.
    pub(crate) fn cost(&self) -> Cost {
        Cost { queries: Some(self.queries), bytes: Some(self.bytes), ..Cost::default() }
    }

    /// Gives each further query at most so long, and never more than before.
    pub(crate) fn hurry(&mut self, most: Duration) {
        self.query_timeout = self.query_timeout.min(most);
    }

    /// The server's URL, for messages.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// Seconds by which the server's clock is ahead of ours; `None` where it did not say.
    pub(crate) fn clock_ahead(&self) -> Option<i64> {
        self.clock_ahead
    }

    /// Whether the server is VictoriaMetrics, whose `increase` differs; known after the first answer.
    pub(crate) fn is_victoria_metrics(&self) -> bool {
        self.is_victoria_metrics
    }

    /// Asks `/api/v1/<endpoint>` with the parameters of the query.
    ///
    /// A connection that breaks is tried once more: an idle connection may be closed by the server just then.
    pub(crate) async fn ask(
        &mut self,
        endpoint: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Answer, Failure> {
        let remaining = self.limit.remaining();
        if remaining.is_zero() {
            let message = "the run's time was over before it was asked; \
                           raise activeDeadlineSeconds, shorten the window or ask for less";
            return Err(Failure::of_source(SourceReason::Timeout, message));
        }
        let limit = remaining.min(self.query_timeout);
        let url = self.url(endpoint, parameters, limit);
        let until = self.limit.clone();
        match until.within(limit, self.exchange(url)).await {
            Ok(result) => result,
            Err(Late(limit)) => Err(Failure::of_query(
                SourceReason::Timeout,
                format!(
                    "{} did not answer within {} s; shorten the window, narrow the matchers, or look at the server's load",
                    self.shown,
                    limit.as_secs_f64().ceil()
                ),
            )),
        }
    }

    fn url(&self, endpoint: &str, parameters: &[(&str, &str)], limit: Duration) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/api/v1/{endpoint}", self.base.path().trim_end_matches('/')));
        // The server gives up when we do, and does not go on computing for nobody.
        url.query_pairs_mut()
            .extend_pairs(parameters)
            .append_pair("timeout", &format!("{}s", limit.as_secs().max(1)));
        url
    }

    async fn exchange(&mut self, url: Url) -> Result<Answer, Failure> {
        match self.attempt(url.clone()).await {
            Err(Broken::Reset(_)) => {}
            Err(Broken::Final(failure)) => return Err(failure),
            Ok(answer) => return Ok(answer),
        }
        self.attempt(url).await.map_err(Broken::into_failure)
    }

    async fn attempt(&mut self, url: Url) -> Result<Answer, Broken> {
        self.queries += 1;
        let request = self.http.get(url).headers(self.headers.clone());
        let sent = request.send().await;
        let mut response = sent.map_err(|error| self.broken(&error, false))?;
        self.note_clock(response.headers());
        self.is_victoria_metrics |= response.headers().contains_key(VICTORIA_METRICS);
        let status = response.status();
        if status != StatusCode::OK {
            let kind = match status.as_u16() {
                400 | 404 | 405 | 408.. => {
                    let body = self.body(&mut response, MAX_ERROR_BYTES).await.unwrap_or_default();
                    parse::error_type(&body).flatten()
                }
                _ => None,
            };
            return Err(Broken::Final(transport::status_failure(status, kind, &self.shown)));
        }
        let body = self.body(&mut response, MAX_ANSWER_BYTES).await?;
        parse::answer(&body).map_err(|error| Broken::Final(self.unreadable(&error)))
    }

    /// Reads a body piece by piece, so that no more than the limit is ever held, however well it is compressed.
    async fn body(&mut self, response: &mut Response, most: u64) -> Result<Vec<u8>, Broken> {
        let most = most.min(MAX_RUN_BYTES.saturating_sub(self.bytes));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(&error, true))? {
            self.bytes += chunk.len() as u64;
            if body.len() as u64 + chunk.len() as u64 > most {
                return Err(Broken::Final(Failure::of_query(
                    SourceReason::BadAnswer,
                    format!(
                        "{} answered with more than {} MiB; narrow the matchers, so that fewer series are read",
                        self.shown,
                        MAX_ANSWER_BYTES / 1024 / 1024
                    ),
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn broken(&self, error: &reqwest::Error, in_body: bool) -> Broken {
        let failure = if in_body {
            transport::body_failure(error, &self.shown)
        } else {
            transport::failure(error, &self.shown)
        };
        if transport::is_reset(error) { Broken::Reset(failure) } else { Broken::Final(failure) }
    }

    fn unreadable(&self, error: &ParseError) -> Failure {
        match error {
            ParseError::Refused(kind) => transport::refused(*kind, &self.shown),
            ParseError::Cut | ParseError::OtherShape => Failure::of_query(
                SourceReason::BadAnswer,
                format!("{} answered with {error}; look at what stands between it and us", self.shown),
            ),
            ParseError::Empty | ParseError::Html | ParseError::NotJson => Failure::of_source(
                SourceReason::BadAnswer,
                format!(
                    "{} answered with {error}; check that the URL is that of a Prometheus HTTP API and not of a login page",
                    self.shown
                ),
            ),
        }
    }

    fn note_clock(&mut self, headers: &HeaderMap) {
        if self.clock_ahead.is_some() {
            return;
        }
        let date = headers.get(DATE).and_then(|value| value.to_str().ok());
        let parsed =
            date.and_then(|text| jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok());
        self.clock_ahead = parsed.map(|theirs| theirs.as_second() - jiff::Timestamp::now().as_second());
    }
}

/// An attempt that failed.
enum Broken {
    /// The connection broke; another attempt may do.
    Reset(Failure),
    /// It would fail again.
    Final(Failure),
}

impl Broken {
    fn into_failure(self) -> Failure {
        match self {
            Self::Reset(failure) | Self::Final(failure) => failure,
        }
    }
}

fn base_url(text: &str) -> Result<(Url, Host<String>), Failure> {
    let failure = |why: &str| {
        let message =
            format!("the URL of sources.prometheus {why}; write it like http://prometheus.monitoring:9090");
        Failure::of_source(SourceReason::Unreachable, message)
    };
    let url = Url::parse(text).map_err(|_| failure("cannot be read"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(failure("is neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(failure("holds a user or a password, which belong in auth"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(failure("has a query or a fragment"));
    }
    let host = url.host().ok_or_else(|| failure("has no host"))?.to_owned();
    Ok((url, host))
}

/// Makes the name in the certificate the URL's host, which TLS then asks for and verifies. The guard resolves the
/// original host all the same, and the `Host` header stays.
fn rename(base: &mut Url, headers: &mut HeaderMap, name: &str) -> Result<(), Failure> {
    let failure = |why: &str| {
        let message = format!("tls.serverName {why}; write the name that stands in the server's certificate");
        Failure::of_source(SourceReason::TLSFailed, message)
    };
    let host = HeaderValue::from_str(&base[url::Position::BeforeHost..url::Position::AfterPort])
        .map_err(|_| failure("cannot be used with this URL"))?;
    base.set_host(Some(name)).map_err(|_| failure("is no host name"))?;
    // An address is connected to without asking the guard.
    if !matches!(base.host(), Some(Host::Domain(_))) {
        return Err(failure("is an address; put it into the URL instead"));
    }
    headers.insert(HOST, host);
    Ok(())
}

fn headers(request: &PrometheusRequest, keys: &Keys) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    for header in &request.headers {
        let failure = || {
            let message = format!("header {:?} has a name or a value that HTTP does not allow", header.name);
            Failure::of_source(SourceReason::AuthenticationFailed, message)
        };
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| failure())?;
        let value = match &header.value {
            Value::Literal(text) => HeaderValue::from_str(text).map_err(|_| failure())?,
            Value::From(key) => sensitive(value_of(keys, key)?, key)?,
        };
        headers.insert(name, value);
    }
    match &request.auth {
        None => {}
        Some(Auth::Bearer(key)) => {
            let value = [b"Bearer ", value_of(keys, key)?].concat();
            headers.insert(AUTHORIZATION, sensitive(&value, key)?);
        }
        Some(Auth::Basic { username, password }) => {
            let (user, word) = (value_of(keys, username)?, value_of(keys, password)?);
            let value = transport::basic(user, word);
            headers.insert(AUTHORIZATION, sensitive(value.as_bytes(), password)?);
        }
    }
    Ok(headers)
}

fn sensitive(bytes: &[u8], key: &KeyRef) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_bytes(bytes).map_err(|_| {
        let message = format!(
            "{} holds characters that an HTTP header cannot, such as a line end in the middle; store the bare value",
            described(key)
        );
        Failure::of_source(SourceReason::AuthenticationFailed, message)
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn value_of<'a>(keys: &'a Keys, key: &KeyRef) -> Result<&'a [u8], Failure> {
    Ok(keys.require(key)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_with_credentials_or_a_query_is_refused_without_repeating_it() {
        for url in [
            "ftp://h/",
            "http://canary:x@h",
            "http://canary@h",
            "http://h/?canary",
            "http://h/#canary",
            "http://",
            "h",
        ] {
            let failure = base_url(url).unwrap_err();
            assert!(!failure.message.contains("canary"), "{failure}");
            assert!(failure.message.contains("http://prometheus.monitoring:9090"), "{failure}");
        }
        assert!(base_url("https://mimir.example/prometheus/").is_ok());
    }

    #[test]
    fn the_name_in_the_certificate_replaces_the_host_and_the_host_header_stays() {
        let mut base = Url::parse("https://10.0.0.7:9090/prefix").unwrap();
        let mut headers = HeaderMap::new();
        rename(&mut base, &mut headers, "prom.example").unwrap();
        assert_eq!(base.as_str(), "https://prom.example:9090/prefix");
        assert_eq!(headers[HOST], "10.0.0.7:9090");
        for address in ["127.0.0.1", "2130706433", "::1", "[::1]", "a b"] {
            let mut base = Url::parse("https://prom:9090").unwrap();
            assert!(rename(&mut base, &mut HeaderMap::new(), address).is_err(), "{address}");
        }
    }
}
