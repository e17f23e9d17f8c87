//! Sends a task, as its workload has it.

use super::Loader;
use crate::engine::payload;
use crate::scenario::Workload;
use crate::system::{Recipient, Refused, Task};
use std::time::Duration;

impl Loader<'_> {
    pub(super) fn submit(&mut self, to: Recipient, tag: u64, timeout: Duration) -> Result<(), Refused> {
        let mix = self.tools.plan.mix();
        let part = mix.of_task(self.mix_seed, tag);
        match &mix.parts()[part].workload {
            Workload::Echo { payload_bytes } => {
                payload::fill(&mut self.buffer, self.seed, tag, *payload_bytes);
                self.system.submit(to, Task::Echo(&self.buffer), timeout, tag)
            }
            Workload::Saboteur(saboteur) => {
                payload::fill(&mut self.buffer, self.seed, tag, saboteur.payload_bytes());
                let plotted = self.sabotage[part].expect("every saboteur is plotted");
                let after = self.load_ns.map(|load_ns| self.now_ns().saturating_sub(load_ns));
                let body = plotted.at(after.map(Duration::from_nanos)).body(&self.buffer);
                self.system.submit(to, Task::Saboteur(&body), timeout, tag)
            }
            Workload::Sleep(time) => {
                self.system.submit(to, Task::Sleep(time.of_task(self.seed, tag)), timeout, tag)
            }
            Workload::Compute { cpu } => self.system.submit(to, Task::Compute(*cpu), timeout, tag),
            Workload::Exec(exec) => {
                let command = exec.of_task(self.tasks);
                self.system.submit(to, Task::Command(&command), timeout, tag)
            }
            Workload::Agent(agent) => {
                let question = agent.question(self.seed, tag, self.tasks);
                self.system.submit(to, Task::Agent(&question), timeout, tag)
            }
        }
    }
}
