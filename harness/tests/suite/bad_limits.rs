//! What a file states and the fleet, the bus or a merge has no room for.

use crate::bad_input::{changed, with_set};

/// The title would state what was not run.
#[test]
fn a_saboteur_is_in_no_more_workers_than_there_are_and_an_orphan_lives_for_whole_seconds() {
    let echo = "kind = \"echo\"\npayload = \"256B\"";
    let with = |keys: &str| changed(echo, &format!("kind = \"saboteur\"\npayload = \"256B\"\n{keys}"));
    let found = with("defect = \"crash\"\ncount = 900");
    assert!(found.contains("`workload.count` is 900, and the fleet has 8 of them"), "{found}");
    assert_eq!(with("defect = \"crash\"\ncount = 8"), "no mistake\n");
    let found = with("defect = \"leave-orphan\"\nlives = \"1500ms\"");
    assert!(found.contains("`workload.lives` is 1s 500ms, and an orphan runs for whole seconds"), "{found}");
    assert!(found.contains("write \"2s\""), "{found}");
    assert_eq!(with("defect = \"leave-orphan\"\nlives = \"2000ms\""), "no mistake\n");
}

/// The page of keys states them, and the mistake is where it is.
#[test]
fn limits_that_two_tables_make_are_reported_at_a_key() {
    let found = changed("every = \"50ms\"", "every = \"50ms\"\ntasks_per_round = 1000000");
    assert!(found.contains("64 tasks may wait for each of 8 workers"), "{found}");
    assert!(found.contains("at probe.toml:17:19"), "{found}");
    assert!(found.contains("write at most 128"), "{found}");
    assert_eq!(changed("every = \"50ms\"", "every = \"50ms\"\ntasks_per_round = 128"), "no mistake\n");
    let echo = "kind = \"echo\"\npayload = \"256B\"";
    let with = |keys: &str| changed(echo, keys);
    let exec = |size: &str| with(&format!("kind = \"exec\"\ncommand = [\"true\"]\noutput_max = \"{size}\""));
    assert!(exec("1MiB").contains("`workload.output_max` is 1MiB, which is too large"), "{}", exec("1MiB"));
    assert!(exec("1048513B").contains("write from \"0B\" to \"1048512B\""), "{}", exec("1048513B"));
    assert_eq!(exec("1048512B"), "no mistake\n");
    let saboteur = with("kind = \"saboteur\"\npayload = \"1MiB\"\ndefect = \"crash\"");
    assert!(saboteur.contains("`workload.payload`: a saboteur's task has room for"), "{saboteur}");
    assert!(!saboteur.contains("probe.toml:1:1"), "{saboteur}");
}

#[test]
fn an_array_or_table_of_entries_that_changes_none_is_refused() {
    for set in ["criterion=[]", "criterion={}"] {
        let found = with_set(&[set]);
        assert!(found.contains("without an entry changes nothing"), "{set}: {found}");
        assert!(found.contains("--set '!criterion.NAME'"), "{set}: {found}");
    }
    let stage = "[[stage]]\nname = \"a\"\nat = \"1s\"\nworkers = 6\n[sampling]";
    let found = changed("[sampling]", &format!("[profile.x]\nstage = []\n{stage}"));
    assert!(found.contains("--set '!stage.NAME'") && !found.contains("criterion"), "{found}");
    let found = changed("load.duration = \"3s\"", "criterion = []");
    assert!(found.contains("an array without an entry changes nothing"), "{found}");
}

/// Each entry is checked against the others of its kind: a file of a megabyte would take minutes.
#[test]
fn the_entries_of_a_table_have_a_bound() {
    let faults = |count: usize| -> String {
        let one =
            |n| format!("[[fault]]\nname = \"f{n}\"\nkind = \"kill\"\nrole = \"worker\"\nat = \"1s\"\n");
        (0..count).map(one).collect()
    };
    let with = |count| changed("[sampling]", &(faults(count) + "[sampling]"));
    assert_eq!(with(1_000), "no mistake\n");
    let found = with(1_001);
    assert!(found.contains("`fault` has 1001 entries, and a file may have 1000"), "{found}");
    assert!(found.contains("hint: list fewer, or split the file"), "{found}");
    // The place is that of the first that is too many.
    let line = 19 + 5 * 1_000;
    assert!(found.contains(&format!("at probe.toml:{line}:1")), "{found}");
    let more = faults(600).replace("name = \"f", "name = \"g").replace("[[fault]]", "[[profile.more.fault]]");
    let found = changed("[profile.ci]", &(faults(600) + &more + "[profile.ci]"));
    assert!(found.contains("`fault` has 1200 entries"), "{found}");
    let key = |n| format!("K{n} = \"1\"\n");
    let keys: String = (0..1_001).map(key).collect();
    let found = changed("[profile.ci]", &format!("[profile.env.workload.env]\n{keys}[profile.ci]"));
    assert!(found.contains("`profile.env.workload.env` has 1001 entries"), "{found}");
}
