//! The launch of a fleet: by this thread, or below a filter for its system calls.

use crate::system::{FleetSpec, Home, LaunchError};
use crate::trapped::Trapped;
use coordinator::client::launch::{self, Fleet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// How often to ask whether the launch was cancelled.
const LOOK: Duration = Duration::from_millis(50);

/// Starts it, and waits until it is ready.
pub(super) fn start(
    home: &Home,
    spec: FleetSpec,
    cancelled: &dyn Fn() -> bool,
) -> Result<(Fleet, Option<Trapped>), LaunchError> {
    if !home.traps_calls {
        return launch(home, &spec, cancelled).map(|fleet| (fleet, None));
    }
    // Before the fleet: its processes are not to be taken for the fleet's.
    let trapped = Trapped::start(&home.shm_dir).map_err(|error| LaunchError::Failed(error.to_string()))?;
    let (home, is_cancelled) = (home.clone(), Arc::new(AtomicBool::new(false)));
    let (sender, receiver) = channel();
    let asked = Arc::clone(&is_cancelled);
    trapped.run(move || {
        let _ = sender.send(launch(&home, &spec, &|| asked.load(Ordering::Relaxed)));
    });
    loop {
        match receiver.recv_timeout(LOOK) {
            Ok(fleet) => return fleet.map(|fleet| (fleet, Some(trapped))),
            Err(RecvTimeoutError::Timeout) => is_cancelled.store(cancelled(), Ordering::Relaxed),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(LaunchError::Failed("the thread that starts the fleet has ended".to_owned()));
            }
        }
    }
}

fn launch(home: &Home, spec: &FleetSpec, cancelled: &dyn Fn() -> bool) -> Result<Fleet, LaunchError> {
    let Home { program, shm_dir, run_id, stderr, .. } = home;
    let of = (&spec.shape, &spec.policy);
    launch::launch(program, shm_dir, run_id, of, Some(stderr), cancelled).map_err(|error| match error {
        launch::LaunchError::Cancelled => LaunchError::Cancelled,
        error => LaunchError::Failed(error.to_string()),
    })
}
