//! More single mistakes: those at the edges of ranges, and between tables.

use super::{ECHO, OPEN, PASS};

const KILL: &str = "[[fault]]\nname = \"x\"\nat = \"1s\"\nkind = \"kill\"\n";
const EXEC: &str = "kind = \"exec\"\ncommand = [\"true\"]\n";

/// What stands in the good file, and the mistake in its place.
pub(super) fn mistakes() -> Vec<(&'static str, String)> {
    let faults = FAULTS.iter().map(|keys| {
        ("[sampling]", format!("[[fault]]\nname = \"x\"\nat = \"1s\"\nfor = \"1s\"\n{keys}\n[sampling]"))
    });
    let kills = KILLS.iter().map(|keys| ("[sampling]", format!("{KILL}{keys}\n[sampling]")));
    let commands = COMMANDS.iter().map(|keys| (ECHO, format!("{EXEC}{keys}")));
    let fleets = FLEETS.iter().map(|keys| ("workers = 4", format!("workers = 4\n{keys}")));
    let many: Vec<String> = (1..=101).map(|n| n.to_string()).collect();
    let many = ("[fleet]", format!("[matrix]\nworkers = [{}]\n[fleet]", many.join(", ")));
    let axes = AXES.iter().map(|axis| ("[fleet]", format!("[matrix]\n{axis}\n[fleet]")));
    let stages =
        STAGES.iter().map(|keys| ("[sampling]", format!("[[stage]]\nname = \"a\"\n{keys}\n[sampling]")));
    let tables = TABLES.iter().map(|table| ("[sampling]", format!("{table}\n[sampling]")));
    let others = OTHERS.iter().map(|(from, to)| (*from, (*to).to_owned()));
    let lists: [Vec<(&str, String)>; 8] = [
        faults.collect(),
        kills.collect(),
        commands.collect(),
        fleets.collect(),
        axes.chain([many]).collect(),
        stages.collect(),
        tables.collect(),
        others.collect(),
    ];
    lists.concat()
}

/// Of a fault that lasts a second.
const FAULTS: &[&str] = &[
    "kind = \"cgroup-cpu\"\nrole = \"worker\"\ncpus = nan",
    "kind = \"cgroup-cpu\"\nrole = \"worker\"\ncpus = inf",
    "kind = \"cgroup-cpu\"\nrole = \"worker\"\ncpus = 0.001",
    "kind = \"cgroup-cpu\"\nrole = \"worker\"\ncpus = -1",
    "kind = \"limit\"\nrole = \"worker\"\nresource = \"nofile\"",
    "kind = \"limit\"\nrole = \"worker\"\nto = 64",
    "kind = \"limit\"\nrole = \"worker\"\nresource = \"colour\"\nto = 64",
    "kind = \"limit\"\nrole = \"worker\"\nresource = \"nofile\"\nto = -1",
    "kind = \"pause\"\nrole = \"harness\"",
    "kind = \"pause\"\nrole = \"worker\"\npick = \"best\"",
    "kind = \"cpu-hogs\"\nhogs = 0",
    "kind = \"cpu-hogs\"\nhogs = 1\nnice = -21",
    "kind = \"cpu-hogs\"\nhogs = 1\nrole = \"worker\"",
    "kind = \"memory\"\nmemory = \"1MB\"",
    "kind = \"shm-fill\"\nfill = \"0%\"",
    "kind = \"shm-fill\"\nfill = \"101%\"",
    "kind = \"shm-fill\"\nfill = 1",
    "kind = \"segment-unlink\"\nrole = \"worker\"",
    "kind = \"disk-fail\"\nerror = \"EIO\"",
    "kind = \"disk-slow\"\ndelay = \"0s\"",
    "kind = \"shm-errors\"\nerror = \"EIO\"\nrate = \"101%\"",
    "kind = \"shm-errors\"\nerror = \"EIO\"\nnth = 0",
    "kind = \"reboot\"",
    "kind = \"pause\"\nrole = \"supervisor\"\ncount = 2",
    "kind = \"segment-scribble\"\nrole = \"coordinator\"\nwords = 0",
    "kind = \"shm-errors\"\nerror = \"EFOO\"\nnth = 2",
];

/// Of a kill.
const KILLS: &[&str] = &[
    "role = \"supervisor\"",
    "role = \"supervisor\"\ncount = 2",
    "role = \"worker\"\nwithin = \"1s\"",
    "role = \"worker\"\ncount = 0",
    "role = \"worker\"\nshare = \"0%\"",
    "role = \"worker\"\nshare = \"200%\"",
    "role = \"worker\"\nevery = \"0s\"",
    "role = \"worker\"\nevery = \"1s\"\ntimes = 0",
    "role = \"worker\"\napart = \"1\"",
    "role = \"worker\"\nmoment = \"mid-task\"",
    "role = \"worker\"\nmoment = \"mid-round\"\nwithin = \"0s\"",
];

/// Of an `exec`.
const COMMANDS: &[&str] = &[
    "env = { A = \"a\\u0000b\" }",
    "env = { \"\" = \"1\" }",
    "cwd = \"/a\\u0000b\"",
    "cwd = \"\"",
    "output_max = \"2MiB\"",
    "exits = [-1]",
    "exits = [0.5]",
    "weight = 0",
    "weight = \"2\"",
    "name = \"A\"",
];

/// Beside four workers.
const FLEETS: &[&str] = &[
    "attempts_max = 256",
    "hang_after = \"0s\"",
    "grace = \"soon\"",
    "restart_window = \"0s\"",
    "retry_failures = 1",
    "failover = \"maybe\"",
    "workers_min = 0",
    "workers_max = 0",
];

const AXES: &[&str] = &[
    "workers = [4, 5000]",
    "workers = [0]",
    "workers = [\"4\"]",
    "coordinators = [257]",
    "load.every = [\"0s\"]",
    "load.every = [1]",
    "load.speed = [1]",
    "topology = [\"ring\"]",
    "fleet.workers = [4, 5000]",
    "payload = [\"2MiB\"]",
    "seed = [\"a\"]",
    "every = [\"1s\"]",
    "role = [\"worker\"]",
    "workers = [true]",
];

const STAGES: &[&str] = &[
    "at = \"1s\"",
    "at = \"1s\"\nagain = \"1h\"",
    "at = \"1s\"\nworkers = 2000000",
    "at = \"1s\"\nevery = \"0s\"",
    "at = 1\nworkers = 6",
    "workers = 6",
];

const TABLES: &[&str] = &[
    "[[fault]]\nname = \"faults\"\nat = \"1s\"\nkind = \"kill\"\nrole = \"worker\"",
    "[[fault]]\nat = \"1s\"\nkind = \"kill\"\nrole = \"worker\"",
    "[[fault]]\nname = \"x\"\nkind = \"kill\"\nrole = \"worker\"",
    "[[fault]]\nname = \"x\"\nkind = \"kill\"\nrole = \"worker\"\nat = \"100%\"",
    "[[fault]]\nname = \"x\"\nat = \"1s\"\nrole = \"worker\"",
    "[setup]\ncommand = [\"a\\u0000\"]",
    "[setup]\ncommand = [\"true\"]\nenv = { A = \"\\u0000\" }",
    "[teardown]\ncommand = []",
    "[shm]\nsize = \"0B\"",
    "[shm]\nsize = \"10KiB\"",
    "[shm]\ninodes = 0",
    "[setup]\ntimeout = \"1s\"",
    "[setup]\ncommand = [\"true\"]\ntimeout = \"0s\"",
    "[[stage]]\nat = \"1s\"\nworkers = 4",
    "[[fault]]\nname = \"x\"\nkind = \"kill\"\nat = \"1s\"",
    "[shm]\ninodes = \"4\"",
    "[shm]\ncolour = 1",
];

const OTHERS: &[(&str, &str)] = &[
    ("workers = 4", "workers = 4\nworkers_max = 8"),
    ("workers = 4", "workers = 4\nworkers_min = 2"),
    ("workers = 4", "workers = 4\ncoordinators_max = 4"),
    ("workers = 4", "workers = 4\ncoordinators_min = 1"),
    ("workers = 4", "workers = 4\nworkers_max = 8\n[[stage]]\nname = \"a\"\nat = \"1s\"\nworkers = 6"),
    ("workers = 4", "workers = 4\nhang_after = \"2d\""),
    ("workers = 4", "workers = 4\nhang_after = \"25h\""),
    ("workers = 4", "workers = 4\nhang_after = \"86401s\""),
    ("workers = 4", "workers = 4\ngrace = \"61s\""),
    ("workers = 4", "workers = 4\ngrace = \"60001ms\""),
    ("workers = 4", "workers = 4\ngrace = \"1h\""),
    (
        "topology = \"hybrid\"\ncoordinators = 2",
        "topology = \"flat\"\ncoordinators = 1\nfailover = \"survivors\"",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nat = \"1s\"\nkind = \"kill\"\nrole = \"worker\"\nmay_meet_nothing = true\n[sampling]",
    ),
    ("schema = 1", "schema = 1\nunset = [\"fleet\"]"),
    ("schema = 1", "schema = 1\nunset = []"),
    ("[sampling]", "[profile.p]\nunset = [\"\"]\n[sampling]"),
    ("[sampling]", "[profile.p]\nunset = [\"load.\"]\n[sampling]"),
    ("[sampling]", "[profile.p]\nunset = [\"name\"]\n[sampling]"),
    ("[sampling]", "[profile.p]\nunset = [\"schema\"]\n[sampling]"),
    ("[sampling]", "[profile.p]\ncriterion.Bad_Name.pass = \"incidents == 0\"\n[sampling]"),
    ("[sampling]", "[profile.p]\ncriterion = []\n[sampling]"),
    (ECHO, "kind = \"exec\"\ncommand = [\"true\"]\noutput_max = \"1MiB\""),
    (ECHO, "kind = \"agent\"\ncommand = [\"a\"]\nquestion = \"\""),
    (ECHO, "kind = \"agent\"\ncommand = [\"a\"]\nanswer = \"\""),
    (ECHO, "kind = \"saboteur\"\npayload = \"1B\"\ndefect = \"crash\"\nuntil = \"0s\""),
    (ECHO, "kind = \"saboteur\"\npayload = \"1B\"\ndefect = \"crash\"\nuntil = \"0%\""),
    ("duration = \"6s\"", "duration = \"100000d\""),
    ("duration = \"6s\"", "duration = \"99999999999999999999s\""),
    (PASS, "\"delivery.failed <= 1.5\""),
    (PASS, "\"batch.tasks >= 1\""),
    // Numbers as only one of both once read them, and thresholds that need no plan.
    (PASS, "\"delivery.rate >= 95.%\""),
    (PASS, "\"cpu max < .5 cores\""),
    (PASS, "\"cpu max < 9999999999999999999 cores\""),
    (PASS, "\"delivery.rate > 0%\""),
    (PASS, "\"throughput.tasks > 0.0/s\""),
    (PASS, "\"threads max < 9999999\""),
    (PASS, "\"threads max < 1\""),
    (PASS, "\"shm.used max < 1B\""),
    (PASS, "\"memory.pss max < 5000TiB\""),
    (PASS, "\"cpu max <= 8192 cores\""),
    (PASS, "\"agents.live min >= 1\""),
    (PASS, "\"coordination.time max < 99999w\""),
    (PASS, "\"sampler.cost max < 101%\""),
    (PASS, "\"sampler.cost mean <= 100%\""),
    ("pss_every = \"1s\"", "pss_every = \"0s\""),
    (OPEN, "model = \"half\""),
    (OPEN, "model = \"open\"\nevery = \"50ms\"\nto = \"each\"\ntasks_per_round = 3"),
    (OPEN, "model = \"open\"\nevery = \"50ms\"\ntasks_per_round = 0"),
    (OPEN, "model = \"open\"\nevery = \"50ms\"\ntasks_per_round = 1000001"),
    (OPEN, "model = \"open\"\nevery = \"50ms\"\nrounds_in_flight_max = 1000000"),
    (PASS, "\"delivery.rate >= 99%\"\ngrace = 1\nabort = true"),
    ("\"C2\"", "\"c2\""),
    (PASS, "\"delivery.rate >= 99%\"\ninformational = \"yes\""),
    (PASS, "\"cpu mean < 1.5 cores each\""),
    (PASS, "\"memory.pss slope < 1MiB/h every 1m\""),
    (PASS, "\"pool.reuse > 90% after x\""),
    (PASS, "\"\""),
    ("requirements = [\"C1\"]", "requirements = \"C1\""),
    ("requirements = [\"C1\"]", "requirements = [1]"),
    ("seed = 7", "seed = 7.5"),
    ("seed = 7", "seed = \"7\""),
    ("every = \"500ms\"", "every = \"500ms\"\nevery_other = 1"),
];

/// What both take: placeholders of a matrix where a rule is a denial, and the edges of ranges.
pub(super) const FINE: &[(&str, &str)] = &[
    (
        "[sampling]",
        "[matrix]\nload.warm_up = [\"1s\", \"2s\"]\n[[fault]]\nname = \"x\"\nkind = \"kill\"\nrole = \"worker\"\nat = \"{load.warm_up}\"\n[sampling]",
    ),
    (
        "[sampling]",
        "[matrix]\nworkers = [2, 3]\n[[fault]]\nname = \"x\"\nkind = \"disk-slow\"\nat = \"{workers}s\"\nfor = \"2s\"\ndelay = \"{workers}ms\"\n[sampling]",
    ),
    (
        "[sampling]",
        "[matrix]\nworkers = [2, 3]\n[[fault]]\nname = \"x\"\nkind = \"shm-errors\"\nat = \"1s\"\nfor = \"1s\"\nerror = \"EMFILE\"\nrate = \"{workers}%\"\n[sampling]",
    ),
    ("workers = 4", "workers = 4\nhang_after = \"24h\"\ngrace = \"60s\""),
    ("workers = 4", "workers = 4\nhang_after = \"1d\"\nfailover = \"survivors\""),
    ("workers = 4", "workers = 4\nhang_after = \"never\"\ngrace = \"0s\""),
    (PASS, "\"sampler.cost max < 100%\""),
    (PASS, "\"batch.tasks > 1\""),
    (PASS, "\"threads max < 4194304\""),
    (PASS, "\"cpu max < 0.5 cores\""),
    (PASS, "\"delivery.rate > 0% every 1s\""),
    (PASS, "\"shm.used max < 5KiB\""),
    (PASS, "\"cpu.supervisor max <= 0 cores\""),
    ("duration = \"6s\"", "duration = \"522w\""),
    (
        "[sampling]",
        "[profile.p]\nunset = [\"criterion.delivery.conditional\", \" load . warm_up\"]\n[sampling]",
    ),
];
