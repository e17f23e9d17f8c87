//! What the run has left behind: looked for after each segment, and after one that was killed when the run goes on.

use super::Facts;
use crate::runlog::event::{Event, Verify};

impl Facts {
    /// What each segment has left adds up.
    pub(super) fn left(&mut self, verify: &Verify) {
        self.verified += 1;
        self.segment_verified = true;
        match &mut self.verify {
            Some(before) => {
                before.processes_left.extend_from_slice(&verify.processes_left);
                before.files_left.extend_from_slice(&verify.files_left);
                before.cleaned.extend_from_slice(&verify.cleaned);
                before.altered.extend_from_slice(&verify.altered);
            }
            None => self.verify = Some(verify.clone()),
        }
    }

    /// The header of another segment says what those before had left. The harness of one that was killed did not look.
    pub(super) fn looked_back(&mut self, header: &Event) {
        let is_verified = std::mem::take(&mut self.segment_verified);
        let Event::Header(header) = header else { return };
        let Some(left) = header.resumes.as_ref().and_then(|resumes| resumes.left.as_ref()) else { return };
        self.verified += u32::from(!is_verified);
        self.outlived.extend_from_slice(left);
    }
}
