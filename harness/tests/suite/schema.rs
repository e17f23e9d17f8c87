//! An editor with the JSON Schema finds what the harness finds: one corpus of bad files is held to both.

mod more;

use harness::scenario::{Scenario, Selection, Source, schema_json};
use std::path::Path;

const GOOD: &str = r#"schema = 1
name = "probe"
asks = "Does it work?"
requirements = ["C1"]
seed = 7

[fleet]
topology = "hybrid"
coordinators = 2
workers = 4

[workload]
kind = "echo"
payload = "256B"

[load]
model = "open"
every = "50ms"
duration = "6s"
warm_up = "1s"

[sampling]
every = "500ms"
pss_every = "1s"

[[criterion]]
name = "delivery"
requirement = "C2"
pass = "delivery.rate >= 99%"
conditional = "delivery.rate >= 95%"
"#;

const ECHO: &str = "kind = \"echo\"\npayload = \"256B\"";
const OPEN: &str = "model = \"open\"\nevery = \"50ms\"";
const PASS: &str = "\"delivery.rate >= 99%\"\nconditional = \"delivery.rate >= 95%\"";

/// What stands in the good file, and the mistake in its place.
const MISTAKES: &[(&str, &str)] = &[
    // Kinds that were once left to the harness.
    (
        "[workload]\nkind = \"echo\"\npayload = \"256B\"",
        "[[workload]]\nkind = \"echo\"\npayload = \"256B\"\n[[workload]]\nname = \"b\"\nkind = \"echo\"\npayload = \"1KiB\"",
    ),
    ("[sampling]", "[[stage]]\nname = \"a\"\nat = \"1s\"\nevery = \"10ms\"\nover = \"1s\"\n[sampling]"),
    (PASS, "\"delivery.rate >= 99%\"\ninformational = true"),
    (ECHO, "kind = \"exec\"\ncommand = [\"true\"]\ncwd = \"\""),
    ("[sampling]", "[setup]\ncommand = [\"true\"]\ncwd = \"\"\n[sampling]"),
    (ECHO, "kind = \"sleep\"\ntime = \"1ms\"\nmean = \"2ms\""),
    (ECHO, "kind = \"sleep\"\ndistribution = \"exponential\""),
    (ECHO, "kind = \"sleep\"\ndistribution = \"exponential\"\nmean = \"2ms\"\ndeviation = \"1ms\""),
    (ECHO, "kind = \"sleep\"\ndistribution = \"normal\"\nmean = \"2ms\""),
    (ECHO, "kind = \"sleep\"\ndistribution = \"lognormal\"\ndeviation = \"2ms\""),
    (ECHO, "kind = \"sleep\"\ndistribution = \"uniform\"\nmin = \"2ms\""),
    (ECHO, "kind = \"sleep\"\ndistribution = \"uniform\"\nmin = \"2ms\"\nmax = \"3ms\"\nmean = \"2ms\""),
    ("[fleet]", "[matrix]\nspeed = [1, 2]\n[fleet]"),
    ("[fleet]", "[matrix]\nworkers = [4, 4]\n[fleet]"),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nkind = \"kill\"\nrole = \"worker\"\nat = \"1s\"\ncount = 0\n[sampling]",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nkind = \"kill\"\nrole = \"worker\"\nat = \"1s\"\ncount = 1\nshare = \"10%\"\n[sampling]",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nkind = \"kill\"\nrole = \"worker\"\nat = \"1s\"\ntimes = 3\n[sampling]",
    ),
    ("[sampling]", "[[fault]]\nname = \"x\"\nkind = \"kill\"\nrole = \"worker\"\nat = \"110%\"\n[sampling]"),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nkind = \"pause\"\nrole = \"worker\"\nat = \"1s\"\nfor = \"0s\"\n[sampling]",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nkind = \"cpu-hogs\"\nat = \"1s\"\nfor = \"1s\"\nhogs = 1\nnice = 25\n[sampling]",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nkind = \"memory\"\nat = \"1s\"\nfor = \"1s\"\nsize = \"0B\"\n[sampling]",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nkind = \"segment-scribble\"\nrole = \"coordinator\"\nat = \"1s\"\nfor = \"1s\"\n[sampling]",
    ),
    ("[sampling]", "[[stage]]\nname = \"a\"\nat = \"1s\"\nworkers = 0\n[sampling]"),
    (OPEN, "model = \"closed\"\narrivals = \"poisson\""),
    ("warm_up = \"1s\"", "warm_up = 1"),
    ("warm_up = \"1s\"", "warm_up = \"1s\"\ntask_timeout = \"0s\""),
    (PASS, "\"delivery.rate >= 99% and incidents == 0\""),
    (PASS, "\"task.time{colour=red} max < 1s\""),
    (PASS, "\"delivery.rate >= 99% every 0s\""),
    (PASS, "\"coordination.time.workers max < 1s\""),
    ("[sampling]", "[profile.x]\nload.speed = \"1s\"\n[sampling]"),
    ("workers = 4", "workers = 4\nattempts_max = 0"),
    ("\"probe\"", "\"a/b\""),
    ("schema = 1", "schema = 2"),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nat = \"1s\"\nkind = \"oom\"\nrole = \"worker\"\nfor = \"1s\"\n[sampling]",
    ),
    ("[sampling]", "[[fault]]\nname = \"x\"\nat = \"1s\"\nkind = \"oom\"\n[sampling]"),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nat = \"1s\"\nkind = \"oom\"\nrole = \"worker\"\nto = 1\n[sampling]",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nat = \"1s\"\nkind = \"cgroup-cpu\"\nrole = \"worker\"\nfor = \"1s\"\n[sampling]",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nat = \"1s\"\nkind = \"cgroup-cpu\"\nrole = \"worker\"\nfor = \"1s\"\ncpus = 0\n[sampling]",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nat = \"1s\"\nkind = \"cgroup-cpu\"\nrole = \"worker\"\nfor = \"1s\"\ncpus = 1025\n[sampling]",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nat = \"1s\"\nkind = \"cgroup-cpu\"\nrole = \"worker\"\nfor = \"1s\"\ncpus = \"1\"\n[sampling]",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nat = \"1s\"\nkind = \"cgroup-cpu\"\nrole = \"worker\"\ncpus = 1\n[sampling]",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nat = \"1s\"\nkind = \"cgroup-memory\"\nrole = \"worker\"\nfor = \"1s\"\n[sampling]",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nat = \"1s\"\nkind = \"cgroup-memory\"\nrole = \"worker\"\nfor = \"1s\"\nmemory = \"1MiB\"\ncpus = 1\n[sampling]",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nat = \"1s\"\nkind = \"cgroup-pids\"\nrole = \"worker\"\nfor = \"1s\"\nto = 0\n[sampling]",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nat = \"1s\"\nkind = \"cgroup-pids\"\nrole = \"worker\"\nfor = \"1s\"\nto = 4194305\n[sampling]",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nat = \"1s\"\nkind = \"kill\"\nrole = \"worker\"\ncpus = 1\n[sampling]",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nat = \"1s\"\nkind = \"memory\"\nmemory = \"1MiB\"\nfor = \"1s\"\ncpus = 1\n[sampling]",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nkind = \"cpus\"\nat = \"1s\"\nfor = \"1s\"\nrole = \"worker\"\nto = 0\n[sampling]",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nkind = \"cpus\"\nat = \"1s\"\nto = 1\nrole = \"worker\"\n[sampling]",
    ),
    ("[sampling]", "[[fault]]\nname = \"x\"\nkind = \"shm-fill\"\nat = \"1s\"\nfor = \"1s\"\n[sampling]"),
    ("[sampling]", "[[fault]]\nname = \"x\"\nkind = \"shm-inodes\"\nat = \"1s\"\n[sampling]"),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nkind = \"shm-inodes\"\nat = \"1s\"\nfor = \"1s\"\nrole = \"worker\"\n[sampling]",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nkind = \"shm-limit\"\nat = \"1s\"\nfor = \"1s\"\nsize = \"32MiB\"\nfill = \"9%\"\n[sampling]",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nkind = \"stop\"\nrole = \"supervisor\"\nat = \"1s\"\n[sampling]",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nkind = \"stop\"\nrole = \"worker\"\nat = \"1s\"\nfor = \"1s\"\n[sampling]",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nkind = \"stop\"\nrole = \"worker\"\nat = \"1s\"\nwithin = \"1s\"\n[sampling]",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nkind = \"cpu-hogs\"\nhogs = 1\nfor = \"1s\"\nat = \"1s\"\nmoment = \"task-in-flight\"\n[sampling]",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nkind = \"pause\"\nrole = \"supervisor\"\nfor = \"1s\"\nat = \"1s\"\nmoment = \"task-in-flight\"\n[sampling]",
    ),
    ("[sampling]", "[[fault]]\nname = \"x\"\nkind = \"disk-full\"\nat = \"1s\"\n[sampling]"),
    ("[sampling]", "[[fault]]\nname = \"x\"\nkind = \"disk-slow\"\nat = \"1s\"\nfor = \"1s\"\n[sampling]"),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nat = \"1s\"\nfor = \"2s\"\nkind = \"disk-slow\"\ndelay = \"1001ms\"\n[sampling]",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nat = \"1s\"\nfor = \"2s\"\nkind = \"disk-slow\"\ndelay = \"2s\"\n[sampling]",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nat = \"1s\"\nfor = \"2s\"\nkind = \"disk-slow\"\ndelay = \"1ms\"\nnth = 2\n[sampling]",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nat = \"1s\"\nfor = \"2s\"\nkind = \"disk-fail\"\nerror = \"EIO\"\nrate = \"0.9%\"\n[sampling]",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nat = \"1s\"\nfor = \"2s\"\nkind = \"disk-fail\"\nerror = \"EIO\"\nrate = \"9%\"\nnth = 2\n[sampling]",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nat = \"1s\"\nfor = \"2s\"\nkind = \"disk-fail\"\nerror = \"EIO\"\nnth = 1001\n[sampling]",
    ),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nat = \"1s\"\nfor = \"2s\"\nkind = \"disk-fail\"\nnth = 2\nerror = \"EINVAL\"\n[sampling]",
    ),
    ("[load]", "[[fault]]\nname=\"x\"\nat=\"1s\"\nfor=\"2s\"\nkind=\"disk-full\"\nerror=\"EIO\"\n[load]"),
    ("[load]", "[[fault]]\nname=\"x\"\nat=\"1s\"\nfor=\"2s\"\nkind=\"disk-full\"\nrole=\"worker\"\n[load]"),
    (
        "[sampling]",
        "[[fault]]\nname = \"x\"\nat = \"1s\"\nfor = \"2s\"\nkind = \"cpu-hogs\"\nhogs = 1\ndir = \"/tmp\"\n[sampling]",
    ),
    ("seed = 7", "seed = 7\nmatrix = 3"),
    ("[fleet]", "[matrix]\nworkers = 4\n[fleet]"),
    ("[fleet]", "[matrix]\nworkers = []\n[fleet]"),
    ("[fleet]", "[matrix]\nworkers = [[4]]\n[fleet]"),
    ("[fleet]", "[matrix]\n[fleet]"),
    ("name = \"probe\"", "name = \"Probe One\""),
    ("\"Does it work?\"", "\"\""),
    ("\"Does it work?\"", "\"  \""),
    ("\"Does it work?\"", "\"Does it\\nwork?\""),
    ("\"C1\"", "\"X1\""),
    ("seed = 7", "seed = -7"),
    ("\"hybrid\"", "\"ring\""),
    ("topology = \"hybrid\"", "topology = \"flat\""),
    ("coordinators = 2", "coordinators = 0"),
    ("coordinators = 2", "coordinators = 257"),
    ("workers = 4", "workers = 0"),
    ("workers = 4", "workers = 5000"),
    ("workers = 4", "workers = \"4\""),
    ("workers = 4", "workers = 4\nhang_after = \"1ms\""),
    ("workers = 4", "workers = 4\nspeed = 3"),
    ("workers = 4", "workers = 4\nworkers_max = 5000"),
    ("workers = 4", "workers = 4\nscale_up_at = \"90%\""),
    ("workers = 4", "workers = 4\ncoordinators_max = 257"),
    ("workers = 4", "workers = 4\ncoordinators_min = 0"),
    (
        "topology = \"hybrid\"\ncoordinators = 2",
        "topology = \"flat\"\ncoordinators = 1\ncoordinators_max = 3",
    ),
    ("workers = 4", "workers = 4\nscale_pause = \"1s\""),
    ("workers = 4", "workers = 4\nworkers_max = 8\nscale_up_at = \"300%\""),
    ("workers = 4", "workers = 4\nworkers_max = 8\nscale_up_at = 0.8"),
    ("workers = 4", "workers = 4\npartial = \"yes\""),
    ("workers = 4", "workers = 4\nstop_signal = \"STOP\""),
    ("workers = 4", "workers = 4\nstop_signal = 9"),
    ("workers = 4", "workers = 4\non_supervisor_death = \"wait\""),
    (ECHO, "kind = \"echo\""),
    (ECHO, "payload = \"256B\""),
    (ECHO, "kind = \"echo\"\npayload = \"0B\""),
    (ECHO, "kind = \"echo\"\npayload = \"2MiB\""),
    (ECHO, "kind = \"echo\"\npayload = \"256\""),
    (ECHO, "kind = \"echo\"\npayload = \"256KB\""),
    (ECHO, "kind = \"exec\"\npayload = \"256B\""),
    (ECHO, "kind = \"exec\"\ncommand = [\"true\"]\npayload = \"256B\""),
    (ECHO, "kind = \"exec\""),
    (ECHO, "kind = \"exec\"\ncommand = []"),
    (ECHO, "kind = \"exec\"\ncommand = [\"\"]"),
    (ECHO, "kind = \"exec\"\ncommand = \"true\""),
    (ECHO, "kind = \"exec\"\ncommand = [\"true\"]\nexits = []"),
    (ECHO, "kind = \"exec\"\ncommand = [\"true\"]\nexits = [256]"),
    (ECHO, "kind = \"exec\"\ncommand = [\"true\"]\nexits = 3"),
    (ECHO, "kind = \"exec\"\ncommand = [\"true\"]\nenv = [\"A=1\"]"),
    (ECHO, "kind = \"exec\"\ncommand = [\"true\"]\nenv = { A = 1 }"),
    (ECHO, "kind = \"exec\"\ncommand = [\"true\"]\nenv = { \"A=B\" = \"1\" }"),
    (ECHO, "kind = \"echo\"\npayload = \"256B\"\nstdin = \"\""),
    (ECHO, "kind = \"compute\""),
    (ECHO, "kind = \"compute\"\ncpu = \"0ms\""),
    (ECHO, "kind = \"compute\"\ncpu = \"2ms\"\ntime = \"2ms\""),
    (ECHO, "kind = \"sleep\""),
    (ECHO, "kind = \"sleep\"\ntime = \"2ms\"\ncommand = [\"true\"]"),
    (ECHO, "kind = \"sleep\"\ntime = \"2ms\"\ndistribution = \"exponential\"\nmean = \"2ms\""),
    (ECHO, "kind = \"saboteur\"\npayload = \"64B\""),
    (ECHO, "kind = \"saboteur\"\ndefect = \"hang\""),
    (ECHO, "kind = \"saboteur\"\npayload = \"64B\"\ndefect = \"hang\"\nbytes = \"1MiB\""),
    (ECHO, "kind = \"saboteur\"\npayload = \"64B\"\ndefect = \"hang\"\ncount = 1\nshare = \"10%\""),
    (ECHO, "kind = \"saboteur\"\npayload = \"64B\"\ndefect = \"leak-memory\""),
    (
        ECHO,
        "kind = \"saboteur\"\npayload = \"64B\"\ndefect = \"leak-memory\"\nbytes = \"1MiB\"\nfactor = \"2x\"",
    ),
    (ECHO, "kind = \"saboteur\"\npayload = \"64B\"\ndefect = \"slow\"\nfactor = \"2x\""),
    (ECHO, "kind = \"saboteur\"\npayload = \"64B\"\ndefect = \"slow\"\ntime = \"1ms\"\nfactor = \"1x\""),
    (ECHO, "kind = \"saboteur\"\npayload = \"64B\"\ndefect = \"slow\"\ntime = \"1ms\"\nfactor = 2"),
    (ECHO, "kind = \"saboteur\"\npayload = \"64B\"\ndefect = \"leave-orphan\"\nlives = \"10ms\""),
    (ECHO, "kind = \"saboteur\"\npayload = \"64B\"\ndefect = \"crash\"\nper = \"hour\""),
    (ECHO, "kind = \"echo\"\npayload = \"64B\"\ndefect = \"crash\""),
    (OPEN, "model = \"open\""),
    (OPEN, "model = \"open\"\nevery = \"0s\""),
    (OPEN, "model = \"open\"\nevery = \"10us\""),
    (OPEN, "model = \"closed\"\nevery = \"50ms\""),
    (OPEN, "model = \"closed\"\nrounds_in_flight_max = 2"),
    ("duration = \"6s\"", "duration = \"0s\""),
    ("duration = \"6s\"", "duration = \"0s 0ms\""),
    ("duration = \"6s\"", "duration = \"6\""),
    ("duration = \"6s\"", "duration = 6"),
    ("duration = \"6s\"", "duration = \"30s 1m\""),
    ("duration = \"6s\"", "duration = \"1m 1m\""),
    ("duration = \"6s\"", "duration = \"6M\""),
    ("duration = \"6s\"", "duration = \"1.5s\""),
    ("duration = \"6s\"", "duration = \"6s\"\ntask_timeout = \"0s\""),
    ("duration = \"6s\"", "duration = \"6s\"\nrounds_in_flight_max = 0"),
    ("every = \"500ms\"", "every = \"50ms\""),
    ("name = \"delivery\"\n", ""),
    ("\"C2\"", "\"C200\""),
    (PASS, "\"it should be fast\""),
    (PASS, "\"delivery.rat >= 99%\""),
    (PASS, "\"delivery.rate => 99%\""),
    (PASS, "\"delivery.rate >= 120%\""),
    (PASS, "\"delivery.rate >= 0.99\""),
    (PASS, "\"delivery.rate >= 99 %\""),
    (PASS, "\"delivery.rate p99 >= 99%\""),
    (PASS, "\"delivery.rate <= 99%\""),
    (PASS, "\"delivery.rate >= 99% every 0s\""),
    (PASS, "\"delivery.rate >= 99% sometimes\""),
    (PASS, "\"coordination.time < 1s\""),
    (PASS, "\"coordination.time p98 < 1s\""),
    (PASS, "\"coordination.time p99 < 1\""),
    (PASS, "\"coordination.time p99 > 1s\""),
    (PASS, "\"coordination.time.workers p99 < 1s\""),
    (PASS, "\"memory.pss slope < 1MiB\""),
    (PASS, "\"memory.pss max < 64\""),
    (PASS, "\"memory.pss.cats max < 64MiB\""),
    (PASS, "\"cpu mean < 1.5\""),
    (PASS, "\"incidents == none\""),
    (PASS, "\"delivery.rate >= 99%\"\ngrace = \"1s\""),
    (PASS, "\"delivery.rate >= 99%\"\nabort = \"yes\""),
    (PASS, "\"delivery.rate >= 99%\"\ninformational = true\nabort = true"),
    (PASS, "\"delivery.rate >= 99%\"\nconditional = \"quite good\""),
    (PASS, "\"delivery.rate >= 0%\""),
    (PASS, "\"delivery.rate > 100%\""),
    (PASS, "\"delivery.failed >= 0\""),
    (PASS, "\"incidents < 0\""),
    (PASS, "\"coordination.time p50 >= 0ms\""),
    (PASS, "\"coordination.time p50 < 0s\""),
    (PASS, "\"fds.use max <= 100%\""),
    (PASS, "\"delivery.rate == 95%\""),
    (PASS, "\"delivery.failed >= 0\"\ninformational = true"),
    // What tables say of each other.
    (
        "pss_every = \"1s\"\n\n[[criterion]]",
        "\n[[criterion]]\nname = \"pss\"\npass = \"memory.pss max < 1GiB\"\n[[criterion]]",
    ),
    (PASS, "\"recovery.time max < 1s\""),
    (PASS, "\"fault.loss == 0\""),
    (PASS, "\"detection.time max < 1s\""),
    (PASS, "\"delivery.rate >= 99% after kill-1\""),
    (PASS, "\"delivery.rate >= 99% outside faults\""),
    (PASS, "\"scaling.time max < 1s\""),
    (PASS, "\"exits.nonzero == 0\""),
    (PASS, "\"memory.rss.commands max < 1GiB\""),
    (PASS, "\"threads.commands max < 9\""),
    (PASS, "\"task.time{workload=\\\"a\\\"} p50 < 1s\""),
    (
        "coordinators = 2\nworkers = 4",
        "coordinators = 1\nworkers = 4\n[[criterion]]\nname = \"even\"\npass = \"balance < 5%\"",
    ),
    ("workers = 4", "workers = 4\npartial = true\n[[stage]]\nname = \"a\"\nat = \"1s\"\nworkers = 6"),
    (
        "model = \"open\"\nevery = \"50ms\"\nduration = \"6s\"\nwarm_up = \"1s\"",
        "model = \"closed\"\nduration = \"6s\"\n[[stage]]\nname = \"a\"\nat = \"1s\"\nevery = \"1s\"",
    ),
    // Of a matrix that the file does not have.
    (PASS, "\"coordination.time max < {limit}\""),
    ("duration = \"6s\"", "duration = \"{length}\""),
    (PASS, "\"delivery.rate >= 99%\"\n[profile.ci]\ncriterion.delivery.pass = \"it should be fast\""),
];

/// What stands in the good file, and what may stand there as well.
const FINE: &[(&str, &str)] = &[
    (ECHO, "kind = \"sleep\"\ndistribution = \"uniform\"\nmin = \"2ms\"\nmax = \"3ms\""),
    (ECHO, "kind = \"sleep\"\ndistribution = \"exponential\"\nmean = \"2ms\"\nmin = \"1ms\"\nmax = \"3ms\""),
    (ECHO, "kind = \"sleep\"\ndistribution = \"lognormal\"\nmean = \"2ms\"\ndeviation = \"1ms\""),
    (ECHO, "kind = \"exec\"\ncommand = [\"true\"]\nstdin = \"\""),
    (
        PASS,
        "\"cpu mean > 1 cores\"\ninformational = true\n[[criterion]]\nname = \"b\"\npass = \"incidents == 0\"",
    ),
    ("[fleet]", "[matrix]\nworkers = [4, 8]\nload.every = [\"50ms\", \"100ms\"]\n[fleet]"),
    (PASS, "\"  coordination.time   p99<1s  \""),
    (PASS, "\"coordination.time p99.9 < 1m 30s\""),
    (PASS, "\"agents.deaths == 0\""),
    (PASS, "\"memory.pss.workers slope < 0.5%/h\""),
    (PASS, "\"memory.pss slope < 1MiB/d\""),
    (PASS, "\"throughput.messages >= 80/s every 1m\"\nabort = true\ngrace = \"1s\""),
    (PASS, "\"fds.use max < 80%\""),
    (PASS, "\"coordination.time drift < 20%\""),
    ("duration = \"6s\"", "duration = \" 1m30s \""),
    ("duration = \"6s\"", "duration = \"1h 30m 2s\""),
    ("workers = 4", "workers = 4\nhang_after = \"never\""),
    ("workers = 4", "workers = 4\nstop_signal = \"SIGUSR1\"\ngrace = \"1m\"\npartial = true"),
    (ECHO, "kind = \"echo\"\npayload = \"1MiB\""),
    (ECHO, "kind = \"exec\"\ncommand = [\"sh\", \"-c\", \"\"]\noutput_max = \"0B\""),
    (
        ECHO,
        "kind = \"exec\"\ncommand = [\"true\"]\ncwd = \"/\"\nenv = { A = \"1\" }\nstdin = \"{}\"\nexits = [0, 3]",
    ),
    (OPEN, "model = \"closed\""),
    (PASS, "\"coordination.time p50 < {load.task_timeout}\"\n[matrix]\nload.task_timeout = [\"5s\", \"9s\"]"),
    (PASS, "\"agents.live min >= {workers}\"\n[matrix]\nworkers = [4, 8]"),
    (
        PASS,
        "\"recovery.time max < 1s\"\n[[fault]]\nname = \"a\"\nkind = \"kill\"\nrole = \"worker\"\nat = \"10%\"",
    ),
    (PASS, "\"memory.pss max < 1GiB\""),
    (PASS, "\"balance < 5%\""),
    (PASS, "\"scaling.time max < 1s\"\n[[stage]]\nname = \"a\"\nat = \"1s\"\nworkers = 6"),
    (
        ECHO,
        "kind = \"exec\"\ncommand = [\"true\"]\n[[criterion]]\nname = \"exits\"\npass = \"exits.nonzero == 0\"",
    ),
    (
        ECHO,
        "name = \"a\"\nkind = \"echo\"\npayload = \"1KiB\"\n[[criterion]]\nname = \"of-a\"\npass = \"task.time{workload='a'} p50 < 1s\"",
    ),
];

fn harness_finds(text: &str) -> bool {
    let source = Source::new("probe.toml", text.to_owned());
    Scenario::parse(&source, &Selection::default()).is_err()
}

fn validator() -> jsonschema::Validator {
    let schema: serde_json::Value = serde_json::from_str(&schema_json()).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

fn editor_finds(validator: &jsonschema::Validator, text: &str) -> Vec<String> {
    let file: serde_json::Value = toml::from_str(text).unwrap();
    validator.iter_errors(&file).map(|error| error.to_string()).collect()
}

#[test]
fn an_editor_finds_every_mistake_of_the_corpus_that_the_harness_finds() {
    let validator = validator();
    assert!(!harness_finds(GOOD));
    assert_eq!(editor_finds(&validator, GOOD), Vec::<String>::new());
    let (mut taken, mut missed) = (Vec::new(), Vec::new());
    let mistakes = MISTAKES.iter().map(|(from, to)| (*from, (*to).to_owned()));
    for (from, to) in mistakes.chain(more::mistakes()) {
        assert!(GOOD.contains(from), "{from}");
        let text = GOOD.replacen(from, &to, 1);
        match (harness_finds(&text), editor_finds(&validator, &text).is_empty()) {
            (false, _) => taken.push(to),
            (true, true) => missed.push(to),
            (true, false) => {}
        }
    }
    assert!(
        taken.is_empty() && missed.is_empty(),
        "the harness takes: {taken:#?}\nthe schema takes: {missed:#?}"
    );
}

#[test]
fn an_editor_finds_no_mistake_in_what_the_harness_takes() {
    let validator = validator();
    for (from, to) in FINE.iter().chain(more::FINE) {
        let text = GOOD.replacen(from, to, 1);
        let source = Source::new("probe.toml", text.clone());
        if let Err(found) = Scenario::parse(&source, &Selection::default()) {
            panic!("the harness refuses {to}:\n{found}");
        }
        assert_eq!(editor_finds(&validator, &text), Vec::<String>::new(), "{to}");
    }
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let mut seen = 0;
    let examples = std::fs::read_dir(scenarios.join("examples")).unwrap();
    for entry in std::fs::read_dir(scenarios).unwrap().chain(examples) {
        let path = entry.unwrap().path();
        let is_plan = path.file_stem().is_some_and(|stem| stem.to_string_lossy().starts_with("phases"));
        if path.extension().is_some_and(|extension| extension == "toml") && !is_plan {
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(editor_finds(&validator, &text), Vec::<String>::new(), "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 21, "{seen}");
}
