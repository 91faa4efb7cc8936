//! Crash tests: one scenario, a fault at each of its writes in turn, one end state.
//!
//! The reference is the scenario without a fault. Then, for every mutating request that it made and for each kind of
//! fault, the scenario runs anew on a new server, and two oracles compare it with the reference: the end state
//! (every object, with UIDs, versions and times masked) and how often each object was made and removed. Together they
//! find most bugs of operators that crashes bring out (Sieve, OSDI 2022, section 5.1.2).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::server::{FakeApiServer, Fault, FaultKind, Lifecycle, ObjectKey, Write};

/// Most differences that a report prints of one run.
const SHOWN_DIFFERENCES: usize = 12;

/// A crash test, and what it leaves out of the comparison.
#[derive(Debug, Clone)]
pub struct CrashTest {
    masked_annotations: BTreeSet<String>,
    masked_pointers: Vec<String>,
    ignored_resources: BTreeSet<String>,
    deadline: Duration,
}

impl Default for CrashTest {
    /// Masks the nonce, ignores Events (they are told at most once, and their names hold a time), and gives each run
    /// 30 seconds.
    fn default() -> Self {
        Self {
            masked_annotations: BTreeSet::from([plimsoll_api::NONCE_ANNOTATION.to_owned()]),
            masked_pointers: Vec::new(),
            ignored_resources: BTreeSet::from(["events".to_owned()]),
            deadline: Duration::from_secs(30),
        }
    }
}

impl CrashTest {
    /// A test with the defaults of [`CrashTest::default`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves the value of an annotation out of the comparison, and wherever else that value stands.
    #[must_use]
    pub fn mask_annotation(mut self, name: &str) -> Self {
        self.masked_annotations.insert(name.to_owned());
        self
    }

    /// Leaves the value at a JSON pointer out of the comparison, in every object that has it.
    #[must_use]
    pub fn mask_pointer(mut self, pointer: &str) -> Self {
        self.masked_pointers.push(pointer.to_owned());
        self
    }

    /// Leaves every object of a resource, by its plural, out of the comparison.
    #[must_use]
    pub fn ignore_resource(mut self, plural: &str) -> Self {
        self.ignored_resources.insert(plural.to_owned());
        self
    }

    /// Gives each run so much real time to settle.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs the scenario without a fault, then once for every write and kind of fault.
    ///
    /// The scenario gets a new server each time and drives its reconciler until it has settled. After an error it asks
    /// [`FakeApiServer::is_down`], and if so makes its reconciler anew and calls [`FakeApiServer::restart`].
    pub async fn run<F, Fut, E>(&self, scenario: F) -> CrashReport
    where
        F: Fn(FakeApiServer) -> Fut,
        Fut: Future<Output = Result<(), E>>,
        E: fmt::Display,
    {
        let server = FakeApiServer::new();
        let outcome = self.drive(&scenario, &server).await;
        let mut report = CrashReport { writes: server.writes(), reference: outcome.err(), runs: Vec::new() };
        if report.reference.is_some() {
            return report;
        }
        let reference = self.end_state(&server);
        for at in 1..=report.writes.len() {
            for kind in FaultKind::ALL {
                let fault = Fault { at, kind };
                let server = FakeApiServer::new();
                server.inject(fault);
                let outcome = self.drive(&scenario, &server).await;
                let mut differences: Vec<String> = outcome.err().into_iter().collect();
                if server.fired().is_empty() {
                    differences
                        .push(format!("the fault was not reached: only {} writes", server.writes().len()));
                }
                differences.extend(reference.differences(&self.end_state(&server)));
                report.runs.push(CrashRun { fault, writes: server.writes(), differences });
            }
        }
        report
    }

    async fn drive<F, Fut, E>(&self, scenario: &F, server: &FakeApiServer) -> Result<(), String>
    where
        F: Fn(FakeApiServer) -> Fut,
        Fut: Future<Output = Result<(), E>>,
        E: fmt::Display,
    {
        let run = AssertUnwindSafe(async { scenario(server.clone()).await }).catch_unwind();
        match tokio::time::timeout(self.deadline, run).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => Err(format!("the scenario failed: {error}")),
            Ok(Err(panic)) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
                Err(format!("the scenario panicked: {text}"))
            }
            Err(_) => Err(format!("the scenario did not settle within {:?}", self.deadline)),
        }
    }

    fn end_state(&self, server: &FakeApiServer) -> EndState {
        let is_compared = |key: &ObjectKey| !self.ignored_resources.contains(&key.resource.plural);
        let objects = server.objects();
        let masks = self.masks(server, &objects);
        let masked = |(key, object): (ObjectKey, Value)| {
            let mut object = object;
            for pointer in &self.masked_pointers {
                if let Some(value) = object.pointer_mut(pointer) {
                    *value = json!("<masked>");
                }
            }
            if let Some(metadata) = object["metadata"].as_object_mut() {
                metadata.shift_remove("resourceVersion");
            }
            mask_text(&mut object, &masks);
            (key.to_string(), object)
        };
        let objects = objects.into_iter().filter(|(key, _)| is_compared(key)).map(masked).collect();
        let lifecycles = server.lifecycles().into_iter().filter(|(key, _)| is_compared(key));
        EndState {
            objects,
            lifecycles: lifecycles.map(|(key, lifecycle)| (key.to_string(), lifecycle)).collect(),
        }
    }

    /// Texts that differ from run to run, with what stands for them.
    fn masks(
        &self,
        server: &FakeApiServer,
        objects: &BTreeMap<ObjectKey, Value>,
    ) -> BTreeMap<String, String> {
        let uids = server.uids().into_iter().map(|(uid, key)| (uid, format!("<uid of {key}>")));
        let mut masks: BTreeMap<String, String> = uids.collect();
        for object in objects.values() {
            for name in &self.masked_annotations {
                if let Some(value) =
                    object["metadata"]["annotations"][name].as_str().filter(|value| !value.is_empty())
                {
                    masks.insert(value.to_owned(), format!("<{name}>"));
                }
            }
        }
        masks
    }
}

/// Runs a scenario with the defaults of [`CrashTest::default`].
pub async fn every_crash_point<F, Fut, E>(scenario: F) -> CrashReport
where
    F: Fn(FakeApiServer) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: fmt::Display,
{
    CrashTest::new().run(scenario).await
}

fn mask_text(value: &mut Value, masks: &BTreeMap<String, String>) {
    match value {
        Value::String(text) => {
            if text.parse::<Timestamp>().is_ok() {
                "<time>".clone_into(text);
            } else {
                for (secret, mask) in masks {
                    if text.contains(secret) {
                        *text = text.replace(secret, mask);
                    }
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| mask_text(item, masks)),
        Value::Object(fields) => fields.values_mut().for_each(|field| mask_text(field, masks)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[derive(Debug)]
struct EndState {
    objects: BTreeMap<String, Value>,
    lifecycles: BTreeMap<String, Lifecycle>,
}

impl EndState {
    fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for key in self.objects.keys().chain(other.objects.keys()).collect::<BTreeSet<_>>() {
            match (self.objects.get(key), other.objects.get(key)) {
                (Some(reference), Some(object)) => compare(key, "", reference, object, &mut found),
                (Some(_), None) => found.push(format!("{key}: missing, the reference has it")),
                (None, _) => found.push(format!("{key}: there, and not in the reference")),
            }
        }
        for key in self.lifecycles.keys().chain(other.lifecycles.keys()).collect::<BTreeSet<_>>() {
            let of = |state: &Self| state.lifecycles.get(key).copied().unwrap_or_default();
            let (reference, here) = (of(self), of(other));
            if reference != here {
                found.push(format!(
                    "{key}: made {} and removed {} times, in the reference {} and {}",
                    here.creates, here.deletes, reference.creates, reference.deletes
                ));
            }
        }
        found
    }
}

fn compare(key: &str, path: &str, reference: &Value, object: &Value, found: &mut Vec<String>) {
    match (reference, object) {
        (Value::Object(left), Value::Object(right)) => {
            for name in left.keys().chain(right.keys()).collect::<BTreeSet<_>>() {
                compare(key, &format!("{path}.{name}"), &reference[name], &object[name], found);
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                compare(key, &format!("{path}[{index}]"), left, right, found);
            }
        }
        _ if reference == object => {}
        _ => found.push(format!("{key}: {path} is {}, in the reference {}", brief(object), brief(reference))),
    }
}

fn brief(value: &Value) -> String {
    let text = if value.is_null() { "absent".to_owned() } else { value.to_string() };
    if text.chars().count() > 160 { text.chars().take(160).chain("...".chars()).collect() } else { text }
}

/// What a crash test found.
#[derive(Debug)]
pub struct CrashReport {
    /// Writes of the run without a fault: the points at which the others have theirs.
    pub writes: Vec<Write>,
    /// Why the run without a fault did not end well; then there are no others.
    pub reference: Option<String>,
    /// One run for each write and kind of fault.
    pub runs: Vec<CrashRun>,
}

/// One run with a fault.
#[derive(Debug)]
pub struct CrashRun {
    /// Where and what the fault was.
    pub fault: Fault,
    /// Every write of the run.
    pub writes: Vec<Write>,
    /// How it ended otherwise than the reference; empty where it did not.
    pub differences: Vec<String>,
}

impl CrashReport {
    /// Whether there were writes, and every run ended as the reference did.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.reference.is_none()
            && !self.writes.is_empty()
            && self.runs.iter().all(|run| run.differences.is_empty())
    }

    /// Fails the test, with the whole report, unless [`Self::is_clean`].
    ///
    /// # Panics
    /// Where it is not.
    pub fn assert_clean(&self) {
        assert!(self.is_clean(), "{self}");
    }
}

impl fmt::Display for CrashReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let different: Vec<&CrashRun> = self.runs.iter().filter(|run| !run.differences.is_empty()).collect();
        let (writes, faults) = (self.writes.len(), FaultKind::ALL.len());
        writeln!(formatter, "{writes} writes x {faults} faults: {} runs end otherwise", different.len())?;
        if let Some(reason) = &self.reference {
            writeln!(formatter, "the run without a fault: {reason}")?;
        }
        for write in &self.writes {
            writeln!(formatter, "  {write}")?;
        }
        for run in different {
            writeln!(formatter, "{:?} at write {}:", run.fault.kind, run.fault.at)?;
            for difference in run.differences.iter().take(SHOWN_DIFFERENCES) {
                writeln!(formatter, "  - {difference}")?;
            }
            let hidden = run.differences.len().saturating_sub(SHOWN_DIFFERENCES);
            if hidden > 0 {
                writeln!(formatter, "  - and {hidden} more")?;
            }
            for write in &run.writes {
                writeln!(formatter, "    {write}")?;
            }
        }
        Ok(())
    }
}
