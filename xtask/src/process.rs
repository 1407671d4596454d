//! Processes that must not outlive us.
//!
//! Each one leads a process group of its own: Ctrl-C on the terminal reaches only us, so we decide the
//! order in which things end, and what a process has started ends with it.

use std::fs;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdout, Command, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// What a shell reports for a program that Ctrl-C has ended.
pub const INTERRUPTED: u8 = 130;

const POLL: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted, everything that was started has been ended")
    }
}

impl std::error::Error for Interrupted {}

/// Whether Ctrl-C, SIGTERM or SIGHUP has come.
///
/// The signal only sets this mark. The main thread sees it in its waiting loops and returns, so that
/// every `Drop` on its stack cleans up.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    pub fn listen() -> Result<Self> {
        let interrupt = Self::default();
        let mark = interrupt.clone();
        ctrlc::set_handler(move || mark.0.store(true, Ordering::Relaxed))
            .context("cannot listen for Ctrl-C")?;
        Ok(interrupt)
    }

    pub fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) { Err(Interrupted.into()) } else { Ok(()) }
    }

    /// Sleeps for the interval at which waiting loops look again.
    pub fn pause(&self) -> Result<()> {
        self.check()?;
        thread::sleep(POLL);
        self.check()
    }
}

/// A signal by its name, and how long the process has to obey it.
pub type Demand = (&'static str, Duration);

/// What a terminal does.
pub const CTRL_C: &[Demand] = &[("INT", Duration::from_secs(5))];

/// A running process with its group; dropping it ends both and waits for them.
pub struct Process {
    child: Child,
    demands: &'static [Demand],
}

impl Process {
    /// `demands` are made one after the other when the process has to end; SIGKILL follows by itself.
    pub fn start(command: &mut Command, demands: &'static [Demand]) -> Result<Self> {
        let child = command
            .process_group(0)
            // From a background group, reading the terminal would stop the process.
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Self { child, demands })
    }

    /// What it writes, where that is piped; once.
    pub fn output(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    pub fn exited(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    pub fn wait(&mut self, interrupt: &Interrupt) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.exited()? {
                return Ok(status);
            }
            interrupt.pause()?;
        }
    }

    fn signal_group(&self, signal: &str) {
        // The shell's own `kill`: the program of that name is missing on a bare Debian. It fails when
        // nobody is left to receive the signal, which is what we want.
        let _ = Command::new("sh")
            .args(["-c", "kill -s \"$1\" -- \"-$2\"", "sh", signal, &self.child.id().to_string()])
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }

    fn is_gone(&mut self) -> bool {
        !matches!(self.exited(), Ok(None)) && !group_lives(self.child.id())
    }

    fn is_gone_within(&mut self, patience: Duration) -> bool {
        let started = Instant::now();
        while !self.is_gone() {
            if started.elapsed() > patience {
                return false;
            }
            thread::sleep(POLL);
        }
        true
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_gone() {
            return;
        }
        for &(signal, patience) in self.demands {
            self.signal_group(signal);
            if self.is_gone_within(patience) {
                return;
            }
        }
        self.signal_group("KILL");
        self.is_gone_within(Duration::from_secs(5));
    }
}

/// Whether a process of this group runs. Where there is no `/proc`, only its leader is known to have ended.
fn group_lives(group: u32) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok())
        .any(|stat| lives_in_group(&stat, group))
}

/// Reads a line of `/proc/PID/stat`, as in `7 (sh) S 1 7 …`: state, parent, group (proc(5)). The name may
/// itself hold spaces and brackets. A dead process counts as gone: who has to reap it is not us.
fn lives_in_group(stat: &str, group: u32) -> bool {
    let Some((_, fields)) = stat.rsplit_once(") ") else { return false };
    let fields: Vec<&str> = fields.split(' ').take(3).collect();
    matches!(fields[..], [state, _, id] if state != "Z" && state != "X" && id.parse() == Ok(group))
}

/// Runs a command to its end, or ends it with all it has started when we are interrupted.
pub fn run(command: &mut Command, interrupt: &Interrupt) -> Result<ExitStatus> {
    Process::start(command, CTRL_C)?.wait(interrupt)
}

/// The exit code that a shell would report.
pub fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        let ended = |script: &str| exit_code(sh(script).status().expect("sh starts"));
        assert_eq!(ended("exit 0"), ExitCode::SUCCESS);
        assert_eq!(ended("exit 101"), ExitCode::from(101));
        assert_eq!(ended("kill -KILL $$"), ExitCode::from(137));
    }

    #[test]
    fn an_interrupt_ends_the_process_and_what_it_started() {
        let folder = tempfile::tempdir().expect("a folder");
        let heir = folder.path().join("heir");
        let script = format!("trap '' INT; sh -c 'echo > {}; exec sleep 60' & wait", heir.display());
        let interrupt = Interrupt::default();
        let mark = interrupt.clone();
        let seen = heir.clone();
        let interrupter = thread::spawn(move || {
            while !seen.exists() {
                thread::sleep(POLL);
            }
            mark.0.store(true, Ordering::Relaxed);
        });

        let mut process = Process::start(&mut sh(&script), &[("INT", POLL)]).expect("sh starts");
        let group = process.child.id();
        let error = process.wait(&interrupt).expect_err("interrupted");
        assert!(group_lives(group));
        drop(process);

        interrupter.join().expect("the heir was seen");
        assert!(error.is::<Interrupted>());
        assert!(!group_lives(group));
    }

    #[test]
    fn a_group_lives_as_long_as_one_of_it_runs() {
        assert!(lives_in_group("7 (sh) S 1 7 7 0 -1", 7));
        assert!(lives_in_group("8 (a) b) R 1 7 7 0 -1", 7));
        assert!(!lives_in_group("8 (dead) Z 1 7 7 0 -1", 7));
        assert!(!lives_in_group("7 (other) S 1 9 9 0 -1", 7));
    }
}
