//! How many workers there are, and are to be. Any process may overwrite these words: no coordinator has more workers than the
//! fleet has room for.

use super::Control;
use crate::bus::sync::Ordering;

impl Control {
    /// Workers of a coordinator that are alive, as it says. At most as many as there is room for.
    pub fn workers_alive(&self, index: u32) -> u32 {
        let live = self.coordinator(index).own.live.load(Ordering::Relaxed);
        live.min(self.shape().workers_per_coordinator())
    }

    /// Workers that a coordinator wants, bounded in the same way. 0 if it has not said it yet.
    pub fn workers_wanted(&self, index: u32) -> u32 {
        let wanted = self.coordinator(index).own.wanted.load(Ordering::Acquire);
        wanted.min(self.shape().workers_per_coordinator())
    }

    /// Workers of each coordinator that an operator has ordered, bounded in the same way. 0 without an order.
    pub fn workers_ordered(&self) -> u32 {
        self.orders().workers.load(Ordering::Relaxed).min(self.shape().workers_per_coordinator())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::shape::FleetShape;
    use crate::bus::view::Stamped;
    use crate::os::identity::Identity;

    #[test]
    fn no_overwritten_number_of_workers_is_read_as_more_than_there_is_room_for() {
        use std::os::unix::fs::PermissionsExt;
        let private = std::fs::Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new().permissions(private).tempdir_in("/dev/shm").unwrap();
        let none = Identity { pid: 0, start_ticks: 0 };
        let shape = FleetShape::new(2, 20, 64, 1).unwrap();
        let control = Control::create(&dir.path().join("control"), &Stamped::new(none, 0, shape)).unwrap();
        for (written, read) in [(0, 0), (19, 19), (20, 20), (21, 20), (0x7fff_ffff, 20), (u32::MAX, 20)] {
            let own = &control.coordinator(1).own;
            own.live.store(written, Ordering::Relaxed);
            own.wanted.store(written, Ordering::Relaxed);
            control.orders().workers.store(written, Ordering::Relaxed);
            let found = [control.workers_alive(1), control.workers_wanted(1), control.workers_ordered()];
            assert_eq!(found, [read; 3], "{written}");
        }
    }
}
