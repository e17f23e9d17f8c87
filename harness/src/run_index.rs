//! The index of a directory of runs, kept up by each run that ends: what a gate asks which runs there were.
//!
//! The format is in `reports::gate::index`. A run is added under a lock, so that runs side by side do not mix their lines.

use reports::Judgement;
use reports::gate::index::{self, Addition, Entry};
use reports::run_dir::layout::{SEGMENTS_MAX, segment_log};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Adds a run that has ended to the index of `runs`. The error is a sentence: the run itself is none the worse for it.
pub fn add(runs: &Path, directory: &Path, judgement: &Judgement) -> Result<(), String> {
    let path = runs.join(index::FILE);
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    let log_sha256 = log_sha256(directory).map_err(failed)?;
    let place = directory.canonicalize().map_err(failed)?;
    let within = runs.canonicalize().ok().and_then(|runs| place.strip_prefix(runs).ok()).unwrap_or(&place);
    let entry = Entry::of(judgement, log_sha256, within.display().to_string());
    let mut file =
        File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    file.lock().map_err(failed)?;
    let Addition { offset, line } = index::add(BufReader::new(&file), &entry)
        .map_err(|why| format!("{} does not verify ({why}); nothing is added to it", path.display()))?;
    file.set_len(offset)
        .and_then(|()| file.seek(SeekFrom::Start(offset)))
        .and_then(|_| file.write_all(&line))
        .and_then(|()| file.sync_data())
        .map_err(failed)
}

/// The directory of runs that a run lies in, if it has an index.
pub fn home_of(directory: &Path) -> Option<PathBuf> {
    let runs = directory.canonicalize().ok()?.parent()?.parent()?.to_owned();
    runs.join(index::FILE).is_file().then_some(runs)
}

/// Of the bytes of a run's log, segment after segment.
pub fn log_sha256(directory: &Path) -> io::Result<String> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    for segment in 0..SEGMENTS_MAX {
        let mut file = match File::open(directory.join(segment_log(segment))) {
            Ok(file) => file,
            Err(error) if segment > 0 && error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        };
        loop {
            let bytes = file.read(&mut buffer)?;
            if bytes == 0 {
                break;
            }
            digest.update(&buffer[..bytes]);
        }
    }
    Ok(crate::scenario::hex(&digest.finalize()))
}
