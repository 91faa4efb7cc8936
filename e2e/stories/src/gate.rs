//! A Prometheus that a story has in its hands: in front of a real one, it holds answers back, refuses, or redirects, and
//! remembers what it was asked. It listens on the bridge, where pods reach it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The node's address on the pods' bridge.
pub const BRIDGE: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);

/// What the gate does with requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Hands them on.
    Pass,
    /// Holds them until it is told otherwise.
    Hold,
    /// Answers with a redirect to this URL.
    Redirect(String),
    /// Hands on those with this value of `Authorization`, and refuses others.
    Only(String),
    /// Answers with so many series, whatever is asked.
    Series(usize),
}

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Path and query.
    pub target: String,
    /// Its headers.
    pub headers: HeaderMap,
}

/// A gate; it closes when dropped.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    upstream: String,
    client: reqwest::Client,
    answer: watch::Sender<Answer>,
    asked: Mutex<Vec<Asked>>,
}

impl Gate {
    /// Opens a gate in front of the Prometheus at a URL, on a free port.
    ///
    /// # Errors
    /// The bridge is not there.
    pub async fn open(upstream: &str, answer: Answer) -> Result<Self> {
        Self::open_at(SocketAddr::from((BRIDGE, 0)), upstream, answer).await
    }

    /// Opens a gate on a given address.
    ///
    /// # Errors
    /// The address is taken.
    pub async fn open_at(address: SocketAddr, upstream: &str, answer: Answer) -> Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| format!("listen on {address}"))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            client: http_client()?,
            answer: watch::Sender::new(answer),
            asked: Mutex::default(),
        });
        let router = Router::new().fallback(serve).with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, shared, task })
    }

    /// Its URL, as pods reach it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on does this with requests, also with those that it holds.
    pub fn set(&self, answer: Answer) {
        self.shared.answer.send_replace(answer);
    }

    /// Every request so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An address on the bridge on which nobody listens.
///
/// # Errors
/// The bridge is not there.
pub async fn closed_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((BRIDGE, 0)).await.context("bind a port on the pods' bridge")?;
    Ok(listener.local_addr()?)
}

/// A client for plain HTTP to servers of this machine.
///
/// # Errors
/// It cannot be made.
pub fn http_client() -> Result<reqwest::Client> {
    // Whoever is first in this process installs the one provider; a second time is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?)
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).to_owned();
    let headers = request.headers().clone();
    let authorization = headers.get(header::AUTHORIZATION).cloned();
    let asked = Asked { target: target.clone(), headers };
    shared.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
    let mut answers = shared.answer.subscribe();
    let answer = match answers.wait_for(|answer| *answer != Answer::Hold).await {
        Ok(answer) => answer.clone(),
        Err(_) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
    };
    match answer {
        Answer::Series(count) => series(count),
        Answer::Redirect(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
        Answer::Only(wanted)
            if authorization.as_ref().is_none_or(|have| have.as_bytes() != wanted.as_bytes()) =>
        {
            StatusCode::UNAUTHORIZED.into_response()
        }
        _ => pass(&shared, &target).await,
    }
}

/// An instant vector of so many series, about 100 bytes each.
fn series(count: usize) -> Response {
    let one = |number: usize| {
        format!(
            r#"{{"metric":{{"le":"{number}","pod":"a-pod-with-a-rather-long-name-{number}"}},"value":[1,"1"]}}"#
        )
    };
    let all: Vec<String> = (0..count).map(one).collect();
    let body =
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{}]}}}}"#, all.join(","));
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

async fn pass(shared: &Shared, target: &str) -> Response {
    let answer = match shared.client.get(format!("{}{target}", shared.upstream)).send().await {
        Ok(answer) => answer,
        Err(error) => return (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    };
    let status = answer.status();
    let kind = answer.headers().get(header::CONTENT_TYPE).cloned();
    let mut response = match answer.bytes().await {
        Ok(body) => Response::new(Body::from(body)),
        Err(error) => return (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    };
    *response.status_mut() = status;
    response.headers_mut().extend(kind.map(|kind| (header::CONTENT_TYPE, kind)));
    response
}
