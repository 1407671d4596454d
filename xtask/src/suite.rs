//! A run of the test programs, and once more what failed in it, by itself.
//!
//! Servers, browsers and processes by the dozen share a few cores in such a run, and one that stands still at the wrong moment is
//! nothing that a test is about. So what fails beside others has to pass alone, and is named at the end: it wants mending all the
//! same. More than a few that fail are no chance, and what fails twice has failed.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitCode, Stdio};
use std::thread;

use anyhow::{Context, Result};

use crate::process::{self, Interrupt, Process};

/// Has test programs take names for whole ones.
pub const EXACT: &str = "--exact";
/// More failures than these are no matter of chance.
const MOST_AGAIN: usize = 2;

/// Runs the command that `cargo test` is with `args` for the test programs, and what fails of it again.
pub fn run(command: impl Fn(&[&str]) -> Command, args: &[&str], interrupt: &Interrupt) -> Result<ExitCode> {
    run_showing(std::io::stdout, command, args, interrupt)
}

/// The same, with what the programs say passed on.
fn run_showing<W: Write + Send + 'static>(
    to: impl Fn() -> W,
    command: impl Fn(&[&str]) -> Command,
    args: &[&str],
    interrupt: &Interrupt,
) -> Result<ExitCode> {
    let (code, Report { failed, .. }) = attempt(to(), &mut command(args), interrupt)?;
    if code == ExitCode::SUCCESS || !(1..=MOST_AGAIN).contains(&failed.len()) {
        return Ok(code);
    }
    let names = failed.join(", ");
    eprintln!("\nfailed beside others, and run again alone: {names}\n");
    let mut alone = vec![EXACT, "--test-threads=1"];
    alone.extend(failed.iter().map(String::as_str));
    let (code, Report { passed, .. }) = attempt(to(), &mut command(&alone), interrupt)?;
    if code != ExitCode::SUCCESS {
        return Ok(code);
    }
    // A name that no program knows would pass without having been run.
    if passed != failed.len() {
        eprintln!("\n{passed} of {} tests were run again\n", failed.len());
        return Ok(ExitCode::FAILURE);
    }
    eprintln!("\nFLAKY, failed beside others and passed alone: {names}\n");
    Ok(ExitCode::SUCCESS)
}

/// What the test programs say in the end.
#[derive(Debug, Default, PartialEq)]
struct Report {
    failed: Vec<String>,
    passed: usize,
    is_list: bool,
}

fn attempt(
    mut to: impl Write + Send + 'static,
    command: &mut Command,
    interrupt: &Interrupt,
) -> Result<(ExitCode, Report)> {
    let mut process = Process::start(command.stdout(Stdio::piped()), process::CTRL_C)?;
    let output = process.output().context("the tests have no output")?;
    let reading = thread::spawn(move || {
        let (mut report, mut output, mut line) = (Report::default(), BufReader::new(output), Vec::new());
        while matches!(output.read_until(b'\n', &mut line), Ok(1..)) {
            // Whoever reads it may have gone.
            let _ = to.write_all(&line);
            report.read(&String::from_utf8_lossy(&line));
            line.clear();
        }
        report
    });
    let status = process.wait(interrupt)?;
    // What it has started ends with it, so that its output has an end.
    drop(process);
    Ok((process::exit_code(status), reading.join().unwrap_or_default()))
}

impl Report {
    /// Each program ends with the names of what failed in it, one below the other, and a line of counts. What the tests themselves
    /// have printed stands before, under a heading that is the same.
    fn read(&mut self, line: &str) {
        let line = line.trim_end();
        if let Some(counts) = line.strip_prefix("test result: ") {
            let passed = counts.split_once(". ").and_then(|(_, counts)| counts.split_once(" passed"));
            self.passed += passed.and_then(|(count, _)| count.parse::<usize>().ok()).unwrap_or_default();
            self.is_list = false;
        } else if line == "failures:" {
            self.is_list = true;
        } else if self.is_list {
            match line.strip_prefix("    ").filter(|name| !name.contains(' ')) {
                Some(name) => self.failed.push(name.to_owned()),
                None => self.is_list = line.is_empty(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "
running 3 tests
test a::one ... ok
test a::two ... FAILED

failures:

---- a::two stdout ----
thread 'a::two' panicked at tests/it/a.rs:7:1:
    indented
note: run with `RUST_BACKTRACE=1`


failures:
    a::two
    b::three

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s

running 1 test
test c ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s
";

    fn script(text: &str) -> impl Fn(&[&str]) -> Command {
        let text = text.to_owned();
        move |args| {
            let mut command = Command::new("sh");
            command.args(["-c", &text, "sh"]).args(args);
            command
        }
    }

    #[test]
    fn what_failed_is_read_and_nothing_else() {
        let mut report = Report::default();
        OUTPUT.lines().for_each(|line| report.read(line));
        assert_eq!(
            report,
            Report { failed: vec!["a::two".into(), "b::three".into()], passed: 2, is_list: false }
        );
    }

    #[test]
    fn what_fails_twice_has_failed_and_what_is_not_run_again_too() {
        let failing = "printf 'failures:\\n    a\\n\\ntest result: FAILED. 0 passed; 1 failed\\n'; exit 101";
        let passing = |passed: u8| {
            format!(
                "if [ \"$1\" = --exact ]; then printf 'test result: ok. {passed} passed; 0 failed\\n'; exit 0; fi; {failing}"
            )
        };
        let many = "printf 'failures:\\n    a\\n    b\\n    c\\n\\ntest result: FAILED. 0 passed; 3 failed\\n'; [ \"$1\" = --exact ]";
        // Their words are not to be taken for those of the run that this is a part of.
        let run =
            |text: &str| run_showing(std::io::sink, script(text), &["x"], &Interrupt::default()).unwrap();
        assert_eq!(run("exit 0"), ExitCode::SUCCESS);
        assert_eq!(run(failing), ExitCode::from(101));
        assert_eq!(run(&passing(1)), ExitCode::SUCCESS);
        assert_eq!(run(&passing(0)), ExitCode::FAILURE);
        assert_eq!(run(many), ExitCode::from(1));
        // A compiler's error names no test.
        assert_eq!(run("exit 101"), ExitCode::from(101));
    }
}
