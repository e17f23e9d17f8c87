//! Shared set-up for the benchmarks in `benches/`: a piece of a real fleet's shared memory.
//!
//! Each benchmark stands in a group with a reference (a copy, a channel, a scan): figures of a
//! machine are compared as ratios within one run, and never with another machine's.
#![forbid(unsafe_code)]

pub mod steady;

use coordinator::bus::directory::SHM;
use coordinator::bus::error::BusError;
use coordinator::bus::view::{Control, Region, Stamped};
use coordinator::client::Identity;
use coordinator::config::FleetShape;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

/// The shared memory of one coordinator, used only by this process.
#[derive(Debug, Clone, Copy)]
pub struct Bus {
    pub control: Control,
    pub region: Region,
}

impl Bus {
    /// Rings for payloads of `payload_max` bytes; the client's has room for `workers` × 8 of them.
    ///
    /// # Panics
    /// Where there is no shared memory for it: there is nothing to measure then.
    pub fn new(workers: u32, payload_max: u32) -> Self {
        Self::make(workers, payload_max).expect("shared memory for a benchmark")
    }

    fn make(workers: u32, payload_max: u32) -> Result<Self, BusError> {
        const TASKS_WAITING: u32 = 8;
        let shape = FleetShape::new(1, workers, payload_max, TASKS_WAITING).expect("a small shape");
        let stamped = Stamped::new(Identity::own(), 0, shape);
        let own = Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new().permissions(own).tempdir_in(SHM);
        let dir = dir.expect("a directory in shared memory");
        let control = Control::create(&dir.path().join("control"), &stamped)?;
        let file = dir.path().join("region");
        Region::create(&file, &stamped, 0)?;
        let region = Region::attach(&file, &stamped, 0)?;
        // The names go with the directory, here; the memory stays mapped as long as the process.
        Ok(Self { control, region })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coordinator::bus::ring::{HEADER, Record};

    #[test]
    fn the_bus_that_is_measured_carries_messages() {
        let bus = Bus::new(2, 1024);
        let mut producer = bus.region.client_down().producer().expect("the end is free");
        let mut consumer = bus.region.client_down().consumer().expect("the end is free");
        producer.push(1, &[2; HEADER], &[3; 1024]).expect("the ring is empty");
        producer.publish();
        let mut record = Record::empty();
        assert_eq!(consumer.pop(&mut record), Ok(true));
        assert_eq!(record, Record { kind: 1, header: [2; HEADER], body: vec![3; 1024] });
    }
}
