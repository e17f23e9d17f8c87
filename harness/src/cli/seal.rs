//! `harness seal` and `harness verify`: runs in one archive that shows whether anyone has changed them.

use super::args::{SealArgs, VerifyArgs};
use super::{load, output};
use crate::exit::ExitCode;
use crate::provenance::contradiction;
use coordinator::cli::outlet;
use reports::run_dir::NewFile;
use reports::run_dir::layout::{SEGMENTS_MAX, VERDICT, segment_log};
use reports::runlog::codec;
use reports::runlog::event::{Event, Header};
use reports::seal::{PrivateKey, PublicKey, RunInput, SealError, Source, Verified, scenario_sha256};
use reports::{Judgement, seal as sealing};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

/// A key file has about a hundred bytes.
const KEY_MAX: u64 = 1 << 16;

pub(super) fn seal(args: &SealArgs) -> ExitCode {
    outlet::hurry();
    match sealed(args) {
        Ok((key, runs)) => show_sealed(args, key.as_ref(), &runs),
        Err(code) => code,
    }
}

fn sealed(args: &SealArgs) -> Result<(Option<PrivateKey>, Vec<Judgement>), ExitCode> {
    let key = args.key.as_deref().map(|path| key_of(path, PrivateKey::from_pem)).transpose()?;
    let mut runs = Vec::new();
    for run in &args.runs {
        runs.push(input(run, args)?);
    }
    let mut out = NewFile::create(&args.out).map_err(|error| unwritten(&args.out, &error))?;
    let judged =
        sealing::seal(&mut out, runs, key.as_ref(), contradiction).map_err(|error| refuse(&error))?;
    out.finish().map_err(|error| unwritten(&args.out, &error))?;
    Ok((key, judged))
}

fn unwritten(path: &Path, error: &io::Error) -> ExitCode {
    let hint = match error.kind() {
        io::ErrorKind::AlreadyExists => "a seal is not written over: name another file with --out",
        _ => "name a file that you may write with --out",
    };
    output::error(&format!("cannot write `{}`: {error}", path.display()), Some(hint));
    ExitCode::HostUnfit
}

fn refuse(error: &SealError) -> ExitCode {
    output::error(&error.to_string(), Some(error.hint()));
    match error {
        SealError::Write(_) => ExitCode::HostUnfit,
        SealError::Read(_)
        | SealError::NotABundle(_)
        | SealError::Entry { .. }
        | SealError::Key(_)
        | SealError::Run { .. } => ExitCode::Usage,
    }
}

fn key_of<K>(path: &Path, parse: impl Fn(&str) -> Result<K, SealError>) -> Result<K, ExitCode> {
    let refused = |error: String| {
        let message = format!("cannot read the key `{}`: {error}", path.display());
        output::error(&message, Some(SealError::Key(String::new()).hint()));
        ExitCode::Usage
    };
    let is_small = std::fs::metadata(path).map_err(|error| refused(error.to_string()))?;
    if !is_small.is_file() || is_small.len() > KEY_MAX {
        return Err(refused("it is not a file of a key".to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    parse(&text).map_err(|error| {
        output::error(&format!("`{}`: {error}", path.display()), Some(error.hint()));
        ExitCode::Usage
    })
}

/// A run's files, opened.
fn input(run: &Path, args: &SealArgs) -> Result<RunInput, ExitCode> {
    let refuse = |what: String, hint: &str| {
        output::error(&format!("cannot seal `{}`: {what}", run.display()), Some(hint));
        ExitCode::Usage
    };
    let no_run = "give the directory of a run, such as runs/SCENARIO/latest";
    let header = header(run).map_err(|what| refuse(what, no_run))?;
    let mut logs: Vec<Box<dyn Source>> = Vec::new();
    for segment in 0..SEGMENTS_MAX {
        match File::open(run.join(segment_log(segment))) {
            Ok(file) => logs.push(Box::new(file)),
            Err(error) if segment > 0 && error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(refuse(format!("{}: {error}", segment_log(segment)), no_run)),
        }
    }
    let verdict = std::fs::read(run.join(VERDICT)).map_err(|error| {
        refuse(format!("{VERDICT}: {error}"), "`harness judge RUN` makes it from the log")
    })?;
    let scenario = scenario_of(&header, args)?;
    Ok(RunInput { name: run.display().to_string(), logs, scenario, verdict })
}

fn header(run: &Path) -> Result<Header, String> {
    let first = codec::open(&run.join(segment_log(0))).map_err(|error| error.to_string())?.next();
    match first {
        Some(Ok(record)) => match record.event {
            Event::Header(header) => Ok(*header),
            _ => Err("its log does not begin with a header".to_owned()),
        },
        Some(Err(error)) => Err(error.to_string()),
        None => Err("its log is empty".to_owned()),
    }
}

/// The text of the scenario that ran, and of those that it extends: of the files that are named, or as the log has it; of an
/// older log, of the file that ran.
fn scenario_of(header: &Header, args: &SealArgs) -> Result<Vec<String>, ExitCode> {
    let ran = Path::new(&header.scenario.file);
    if args.scenarios.is_empty() && !header.sources.is_empty() {
        return Ok(header.sources.iter().map(|source| source.text.clone()).collect());
    }
    let mut first = None;
    let named: Vec<&Path> = args.scenarios.iter().map(AsRef::as_ref).collect();
    if named.is_empty() && !ran.is_file() {
        let message = format!("the scenario that ran, `{}`, is not there any more", ran.display());
        output::error(&message, Some("name the file as it was then with --scenario FILE"));
        return Err(ExitCode::Usage);
    }
    for file in if named.is_empty() { vec![ran] } else { named } {
        let source = load::source(file)?;
        let bases = source.bases.into_iter().map(|base| base.text);
        let texts: Vec<String> = std::iter::once(source.text).chain(bases).collect();
        if scenario_sha256(&texts) == header.scenario.sha256 {
            return Ok(texts);
        }
        first.get_or_insert(texts);
    }
    // Refused with its reason when it is sealed.
    Ok(first.unwrap_or_default())
}

fn show_sealed(args: &SealArgs, key: Option<&PrivateKey>, runs: &[Judgement]) -> ExitCode {
    let signer = key.map(|key| key.public().id());
    if args.json {
        let runs: Vec<Value> = runs.iter().map(run_json).collect();
        return output::data_only(&format!(
            "{:#}\n",
            json!({ "bundle": args.out, "signed_by": signer, "runs": runs })
        ));
    }
    let mut text = String::new();
    for run in runs {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}  {}", run.headline(), run.run_id);
    }
    let by = match &signer {
        Some(id) => format!("signed by {id}"),
        None => "unsigned: it shows accidents, and nothing about who made it".to_owned(),
    };
    let _ = writeln!(text, "sealed in {}, {by}", args.out.display());
    output::styled(&output::coloured_verdict(&text)).err().unwrap_or(ExitCode::Pass)
}

fn run_json(run: &Judgement) -> Value {
    json!({
        "run": run.run_id,
        "scenario": run.scenario,
        "started_utc": run.started_utc,
        "verdict": run.verdict.word(),
        "satisfies_gate": run.satisfies_gate,
    })
}

/// Exit code 0 if the seal holds, whatever its runs were judged to be; 10 if not.
pub(super) fn verify(args: &VerifyArgs) -> ExitCode {
    outlet::hurry();
    match verified(args) {
        Ok(verified) => show_verified(args, &verified),
        Err(code) => code,
    }
}

fn verified(args: &VerifyArgs) -> Result<Verified, ExitCode> {
    let keys = args.keys.iter().map(|path| public_key(path)).collect::<Result<Vec<_>, _>>()?;
    verified_by(&args.bundle, &keys)
}

/// Reads a public key; an error has been shown when this returns one.
pub(super) fn public_key(path: &Path) -> Result<PublicKey, ExitCode> {
    key_of(path, PublicKey::from_pem)
}

/// What a bundle amounts to, with these keys.
pub(super) fn verified_by(path: &Path, keys: &[PublicKey]) -> Result<Verified, ExitCode> {
    let unreadable = |what: String| {
        let message = format!("cannot read `{}`: {what}", path.display());
        output::error(&message, Some("name an archive that `harness seal` has written"));
        ExitCode::Usage
    };
    let found = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
    if !found.is_file() {
        return Err(unreadable("it is not a file".to_owned()));
    }
    let bundle = File::open(path).map_err(|error| unreadable(error.to_string()))?;
    sealing::verify(BufReader::new(bundle), keys, contradiction).map_err(|error| refuse(&error))
}

fn show_verified(args: &VerifyArgs, verified: &Verified) -> ExitCode {
    let code = if verified.holds() { ExitCode::Pass } else { ExitCode::Fail };
    let shown = if args.json {
        let object = json!({
            "bundle": args.bundle,
            "holds": verified.holds(),
            "signed_by": verified.signed_by,
            "named_keys": verified.named_keys,
            "findings": verified.findings,
            "runs": verified.runs.iter().map(|run| run_json(&run.judgement)).collect::<Vec<_>>(),
        });
        output::verdict(&format!("{object:#}\n"))
    } else {
        output::verdict(&output::coloured_verdict(&text(args, verified)))
    };
    if code == ExitCode::Pass { shown.err().unwrap_or(code) } else { code }
}

fn text(args: &VerifyArgs, verified: &Verified) -> String {
    let mut text = String::new();
    let bundle = args.bundle.display();
    // Writing to a String cannot fail.
    if !verified.holds() {
        let _ = writeln!(text, "FAIL  the seal of {bundle} does not hold");
        for finding in &verified.findings {
            let _ = writeln!(text, "  {finding}");
        }
        return text;
    }
    for run in &verified.runs {
        let _ = writeln!(text, "{}  {}", run.judgement.headline(), run.judgement.run_id);
    }
    let by = match (&verified.signed_by[..], &verified.named_keys[..]) {
        ([], []) => "it is unsigned: anyone can have made it".to_owned(),
        ([], named) => {
            format!("it names the key {}: check that with --key", named.join(", "))
        }
        (signers, _) => format!("signed by {}", signers.join(", ")),
    };
    let _ = writeln!(text, "the seal of {bundle} holds; {by}");
    text
}
