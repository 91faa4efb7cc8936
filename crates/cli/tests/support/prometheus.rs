//! A small server that poses as Prometheus: it knows one series, `probe`, and keeps who asked.

use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::oneshot;

/// How the server answers.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code, reason = "each user of this module has its own needs")]
pub(crate) enum Manner {
    /// As Prometheus does.
    Answers,
    /// With 401, whatever was sent.
    Refuses,
    /// Never.
    Hangs,
}

/// The value of `Authorization` of every request, empty where there was none.
type Log = Arc<(Mutex<Vec<String>>, Condvar)>;

/// The server; it ends when it is dropped.
pub(crate) struct Prometheus {
    /// Its base URL.
    pub(crate) url: String,
    log: Log,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Prometheus {
    /// Starts a server on a free port of the loopback address.
    pub(crate) fn start(manner: Manner) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let log: Log = Arc::default();
        let (stop, stopped) = oneshot::channel::<()>();
        let kept = Arc::clone(&log);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let app = Router::new()
                    .fallback(move |request: Request| answer(manner, Arc::clone(&kept), request));
                let served = axum::serve(listener, app);
                tokio::select! {
                    result = served.into_future() => result.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self { url, log, stop: Some(stop), thread: Some(thread) }
    }

    /// The value of `Authorization` of every request so far.
    #[allow(dead_code, reason = "as above")]
    pub(crate) fn asked(&self) -> Vec<String> {
        self.log.0.lock().unwrap().clone()
    }

    /// Waits until something was asked.
    #[allow(dead_code, reason = "as above")]
    pub(crate) fn wait_until_asked(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut asked = self.log.0.lock().unwrap();
        while asked.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "nothing was asked");
            asked = self.log.1.wait_timeout(asked, left).unwrap().0;
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

async fn answer(manner: Manner, log: Log, request: Request) -> Response {
    let target = request.uri().to_string();
    let authorization = request.headers().get(header::AUTHORIZATION);
    let authorization = authorization.map_or("", |value| value.to_str().unwrap()).to_owned();
    log.0.lock().unwrap().push(authorization);
    log.1.notify_all();
    match manner {
        Manner::Hangs => std::future::pending().await,
        Manner::Refuses => StatusCode::UNAUTHORIZED.into_response(),
        Manner::Answers => {
            let known = if target.contains("query=probe&") || target.ends_with("query=probe") {
                r#"{"metric":{},"value":[1,"0.25"]}"#
            } else {
                ""
            };
            let kind = if target.contains("query_range") { "matrix" } else { "vector" };
            let body =
                format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":[{known}]}}}}"#);
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
    }
}
