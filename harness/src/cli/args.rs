//! The arguments of every verb, and its help.

use super::capacity_args::ForecastArgs;
use super::compare_args::{BaselineArgs, CompareArgs, HistoryArgs};
use super::impact_args::ImpactArgs;
pub use super::swarm_args::SwarmArgs;
use super::usual::{GATES, PHASES, RUNS};
pub use super::variant_args::VariantArgs;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use std::ffi::OsString;
use std::path::PathBuf;

#[derive(Debug, Parser)]
#[command(
    name = "harness",
    version,
    about = "Asks whether a fleet of agent processes is good enough, and ends in a verdict",
    before_help = "Example:  harness run scenarios/smoke.toml",
    after_help = "Exit codes: 0 pass, 10 fail, 11 conditional, 12 inconclusive, 13 regression, \
                  20 this host cannot run it, 21 interrupted, 64 usage or bad input, 70 a bug of the harness.",
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run scenarios and judge the results
    #[command(before_help = "Example:  harness run scenarios/smoke.toml")]
    Run(RunArgs),
    /// Resume a run that was interrupted or killed
    #[command(before_help = "Example:  harness resume runs/stage1-7d/latest")]
    Resume(ResumeArgs),
    /// Draw faults from a seed, run them, and shrink those that fail to a short scenario
    #[command(before_help = "Example:  harness swarm scenarios/chaos-swarm.toml --seed 7 --runs 20")]
    Swarm(SwarmArgs),
    /// Show the progress of runs in other terminals
    #[command(before_help = "Example:  harness status runs/stage1-7d/latest")]
    Status(StatusArgs),
    /// Stop a run in another terminal; it is judged as far as it went
    #[command(before_help = "Example:  harness stop runs/stage1-7d/latest")]
    Stop(StopArgs),
    /// Report all mistakes in scenario files
    #[command(before_help = "Example:  harness validate scenarios/*.toml")]
    Validate(ValidateArgs),
    /// Show what a run would do and need, without starting anything
    #[command(before_help = "Example:  harness plan scenarios/gate1-24h.toml --rehearse 1440x")]
    Plan(PlanArgs),
    /// List the scenarios in a directory, or the runs
    #[command(before_help = "Example:  harness list scenarios")]
    List(ListArgs),
    /// Judge a run again from its log
    #[command(before_help = "Example:  harness judge runs/load-100/latest")]
    Judge(JudgeArgs),
    /// Create the documents of runs again from their logs
    #[command(before_help = "Example:  harness report runs/load-100/latest --open
          harness report runs/load-100/* --out side-by-side")]
    Report(ReportArgs),
    /// Decide a gate of the plan from the runs on this host
    #[command(before_help = "Example:  harness gate gate-1")]
    Gate(GateArgs),
    /// Show which phases of the plan are open, what waits for what, and what to do next
    #[command(before_help = "Example:  harness phases --svg phases.svg")]
    Phases(PhasesArgs),
    /// Pack runs into one archive with their hashes, signed if there is a key
    #[command(before_help = "Example:  harness seal runs/smoke/latest --key key.pem --out smoke.seal.tar")]
    Seal(SealArgs),
    /// Check that a sealed archive is as it was sealed, and judge its runs again
    #[command(before_help = "Example:  harness verify smoke.seal.tar --key key.pub.pem")]
    Verify(VerifyArgs),
    /// Compare runs: is the second side worse than the first?
    #[command(before_help = "Example:  harness compare runs/before runs/after")]
    Compare(CompareArgs),
    /// Keep runs to compare later ones with, in a file that belongs in git
    #[command(before_help = "Example:  harness baseline set smoke runs/smoke")]
    Baseline(BaselineArgs),
    /// Show every figure from run to run, and between which commits it changed
    #[command(before_help = "Example:  harness history runs/smoke --html history.html")]
    History(HistoryArgs),
    /// Predict what larger fleets cost, and which resource runs out first
    #[command(before_help = "Example:  harness forecast runs/capacity-* --predict 708 2000")]
    Forecast(ForecastArgs),
    /// Run a scenario with optimisations on and off, and say what each does
    #[command(before_help = "Example:  harness impact capacity --runs 5 --report impact.html")]
    Impact(ImpactArgs),
    /// Remove old runs; without --yes, only list them
    #[command(before_help = "Example:  harness clean --keep 10 --older-than 30d")]
    Clean(CleanArgs),
    /// Check whether this host can run fleets, and say how to fix what is missing
    #[command(before_help = "Example:  harness doctor scenarios/load-708.toml")]
    Doctor(DoctorArgs),
    /// Check that the judge notices defects, one of each kind
    #[command(before_help = "Example:  harness selftest")]
    Selftest(SelftestArgs),
    /// Count how often the criteria of a scenario notice a defect
    #[command(before_help = "Example:  harness calibrate scenarios/gate1-24h.toml --runs 100")]
    Calibrate(CalibrateArgs),
    /// Print the JSON Schema of scenario files, or of plans
    #[command(before_help = "Example:  harness schema > scenarios/scenario.schema.json")]
    Schema(SchemaArgs),
    /// Print the completion script for a shell
    #[command(
        before_help = "Example:  harness completions bash > ~/.local/share/bash-completion/completions/harness"
    )]
    Completions(CompletionsArgs),
    /// Run the program `coordinator`: up, run, status, stop, clean, …
    #[command(
        before_help = "Example:  harness coordinator run --agents 50 -- sh -c 'echo {}'",
        disable_help_flag = true
    )]
    Coordinator(CoordinatorArgs),
    /// Act as a process that a fault starts
    #[command(hide = true)]
    Hog(HogArgs),
    /// Answer system calls of a fleet, which are trapped on standard input, by orders on standard output
    #[command(hide = true)]
    AnswerCalls(AnswerCallsArgs),
    /// Serve the working directory as a disk that faults are done to
    #[command(hide = true)]
    Disk(DiskArgs),
    /// Wait for the end of a harness, and end what its set-up has left running
    #[command(hide = true)]
    SetupGuard {
        /// The id of the run
        run: String,
    },
}

#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Scenario files: paths, names of files in scenarios/, or - for standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub variant: VariantArgs,
    /// Run only scenarios with this name, or if there is none, with this in their names
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Run each scenario so many times, and show how far its figures differ
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000), allow_negative_numbers = true)]
    pub runs: u32,
    /// Run what is INCONCLUSIVE again, so many times at most; the last run counts
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100), allow_negative_numbers = true)]
    pub retry_inconclusive: u32,
    /// Print one JSON object instead of summaries
    #[arg(long)]
    pub json: bool,
    /// Write the run to DIR/<scenario>/<time>-<id>
    #[arg(long, value_name = "DIR", default_value = RUNS)]
    pub out: PathBuf,
    /// Show no progress and no warnings, only the verdict
    #[arg(long, short)]
    pub quiet: bool,
    /// Compare the runs with this baseline, too; a regression is exit code 13
    #[arg(long, value_name = "NAME")]
    pub baseline: Option<PathBuf>,
    /// Return as soon as the first run has begun; what would be printed goes into a file beside the runs
    #[arg(long, conflicts_with_all = ["json", "quiet"])]
    pub detach: bool,
    /// Be the process that was detached
    #[arg(long, hide = true, conflicts_with = "detach")]
    pub detached: bool,
}

/// Another segment of the run: a new fleet, the rest of the schedule, one verdict over all segments. By the build that began the
/// run, on the same machine.
#[derive(Debug, Clone, Args)]
pub struct ResumeArgs {
    /// The run's directory
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Print one JSON object instead of a summary
    #[arg(long)]
    pub json: bool,
    /// Show no progress and no warnings, only the verdict
    #[arg(long, short)]
    pub quiet: bool,
}

#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// The run's directory, or a directory of runs
    #[arg(value_name = "RUN", default_value = RUNS)]
    pub run: PathBuf,
    /// Print one JSON array instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct StopArgs {
    /// The run's directory
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct ValidateArgs {
    /// The scenario files
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// The scenario file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub variant: VariantArgs,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// The directory of the scenarios, or with --runs, that of the runs [default: scenarios, or runs]
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// List runs and their verdicts, the newest first
    #[arg(long)]
    pub runs: bool,
    /// Print one JSON array instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct JudgeArgs {
    /// The run's directory
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Judge by the criteria of this scenario file; unless it is the one that ran, the verdict satisfies no gate
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// Print the verdict as JSON instead of a summary
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// The directory of the run; of several, a page with all of them side by side is made as well
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// Write the documents to this directory, of several runs to a folder for each in it, instead of beside the logs
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Open the report in the browser: the program in $BROWSER, or xdg-open
    #[arg(long)]
    pub open: bool,
    /// Judge by the criteria of this scenario file; unless it is the one that ran, the verdict satisfies no gate
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// Show the samples in samples.csv this far apart, such as 5s; otherwise they are as many as a spreadsheet loads at most
    #[arg(long, value_name = "TIME", value_parser = notation::duration::parse)]
    pub samples_every: Option<u64>,
    /// Print the verdict as JSON instead of a summary
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct SealArgs {
    /// The directories of the runs
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// The scenario as it was when it ran, if that is not where the run found it; may be repeated
    #[arg(long = "scenario", value_name = "FILE")]
    pub scenarios: Vec<PathBuf>,
    /// Sign with this ed25519 key, in PEM as `openssl genpkey -algorithm ed25519` writes it
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Write the archive to this file, which must not exist
    #[arg(long, value_name = "FILE", default_value = "sealed.tar")]
    pub out: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// The archive that `harness seal` has written
    #[arg(value_name = "BUNDLE")]
    pub bundle: PathBuf,
    /// Require a signature by this public key, in PEM; if repeated, by one of them
    #[arg(long = "key", value_name = "FILE")]
    pub keys: Vec<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

/// A run that goes on, the one that `latest` points to, and whatever is not a run are never removed.
#[derive(Debug, Clone, Args)]
#[command(group(clap::ArgGroup::new("which").required(true).multiple(true).args(["keep", "older_than"])))]
pub struct CleanArgs {
    /// The directory of the runs
    #[arg(value_name = "DIR", default_value = RUNS)]
    pub directory: PathBuf,
    /// Keep the newest N runs of each scenario
    #[arg(long, value_name = "N")]
    pub keep: Option<usize>,
    /// Remove only runs that started longer ago, such as 30d
    #[arg(long, value_name = "AGE", value_parser = notation::duration::parse)]
    pub older_than: Option<u64>,
    /// Remove them; otherwise they are only listed
    #[arg(long)]
    pub yes: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// Also check whether this host can run this scenario
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub variant: VariantArgs,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct SelftestArgs {
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

/// The runs are made up, with the noise that real fleets have, and judged: nothing is started.
#[derive(Debug, Clone, Args)]
pub struct CalibrateArgs {
    /// The scenario file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub variant: VariantArgs,
    /// Runs of each kind
    #[arg(long, value_name = "N", default_value_t = 100, allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub runs: u64,
    /// Processes that the sweeps of a run show
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u64).range(3..=100_000))]
    pub processes: u64,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct SchemaArgs {
    /// Print the tables of docs/scenarios.md instead: keys and metrics, in Markdown
    #[arg(long, conflicts_with = "phases")]
    pub guide: bool,
    /// Print the schema of plans, such as scenarios/phases.toml
    #[arg(long)]
    pub phases: bool,
    /// Print JSON: the schema, which is JSON in any case; with --guide, one object with the text
    #[arg(long)]
    pub json: bool,
}

/// Where the plan and the runs are.
#[derive(Debug, Clone, Args)]
pub struct PlanArg {
    /// The plan
    #[arg(long, value_name = "FILE", default_value = PHASES)]
    pub phases: PathBuf,
    /// The directory of the runs
    #[arg(long, value_name = "DIR", default_value = RUNS)]
    pub runs: PathBuf,
    /// An archive that `harness seal` has written, for evidence that asks for signatures; may be repeated
    #[arg(long = "seal", value_name = "BUNDLE")]
    pub seals: Vec<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub struct GateArgs {
    /// The gate, as the plan names it
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub plan: PlanArg,
    /// Show everything behind one piece of evidence or one criterion, and write nothing; --json as one object
    #[arg(long, value_name = "CRITERION")]
    pub explain: Option<String>,
    /// Where the documents are written: DIR/NAME
    #[arg(long, value_name = "DIR", default_value = GATES)]
    pub output: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct PhasesArgs {
    #[command(flatten)]
    pub plan: PlanArg,
    /// Draw the calendar to this file
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Write the SHA-256 of each scenario into the plan, below its name, and show no phases
    #[arg(long, conflicts_with = "svg")]
    pub pin: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
    /// Print one JSON object with the script instead of the script
    #[arg(long)]
    pub json: bool,
}

/// What a fault starts: a process that is busy, or holds memory.
#[derive(Debug, Clone, Args)]
pub struct HogArgs {
    /// The harness that it dies with
    #[arg(long)]
    pub parent: u32,
    /// Keep a processor busy at this niceness
    #[arg(long, default_value_t = 0, conflicts_with = "bytes")]
    pub nice: i32,
    /// Hold so much memory
    #[arg(long)]
    pub bytes: Option<usize>,
}

/// What makes calls of a fleet fail.
#[derive(Debug, Clone, Args)]
pub struct AnswerCallsArgs {
    /// The thread of the harness that is below the filter itself
    #[arg(long)]
    pub probe: u32,
    /// Where shared memory lies
    pub dir: PathBuf,
}

/// What serves a directory for a run.
#[derive(Debug, Clone, Copy, Args)]
pub struct DiskArgs {
    /// The harness that it dies with
    #[arg(long)]
    pub parent: u32,
}

#[derive(Debug, Clone, Args)]
pub struct CoordinatorArgs {
    /// Passed on unchanged
    #[arg(value_name = "ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<OsString>,
}
