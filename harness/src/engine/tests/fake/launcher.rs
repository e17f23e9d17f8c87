//! What hands a fake over to the engine.

use super::Fake;
use crate::system::{LaunchError, Launcher, System};
use std::cell::RefCell;

/// Gives its fake away once.
#[derive(Debug)]
pub struct FakeLauncher(RefCell<Option<Fake>>);

impl FakeLauncher {
    pub fn new(fake: Fake) -> Self {
        Self(RefCell::new(Some(fake)))
    }
}

impl Launcher for FakeLauncher {
    fn launch(&self, _: i64, _: &dyn Fn() -> bool) -> Result<Box<dyn System>, LaunchError> {
        let fake = self.0.borrow_mut().take();
        fake.map(|fake| Box::new(fake) as Box<dyn System>).ok_or(LaunchError::Cancelled)
    }
}
