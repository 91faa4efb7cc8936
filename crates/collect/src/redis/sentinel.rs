//! The master that Sentinels watch: asked of one of them, checked like every other address, and asked who it is.

use plimsoll_analysis::record::SourceReason;
use plimsoll_analysis::request::SentinelRequest;
use redis::Value;

use super::Notes;
use super::address::{Address, parse_host, read_credentials};
use super::client::Client;
use super::command::Command;
use super::connect::{Way, connect};
use super::fault::Fault;
use super::figures;
use crate::failure::Failure;
use crate::keys::Keys;

/// Asks the Sentinel at an address for the master, connects to that and makes sure that it is one. The address' own
/// credentials are the master's; the Sentinel has its own.
pub(crate) async fn master(
    address: &Address,
    sentinel: &SentinelRequest,
    keys: &Keys,
    way: Way<'_>,
    notes: &mut Notes,
) -> Result<Client, Failure> {
    let own = sentinel.credentials.as_ref().map(|named| read_credentials(named, keys)).transpose()?;
    let asked = Address { credentials: own, ..address.clone() };
    let mut client = connect(&asked, way, &mut notes.warnings).await?;
    let place = ask(&mut client, &sentinel.master_name).await;
    notes.spent = notes.spent.and(client.spent());
    let shown = client.shown().to_owned();
    drop(client);
    let (host, port) = place?;
    let unknown = || {
        let message = format!(
            "the Sentinel {shown} names a master at an address that is none; look at its configuration"
        );
        Failure::of_source(SourceReason::BadAnswer, message)
    };
    let host = parse_host(&host).ok_or_else(unknown)?;
    let master = Address { host, port, ..address.clone() };
    let mut client = connect(&master, way, &mut notes.warnings)
        .await
        .map_err(|failure| failure.reading(&format!("the master that the Sentinel {shown} names")))?;
    let role = figures::snapshot(&mut client).await?.info.role;
    if role.as_deref() == Some("master") {
        return Ok(client);
    }
    notes.spent = notes.spent.and(client.spent());
    let message = format!(
        "the Sentinel {shown} names {} as the master, which says that it is none: a failover is under way; try again when it has ended",
        client.shown()
    );
    Err(Failure::of_source(SourceReason::Unavailable, message))
}

async fn ask(client: &mut Client, name: &str) -> Result<(String, u16), Failure> {
    let command = Command::MasterAddress(name);
    let reply = client.send(&[command]).await?.pop().unwrap_or(Err(Fault::Other));
    let shown = client.shown();
    let answer = match reply {
        Ok(answer) => answer,
        Err(Fault::UnknownCommand) => {
            let message = format!(
                "{shown} is no Sentinel: it does not know SENTINEL; write a Sentinel's address (port 26379 mostly), or leave the topology away for a server's own"
            );
            return Err(Failure::of_source(SourceReason::BadAnswer, message));
        }
        Err(fault) => {
            return Err(Failure { stops: true, ..fault.failure(command.name(), shown) });
        }
    };
    match parse(&answer) {
        Some(Some(place)) => Ok(place),
        Some(None) => {
            let message = format!(
                "the Sentinel {shown} watches no master of the name {name:?}; look at SENTINEL MASTERS there, and at masterName"
            );
            Err(Failure::of_source(SourceReason::BadAnswer, message))
        }
        None => {
            let message =
                format!("{shown} answered where the master is with something else; is it a Sentinel?");
            Err(Failure::of_source(SourceReason::BadAnswer, message))
        }
    }
}

/// Host and port of an answer; `Some(None)` where the name is unknown, `None` where it is no answer.
fn parse(answer: &Value) -> Option<Option<(String, u16)>> {
    match answer {
        Value::Nil => Some(None),
        Value::Array(parts) => {
            let [Value::BulkString(host), Value::BulkString(port)] = parts.as_slice() else { return None };
            let host = std::str::from_utf8(host).ok()?.to_owned();
            let port = std::str::from_utf8(port).ok()?.parse().ok()?;
            Some(Some((host, port)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_host_and_a_port_or_nothing() {
        let bulk = |text: &str| Value::BulkString(text.into());
        let found = parse(&Value::Array(vec![bulk("10.0.0.7"), bulk("6379")]));
        assert_eq!(found, Some(Some(("10.0.0.7".to_owned(), 6379))));
        assert_eq!(parse(&Value::Nil), Some(None));
        for odd in [
            Value::Int(1),
            Value::Array(vec![]),
            Value::Array(vec![bulk("h")]),
            Value::Array(vec![bulk("h"), bulk("99999")]),
            Value::Array(vec![bulk("h"), Value::Int(1)]),
        ] {
            assert_eq!(parse(&odd), None, "{odd:?}");
        }
    }
}
