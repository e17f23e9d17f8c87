//! Tasks that the fleet is not to see after all.

use super::{Client, InFlight};

impl Client {
    /// Takes back the tasks that no [`Client::flush`] has published: the fleet never sees them, and no outcome comes of them.
    /// Returns their tags. Coordinators that were to get one of them get no more tasks of this client; orders and answers go on.
    pub fn withdraw(&mut self) -> Vec<u64> {
        let mut tags = Vec::new();
        for index in 0..self.links.len() {
            let Some(link) = self.links[index].as_mut().filter(|link| link.staged > 0) else { continue };
            // They stay in the ring, and the next holder of this end wipes them: nothing may be published behind them.
            let published = link.tasks.position() - u64::from(std::mem::take(&mut link.staged));
            link.is_withdrawn = true;
            let coordinator = Some(index as u32);
            let is_staged = |task: &InFlight| task.coordinator == coordinator && task.position >= published;
            let staged: Vec<_> = self.in_flight.extract_if(|_, task| is_staged(task)).collect();
            link.ledger.accepted -= staged.len() as u64;
            link.ledger.in_flight -= staged.len() as u64;
            for (_, task) in staged {
                if let Some(worker) = task.worker {
                    let place = self.place(worker);
                    self.waiting[place] -= 1;
                }
                tags.push(task.tag);
            }
        }
        tags
    }
}
