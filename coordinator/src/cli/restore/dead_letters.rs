//! Dead letters of a backup: tasks once more, or kept in a file beside the results.

use super::super::run::results::{Results, Unusable, claim};
use super::{Args, Load, Made, print, unusable, unwritten};
use crate::os::named::open_named;
use crate::snapshot::record::DeadLetter;
use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Makes dead letters tasks again, or writes them to a file. Errors are already printed.
pub(super) fn keep(args: &Args, load: &mut Load, made: &mut Made) -> Result<(), u8> {
    if load.dead.is_empty() {
        return Ok(());
    }
    if args.retry_dead_letters {
        load.open.extend(load.dead.drain(..).map(|letter| (None, letter.task)));
        return Ok(());
    }
    let results = args.results.as_ref().filter(|results| results.as_os_str() != "-");
    let path = beside(results.unwrap_or(&args.file));
    // Without a file of results, there is nothing to resume: each restore is the first.
    let goes_on = (args.resume || results.is_none()) && path.exists();
    let opened = made.by(&path, || {
        if goes_on { open(&path) } else { Results::create(Some(&path)).map(|new| (new, HashSet::new())) }
    });
    let (mut kept, before) = opened.map_err(unusable)?;
    for letter in &load.dead {
        let line = line_of(letter);
        if !before.contains(&line) {
            kept.write(&line).map_err(unwritten)?;
        }
    }
    kept.sync().map_err(unwritten)?;
    print::warn(format!(
        "{} dead letters are not done again; they are in {} (`--retry-dead-letters` does them again)",
        load.dead.len(),
        path.display()
    ));
    Ok(())
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".dead-letters");
    file.with_file_name(name)
}

fn line_of(letter: &DeadLetter) -> Vec<u8> {
    let mut line = serde_json::to_vec(letter)
        .expect("a dead letter has text keys only, and writing into memory cannot fail");
    line.push(b'\n');
    line
}

/// What an interrupted restore has kept, to add what is missing there. Returns the lines that it has.
fn open(path: &Path) -> Result<(Results, HashSet<Vec<u8>>), Unusable> {
    let wrong = |what: String| Unusable {
        what,
        hint: "choose another name for the results: dead letters are kept beside them",
        usage: true,
    };
    let io = |error: std::io::Error| wrong(format!("{}: {error}", path.display()));
    let mut file = open_named(path, File::options().read(true).append(true)).map_err(io)?;
    if !file.metadata().map_err(io)?.is_file() {
        return Err(wrong(format!("{} is not a regular file", path.display())));
    }
    claim(&file, path)?;
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(io)?;
    let mut whole = HashSet::new();
    let mut len = 0;
    for (line, number) in text.split_inclusive(|byte| *byte == b'\n').zip(1_u64..) {
        let is_letter = serde_json::from_slice::<DeadLetter>(line).is_ok();
        if line.ends_with(b"\n") && !is_letter {
            return Err(wrong(format!("{}:{number}: this line is not a dead letter", path.display())));
        }
        // The last one may be torn, and is written again.
        if line.ends_with(b"\n") {
            len += line.len() as u64;
            whole.insert(line.to_vec());
        }
    }
    if len < text.len() as u64 {
        print::warn(format!(
            "{}: removed an incomplete last line, as after a killed restore",
            path.display()
        ));
    }
    Ok((Results::go_on(file, path, len)?, whole))
}
