//! The second pass of `cargo xtask test`: which tests are run through the federation engine as well.

/// What is left out: modules, and tests of them, by their whole paths.
const LEFT_OUT: [&str; 24] = [
    // What these test is not how operations are answered, or is the engine itself.
    "answers",
    "command_line",
    "deploys",
    "examples",
    "fence",
    "gateway",
    "history",
    "housekeeping",
    "job_ends",
    "jobs",
    "migrations",
    "one_graph",
    "operating",
    "platform_calls",
    "redis_kinds",
    "sandbox",
    "seeding",
    "unreadable_jobs",
    // A browser's pages, which ask for little and take long.
    "oauth_browser",
    "passkey_browser",
    // A process is killed at each of the store's failpoints, again and again, for minutes.
    "erasing_faults",
    "unlinking_faults",
    "faults::s37_kill_9_at_each_failpoint_of_linking",
    // The database's pool, which takes a minute to be replaced.
    "faults::s39_a_pool_that_has_lost_all_places_is_replaced",
];

/// The names of the tests to run, of what a test program lists.
pub fn of_list(list: &str) -> Vec<&str> {
    list.lines().filter_map(|line| line.strip_suffix(": test")).filter(|name| !is_left_out(name)).collect()
}

fn is_left_out(test: &str) -> bool {
    let is_in =
        |path: &str| test.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    LEFT_OUT.into_iter().any(is_in)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_ends_like_a_module_that_is_left_out_is_run() {
        let list = "faults::s37_kill_9_at_each_failpoint_of_linking::embedded: test
faults::s39_without_the_database_requests_fail_at_once_and_heal: test
oauth_faults::s40_without_its_provider_a_platform_is_unavailable::embedded: test
unlinking_faults::s37_kill_9_at_each_failpoint_of_unlinking::production: test
unconfigured::a_look_waits_until_its_platform_answers::embedded: test
jobs::a_job_runs: test
jobs_of_others::a_job_runs: test
account::of_the_gateway::jobs::embedded: test

7 tests, 0 benchmarks
";
        assert_eq!(
            of_list(list),
            [
                "faults::s39_without_the_database_requests_fail_at_once_and_heal",
                "oauth_faults::s40_without_its_provider_a_platform_is_unavailable::embedded",
                "unconfigured::a_look_waits_until_its_platform_answers::embedded",
                "jobs_of_others::a_job_runs",
                "account::of_the_gateway::jobs::embedded",
            ]
        );
    }

    /// A module that has another name now would be run, or nothing would be left out in its name.
    #[test]
    fn what_is_left_out_is_there() {
        let (modules, faults) =
            (include_str!("../../tests/it/main.rs"), include_str!("../../tests/it/faults.rs"));
        for path in LEFT_OUT {
            let (module, test) = path.split_once("::").unwrap_or((path, ""));
            assert!(modules.contains(&format!("\nmod {module};\n")), "{path}");
            assert!(test.is_empty() || faults.contains(&format!("async fn {test}(")), "{path}");
        }
    }
}
