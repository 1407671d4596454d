//! Places where a test can kill this process, as `kill -9` would.
//!
//! Compiled in with the feature `failpoints` only. `FAILPOINTS="store::command-committed=1*off->return"`
//! dies at the second time that a command has committed and its hint has not gone out.

/// Every failpoint that any command and any job pass, in that order.
pub const ALL: [&str; 6] = [
    "store::command-locked",
    "store::command-applied",
    "store::command-written",
    "store::command-committed",
    "store::job-claimed",
    "store::job-ran",
];

/// Reads `FAILPOINTS` from the environment, where they are compiled in.
pub fn set_up() {
    if fail::has_failpoints() {
        // Dropping a scenario would remove its failpoints again.
        std::mem::forget(fail::FailScenario::setup());
    }
}

/// Where an account is half erased, in the midst of a command.
pub const HALF_ERASED: &str = "account::half-erased";

/// A place where a test can kill this process: no destructor, no flush, no rollback that was asked for.
pub fn failpoint(name: &'static str) {
    if reached(name) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// Whether a test wants this process to end here; always false where failpoints are not compiled in.
#[cfg_attr(not(feature = "failpoints"), expect(unused_variables, reason = "the macro is empty then"))]
fn reached(name: &'static str) -> bool {
    fail::fail_point!(name, |_| true);
    false
}

/// What a test wants to go wrong here; absent where failpoints are not compiled in. Not every death is clean:
/// `FAILPOINTS="bus::hint=5%return(lost)"` loses one hint of twenty.
#[cfg_attr(not(feature = "failpoints"), expect(unused_variables, reason = "the macro is empty then"))]
pub fn fault(name: &'static str) -> Option<String> {
    fail::fail_point!(name, |argument| Some(argument.unwrap_or_default()));
    None
}

/// A place where a test can make this process slow: `return(3000)` waits for 3 s.
pub async fn pause(name: &'static str) {
    if let Some(millis) = fault(name).and_then(|millis| millis.parse().ok()) {
        tokio::time::sleep(std::time::Duration::from_millis(millis)).await;
    }
}

/// Whether a test has switched a defence off, to see that its loss is noticed.
pub fn is_off(defence: &'static str) -> bool {
    fault(defence).is_some()
}

/// The defences that can be switched off.
pub const DEFENCES: [&str; 7] = [
    "plant::floor",
    "plant::compare",
    "plant::poll",
    "plant::cursor-epoch",
    "plant::key-epoch",
    "plant::hint-epoch",
    "plant::snapshot",
];
