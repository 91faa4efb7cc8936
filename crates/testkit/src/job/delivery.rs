//! What the process in a Job delivers: a record in a frame, made from the Job's own environment.

use plimsoll_analysis::frame::{self, Envelope};
use plimsoll_analysis::job as contract;
use plimsoll_analysis::record::BaselineRecord;
use plimsoll_analysis::request::BaselineRequest;

use super::JobDouble;
use crate::fixtures;

impl JobDouble {
    /// The whole good way with a record: prints its frame exactly as a real Job does, and completes. `change` may
    /// alter the record that [`fixtures::record_of`] makes of the request; one that is not complete makes the process
    /// exit with 3 and the Job fail.
    pub fn delivers(&self, change: impl FnOnce(&mut BaselineRecord)) -> &Self {
        let mut record = fixtures::record_of(&self.request(), self.server.clock().now());
        change(&mut record);
        let complete = record.complete;
        self.runs().logs(&self.frame(record));
        if complete {
            self.exits(contract::EXIT_COMPLETE, "").completes()
        } else {
            self.exits(contract::EXIT_INCOMPLETE, "").settles()
        }
    }

    /// The request that the Job carries in its environment.
    ///
    /// # Panics
    /// Where it carries none.
    #[must_use]
    pub fn request(&self) -> BaselineRequest {
        serde_json::from_str(&self.environment(contract::ENV_REQUEST))
            .expect("the Job carries a request as JSON")
    }

    /// The frame that the Job's process would print for a record.
    ///
    /// # Panics
    /// Where the Job carries no nonce or request.
    #[must_use]
    pub fn frame(&self, record: BaselineRecord) -> String {
        let request = self.request();
        let job_uid = self.job_value()["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        let envelope = Envelope { uid: request.uid, run_key: request.run_key, job_uid, record };
        frame::encode(&self.environment(contract::ENV_NONCE), &envelope)
            .expect("fixtures are small and finite")
    }

    fn environment(&self, name: &str) -> String {
        let job = self.job_value();
        let containers = job["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten();
        let ours = containers.into_iter().find(|container| container["name"] == contract::CONTAINER);
        let variables = ours.and_then(|container| container["env"].as_array()).into_iter().flatten();
        let variable = variables.into_iter().find(|variable| variable["name"] == name);
        variable
            .and_then(|variable| variable["value"].as_str())
            .expect("the Job carries the variable in its container")
            .to_owned()
    }
}
