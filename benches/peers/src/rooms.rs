//! Names in /dev/shm: every one of them begins with this program's and its process's, so that what a killed run left
//! can be told from what a living one uses.

use std::fs;
use std::path::Path;

pub const SHARED: &str = "/dev/shm";

/// What this process's names begin with.
pub fn prefix() -> String {
    // of the process that the others are forked from: asked first there
    static PREFIX: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    PREFIX.get_or_init(|| format!("peers-{}-", std::process::id())).clone()
}

/// Removes what processes that are gone have left.
pub fn sweep() {
    let Ok(entries) = fs::read_dir(SHARED) else { return };
    for entry in entries.flatten() {
        if is_left(&entry.file_name().to_string_lossy()) {
            let path = entry.path();
            let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        }
    }
}

fn is_left(name: &str) -> bool {
    let pid = name.strip_prefix("peers-").and_then(|rest| rest.split_once('-')).map(|(pid, _)| pid);
    pid.and_then(|pid| pid.parse::<u32>().ok())
        .is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_dead_left_is_swept() {
        assert!(!is_left(&format!("{}room", prefix())));
        assert!(!is_left("peers-room"));
        assert!(!is_left("somebody-4000000000-else"));
        // above the largest pid there is
        assert!(is_left("peers-4194305-room"));
    }
}
