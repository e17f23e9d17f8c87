//! Where the program of an `exec` workload lies, or why it cannot be started.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where a program lies, or why it cannot be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ProgramReading {
    Found(PathBuf),
    /// In no directory of the search path.
    Nowhere,
    /// Named by its path, and there is no such file.
    Absent(String),
    NoFile(PathBuf),
    NotExecutable(PathBuf),
}

/// Looks where `execvp` does: a name with a `/` is a path, any other is looked for in `search`, whose
/// empty parts are the current directory; a file that may not be run does not end the search. All of it as seen from
/// `cwd`, where the program is started.
pub(super) fn find(name: &str, cwd: Option<&Path>, search: Option<&OsStr>) -> ProgramReading {
    let cwd = cwd.unwrap_or(Path::new(""));
    if name.contains('/') {
        return look_at(&cwd.join(name));
    }
    let search = search.unwrap_or(OsStr::new("/bin:/usr/bin"));
    let mut last = ProgramReading::Nowhere;
    for directory in std::env::split_paths(search) {
        match look_at(&cwd.join(directory).join(name)) {
            found @ ProgramReading::Found(_) => return found,
            refused @ ProgramReading::NotExecutable(_) => last = refused,
            _ => {}
        }
    }
    last
}

/// Whether a program can be started in this directory.
pub(super) fn enter(directory: &Path) -> io::Result<()> {
    if !fs::metadata(directory)?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(rustix::fs::access(directory, rustix::fs::Access::EXEC_OK)?)
}

fn look_at(path: &Path) -> ProgramReading {
    match fs::metadata(path) {
        Err(error) => ProgramReading::Absent(error.to_string()),
        Ok(metadata) if !metadata.is_file() => ProgramReading::NoFile(path.to_owned()),
        Ok(_) if rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok() => {
            ProgramReading::Found(path.to_owned())
        }
        Ok(_) => ProgramReading::NotExecutable(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn file(directory: &Path, name: &str, mode: u32) -> PathBuf {
        let path = directory.join(name);
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_program_is_looked_for_as_execvp_looks_for_it() {
        let root = tempfile::tempdir().unwrap();
        let (first, second) = (root.path().join("first"), root.path().join("second"));
        fs::create_dir_all(first.join("folder")).unwrap();
        fs::create_dir_all(&second).unwrap();
        let shadow = file(&first, "agent", 0o644);
        let agent = file(&second, "agent", 0o755);
        let plain = file(&second, "plain", 0o644);
        let search = std::env::join_paths([&first, &second]).unwrap();
        let look = |name: &str| find(name, None, Some(&search));
        assert_eq!(look("agent"), ProgramReading::Found(agent.clone()));
        assert_eq!(look("plain"), ProgramReading::NotExecutable(plain));
        assert_eq!(look("folder"), ProgramReading::Nowhere);
        assert_eq!(look("none"), ProgramReading::Nowhere);
        assert_eq!(look(agent.to_str().unwrap()), ProgramReading::Found(agent));
        assert_eq!(look(shadow.to_str().unwrap()), ProgramReading::NotExecutable(shadow));
        assert_eq!(look(first.to_str().unwrap()), ProgramReading::NoFile(first.clone()));
        assert!(matches!(look("/nowhere/agent"), ProgramReading::Absent(_)));
        assert!(matches!(find("sh", None, None), ProgramReading::Found(_)));
        // From a directory of its own, a relative path leads elsewhere.
        assert_eq!(find("./agent", Some(&second), None), ProgramReading::Found(second.join("./agent")));
        assert!(matches!(find("./agent", Some(root.path()), None), ProgramReading::Absent(_)));
        assert!(enter(&second).is_ok());
        assert!(enter(&second.join("agent")).is_err() && enter(Path::new("/nowhere")).is_err());
    }
}
