//! Installs the programs that the tests need, from Debian's packages, without leaving a service behind.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::process::Interrupt;
use crate::{postgres, workspace};

/// The Debian packages of what is not there.
pub fn missing_packages(with_node: bool) -> Vec<&'static str> {
    let mut packages = Vec::new();
    if postgres::find_programs().is_none() {
        packages.push("postgresql");
    }
    if absent("redis-server") {
        packages.push("redis-server");
    }
    packages.extend(with_node.then(missing_node).into_iter().flatten());
    // What a test in Node drives.
    if with_node && absent("chromium") {
        packages.push("chromium");
    }
    packages
}

/// Those of Node.
pub fn missing_node() -> Vec<&'static str> {
    let packages = [("node", "nodejs"), ("npm", "npm")].into_iter();
    packages.filter(|(program, _)| absent(program)).map(|(_, package)| package).collect()
}

fn absent(program: &str) -> bool {
    workspace::find_on_path(program).is_none()
}

pub fn install(packages: &[&str], interrupt: &Interrupt) -> Result<()> {
    let commands =
        format!("apt-get update && apt-get install --no-install-recommends {}", packages.join(" "));
    if workspace::find_on_path("apt-get").is_none() {
        bail!("the tests need what Debian packages as {}; please install it", packages.join(", "));
    }
    if !is_root()? {
        bail!("missing packages; please run as root: {commands}");
    }

    let _no_service = Placed::new("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)?;
    let _no_cluster = Placed::new(
        "/etc/postgresql-common/createcluster.d/no-main-cluster.conf",
        "create_main_cluster = false\n",
        0o644,
    )?;
    eprintln!("installing {}", packages.join(", "));
    apt_get(&["update"])?;
    interrupt.check()?;
    apt_get(&[&["install", "--yes", "--no-install-recommends"], packages].concat())?;
    if packages.contains(&"redis-server") && workspace::find_on_path("systemctl").is_some() {
        // Its package would have it start at the next boot.
        output_of(Command::new("systemctl").args(["disable", "redis-server"]))?;
    }
    interrupt.check()
}

/// Not a process that an interrupt ends: half an installation is worse than a late answer to Ctrl-C.
fn apt_get(args: &[&str]) -> Result<()> {
    let status = Command::new("apt-get")
        .args(["-qq", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"])
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()
        .context("apt-get cannot be started")?;
    ensure!(status.success(), "`apt-get {}` failed ({status})", args.join(" "));
    Ok(())
}

/// A file that stands while we install; one that was there before is left alone.
struct Placed(Option<PathBuf>);

impl Placed {
    fn new(path: &str, content: &str, mode: u32) -> Result<Self> {
        let path = PathBuf::from(path);
        if path.exists() {
            return Ok(Self(None));
        }
        let folder = path.parent().context("a file stands in a folder")?;
        let written = fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, content))
            .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(mode)));
        written.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self(Some(path)))
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        if let Some(path) = &self.0
            && let Err(error) = fs::remove_file(path)
        {
            eprintln!("warning: {} could not be removed: {error}", path.display());
        }
    }
}

pub fn is_root() -> Result<bool> {
    Ok(output_of(Command::new("id").arg("-u"))? == "0")
}

/// What a short command prints, without the line's end.
pub fn output_of(command: &mut Command) -> Result<String> {
    let name = command.get_program().display().to_string();
    let output = command.output().with_context(|| format!("cannot start {name}"))?;
    ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
