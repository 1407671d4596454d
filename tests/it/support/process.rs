//! The server as a process, which can be killed.

use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};

use super::sandbox::{announced, announced_url};
use super::{Client, Place};

/// What a command that ends by itself has said. One that serves where it should refuse fails its test, and not the run.
pub async fn ended(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).kill_on_drop(true);
    tokio::time::timeout(Duration::from_secs(60), command.output()).await.expect("it runs on").unwrap()
}

pub struct ServerProcess {
    pub url: String,
    child: Child,
}

impl ServerProcess {
    /// Starts a server in `place`.
    pub async fn start(place: &Place) -> Self {
        Self::start_with(place, &[]).await
    }

    /// Starts a server with more environment variables.
    pub async fn start_with(place: &Place, more: &[(&str, String)]) -> Self {
        let mut child = Self::command(place, more).stderr(Stdio::inherit()).spawn().unwrap();
        let url = announced_url(&mut child).await;
        Self { url, child }
    }

    /// Starts a server whose log goes to `log`.
    pub async fn start_logging(place: &Place, more: &[(&str, String)], log: Stdio) -> Self {
        let mut child = Self::command(place, more).stderr(log).spawn().unwrap();
        let url = announced_url(&mut child).await;
        Self { url, child }
    }

    /// Starts a server with more arguments.
    pub async fn start_arguing(place: &Place, arguments: &[&str]) -> Self {
        let mut command = Self::command(place, &[]);
        let mut child = command.args(arguments).stderr(Stdio::inherit()).spawn().unwrap();
        let url = announced_url(&mut child).await;
        Self { url, child }
    }

    /// Starts a worker in `place`, which has no URL.
    pub async fn start_worker(place: &Place) -> Self {
        let mut child = Self::bare(place).arg("worker").stderr(Stdio::inherit()).spawn().unwrap();
        announced(&mut child, "Worker runs; ").await;
        Self { url: String::new(), child }
    }

    /// Starts a worker in `place` that answers probes at its URL.
    pub async fn start_probed_worker(place: &Place) -> Self {
        let mut child = Self::bare(place).arg("worker").stderr(Stdio::inherit()).spawn().unwrap();
        let url = announced_url(&mut child).await;
        Self { url, child }
    }

    /// The command that would start a server in `place`.
    fn command(place: &Place, more: &[(&str, String)]) -> Command {
        let mut command = Self::bare(place);
        command.arg("serve").envs(more.iter().map(|(key, value)| (key, value)));
        command
    }

    /// The program with the settings of `place` and without arguments.
    pub fn bare(place: &Place) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_accounts-center"));
        command
            .envs(place.settings.iter().map(|(key, value)| (key, value)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    pub fn client(&self) -> Client {
        Client::new(&self.url)
    }

    /// What `kill -9` does.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// What Ctrl-C does. Gives how the process ended.
    pub async fn interrupt(&mut self) -> ExitStatus {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        self.ended().await
    }

    /// Waits for it to end by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        tokio::time::timeout(super::PATIENCE, self.child.wait())
            .await
            .expect("the server did not end within 20 s")
            .unwrap()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Ends it if it has not ended by itself.
    pub async fn kill_if_alive(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.kill().await;
        }
    }
}
