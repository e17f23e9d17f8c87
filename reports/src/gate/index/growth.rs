//! What the lines of a run add to each other: each later one is held to those before.

use super::Entry;

impl Entry {
    /// What this says that another entry of the same run says differently. Nothing if they agree, as far as both have it.
    pub fn differs(&self, now: &Self) -> Option<String> {
        let or = |text: &Option<String>, none: &str| text.clone().unwrap_or_else(|| none.to_owned());
        let words = |as_asked: bool| (if as_asked { "that of the file" } else { "another" }).to_owned();
        let mut known = vec![
            ("id", self.run_id.clone(), now.run_id.clone()),
            ("start", self.started_utc.clone(), now.started_utc.clone()),
            ("scenario", self.scenario.clone(), now.scenario.clone()),
            ("SHA-256 of the scenario", self.scenario_sha256.clone(), now.scenario_sha256.clone()),
            ("profile", or(&self.profile, "none"), or(&now.profile, "none")),
            ("plan", words(self.as_asked), words(now.as_asked)),
        ];
        // Older indexes have neither, and lines of ends have none.
        if let (Some(machine), Some(machine_now)) = (&self.machine, &now.machine) {
            known.push(("machine", machine.clone(), machine_now.clone()));
            known.push(("commit", or(&self.commit, "unknown"), or(&now.commit, "unknown")));
        }
        let (what, then, now) = known.into_iter().find(|(_, then, now)| then != now)?;
        Some(format!("its {what} is {now}, and was {then} when it began"))
    }

    /// Takes one more line of this run. The error is that line, if it contradicts what was known.
    pub(super) fn grow(&mut self, line: Self) -> Result<(), Box<Self>> {
        // Older builds add no hash when a run goes on.
        let is_unhashed = line.is_unfinished() && line.log_sha256.is_empty();
        let is_later = if self.is_unfinished() && !line.is_unfinished() {
            self.is_followed_by(&line.log_sha256)
        } else {
            self.is_begun_by(&line.log_sha256)
        };
        if self.differs(&line).is_some() || self.has_lost_its_log() || !(is_unhashed || is_later) {
            return Err(Box::new(line));
        }
        if !is_unhashed {
            self.log_sha256 = line.log_sha256;
        }
        self.verdict = line.verdict;
        self.directory = line.directory;
        // Only the first line of a run has all of them.
        self.file = self.file.take().or(line.file);
        if self.machine.is_none() {
            (self.machine, self.commit) = (line.machine, line.commit);
        }
        Ok(())
    }

    /// It has ended, and its log is not what it wrote: nothing can be held to it.
    pub fn has_lost_its_log(&self) -> bool {
        !self.is_unfinished() && self.log_sha256.is_empty()
    }

    /// Whether a run with these logs, joined, has all that this has of it.
    pub fn is_begun_by(&self, logs: &str) -> bool {
        logs == self.log_sha256 || self.is_followed_by(logs)
    }

    /// Whether it has a log beyond those. Every run has, as long as no hash is known.
    pub fn is_followed_by(&self, logs: &str) -> bool {
        let known = &*self.log_sha256;
        known.is_empty() || logs.strip_prefix(known).is_some_and(|more| more.starts_with('+'))
    }
}
