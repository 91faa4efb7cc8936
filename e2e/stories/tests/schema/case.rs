//! One case: an object, what must become of it, and the judgement of the server beside that of `plimsoll validate`.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::{Result, ensure};
use plimsoll_api::PerformanceBaseline;
use serde::Deserialize as _;
use serde_json::Value;

use crate::oracle::{self, Opinion};
use crate::server::{Ask, BASELINES, Server, Verdict, schema};
use crate::text::SURROGATE;
use crate::{bases, catalogue, fields, rules};

/// The object whose status is written.
const STORED: &str = "with-status";

/// What must become of an object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expected {
    /// The server takes it, and `plimsoll validate` finds nothing.
    Accepted,
    /// The server takes it, whether it means something or not.
    Taken,
    /// The server takes it, `plimsoll validate` says that it means nothing, and so will the operator.
    Meaningless,
    /// The server refuses it.
    Refused,
    /// The server refuses it with these words.
    RefusedWith(String),
    /// The server does what `plimsoll validate` says.
    Consistent,
    /// `plimsoll validate` refuses it, and the server takes it, or a server of some version does.
    RefusedByValidate,
}

/// An object and what must become of it.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// What is special about it.
    pub(crate) what: String,
    /// The object as it is sent.
    pub(crate) body: String,
    expected: Expected,
    /// Whether its status is sent, for an object that is there.
    is_status: bool,
}

impl Case {
    /// A case of an object.
    pub(crate) fn new(what: impl Into<String>, object: &Value, expected: Expected) -> Self {
        let body = object.to_string().replace(SURROGATE, "\\ud800");
        Self { what: what.into(), body, expected, is_status: object.get("status").is_some() }
    }

    fn ask(&self) -> Ask {
        let (method, path) =
            if self.is_status { ("PUT", format!("/{STORED}/status")) } else { ("POST", String::new()) };
        let target = format!("{BASELINES}{path}?dryRun=All&fieldValidation=Strict");
        Ask::json(method, target, self.body.as_bytes())
    }
}

/// Every case there is.
pub(crate) async fn all(server: &Server) -> Result<Vec<Case>> {
    let schema = schema(server).await?;
    let mut seen = BTreeSet::new();
    let mut cases = Vec::new();
    for base in bases::full() {
        cases.push(Case::new("every field", &base, Expected::Accepted));
        cases.extend(fields::cases("spec", &schema, &base, &mut seen));
    }
    let mut stored = bases::least();
    stored["metadata"]["name"] = STORED.into();
    let stored = server.must(Ask::json("POST", BASELINES, stored.to_string())).await?;
    let status = bases::full_status(&stored["metadata"]);
    cases.push(Case::new("every field of the status", &status, Expected::Accepted));
    cases.extend(fields::cases("status", &schema, &status, &mut seen));
    let places: BTreeSet<String> =
        ["spec", "status"].iter().flat_map(|part| fields::places(part, &schema)).collect();
    let missed: Vec<&String> = places.difference(&seen).collect();
    ensure!(missed.is_empty(), "no base fills {missed:?}: add them to bases.rs");
    cases.extend(rules::cases(&schema)?);
    cases.extend(catalogue::cases());
    cases.extend(catalogue::examples()?);
    Ok(cases)
}

/// What is wrong with the verdicts, a line each.
pub(crate) async fn judge(server: &Server, cases: Vec<Case>) -> Result<Vec<String>> {
    let asks = cases.iter().map(Case::ask).collect();
    let opinions = tokio::task::spawn_blocking(move || oracle::opinions(&cases).map(|found| (found, cases)));
    let begin = Instant::now();
    let verdicts = server.ask_all(asks).await?;
    let asked = begin.elapsed();
    let (opinions, cases) = opinions.await??;
    println!(
        "{:.1} s by the server, {:.1} s by validate",
        asked.as_secs_f64(),
        begin.elapsed().as_secs_f64()
    );
    let mut wrong = Vec::new();
    let mut accepted = 0;
    for ((case, verdict), opinion) in cases.iter().zip(&verdicts).zip(&opinions) {
        accepted += usize::from(matches!(verdict, Verdict::Accepted(_)));
        wrong.extend(fault(case, verdict, opinion).map(|fault| format!("{}: {fault}", case.what)));
    }
    println!("{accepted} of {} accepted", cases.len());
    Ok(wrong)
}

/// What is wrong with a verdict.
fn fault(case: &Case, verdict: &Verdict, opinion: &Opinion) -> Option<String> {
    let is_accepted = matches!(verdict, Verdict::Accepted(_));
    if let Verdict::Accepted(object) = verdict
        && let Err(error) = PerformanceBaseline::deserialize(object.as_ref())
        && case.expected != Expected::RefusedByValidate
    {
        return Some(format!("the server accepts what our own types cannot read: {error}"));
    }
    let said = match verdict {
        Verdict::Accepted(_) => "the server accepts".to_owned(),
        Verdict::Refused { code, message } => format!("the server refuses ({code}: {})", short(message)),
    };
    if let Verdict::Refused { code, .. } = verdict
        && ![400, 422].contains(code)
    {
        return Some(said);
    }
    let is_expected = match &case.expected {
        Expected::Accepted => is_accepted && *opinion == Opinion::Valid,
        Expected::Meaningless => is_accepted && matches!(opinion, Opinion::Meaningless(_)),
        Expected::Refused => !is_accepted,
        Expected::RefusedWith(words) => {
            matches!(verdict, Verdict::Refused { message, .. } if message.contains(words.as_str()))
        }
        Expected::Taken => is_accepted,
        Expected::Consistent => true,
        Expected::RefusedByValidate => matches!(opinion, Opinion::Refused(_)),
    };
    let is_consistent =
        is_accepted != matches!(opinion, Opinion::Refused(_)) || case.expected == Expected::RefusedByValidate;
    (!is_expected || !is_consistent).then(|| {
        format!("expected {:?}; {said}; validate: {}", case.expected, short(&format!("{opinion:?}")))
    })
}

fn short(text: &str) -> String {
    let cut: String = text.chars().take(300).collect();
    cut.replace(char::is_control, " ")
}
