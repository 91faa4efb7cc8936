//! `plimsoll-cluster up [--local-cluster] | down [--purge] | status | apiserver 1.33|1.36 | tool NAME |
//! servers [--local-cluster]`: the local cluster by hand, and the servers that tests start, as lines for a shell.

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use plimsoll_cluster::apiserver::{self, ApiVersion};
use plimsoll_cluster::{
    ClusterError, Consent, Server, Tool, down, install_servers, server, status, tool, up,
};

const USAGE: &str = "usage: plimsoll-cluster up [--local-cluster] | down [--purge] | status | apiserver 1.33|1.36 | tool helm|kubeconform | servers [--local-cluster]";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut out = std::io::stdout();
    let result = match words[..] {
        ["up"] => up(&Consent::new(false), &mut out).map(|_| true),
        ["up", "--local-cluster"] => up(&Consent::new(true), &mut out).map(|_| true),
        ["down"] => down(false, &mut out).map(|()| true),
        ["down", "--purge"] => down(true, &mut out).map(|()| true),
        ["status"] => status(&mut out),
        ["apiserver", "1.33"] => try_api_server(ApiVersion::V1_33, &mut out),
        ["apiserver", "1.36"] => try_api_server(ApiVersion::V1_36, &mut out),
        ["tool", "helm"] => show_tool(Tool::Helm, &mut out),
        ["tool", "kubeconform"] => show_tool(Tool::Kubeconform, &mut out),
        ["servers"] => show_servers(&Consent::new(false), &mut out),
        ["servers", "--local-cluster"] => show_servers(&Consent::new(true), &mut out),
        _ => {
            let _ = writeln!(std::io::stderr(), "{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn try_api_server(version: ApiVersion, out: &mut dyn Write) -> Result<bool, ClusterError> {
    let begin = Instant::now();
    let server = apiserver::start(version, out)?;
    let seconds = begin.elapsed().as_secs_f64();
    let answer = server.kubectl().arg("version").output();
    let text = answer.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let _ = writeln!(out, "ready after {seconds:.1} s\n{text}");
    Ok(true)
}

fn show_tool(which: Tool, out: &mut dyn Write) -> Result<bool, ClusterError> {
    let path = tool(which, out)?;
    let _ = writeln!(out, "{}", path.display());
    Ok(true)
}

/// For `eval "$(plimsoll-cluster servers)"`: progress goes to standard error.
fn show_servers(consent: &Consent, out: &mut dyn Write) -> Result<bool, ClusterError> {
    install_servers(consent, &mut std::io::stderr())?;
    for which in Server::ALL {
        let path = server(which, &mut std::io::stderr())?;
        let _ = writeln!(out, "export {}={}", which.variable(), path.display());
    }
    Ok(true)
}
