//! What runs in Node: a copy of its sources with their packages, in the target folder, so that nothing is written
//! among the sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process::{self, Interrupt};

const PACKAGES: &str = "node_modules";

/// Makes `folder` the one to run `sources` in.
pub fn prepare(sources: &Path, folder: PathBuf, interrupt: &Interrupt) -> Result<PathBuf> {
    mirror(sources, &folder).with_context(|| format!("cannot copy {}", sources.display()))?;

    // It lies among the packages because `npm ci` begins by deleting them: a failed run leaves none.
    let stamp = folder.join(PACKAGES).join(".installed-from");
    let wanted = fs::read(folder.join("package-lock.json"))
        .with_context(|| format!("package-lock.json of {}", sources.display()))?;
    if fs::read(&stamp).ok().as_ref() != Some(&wanted) {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder);
        let status = process::run(&mut npm, interrupt)?;
        ensure!(status.success(), "`npm ci` failed in a copy of {} ({status})", sources.display());
        // Without any dependency there is no such folder.
        fs::create_dir_all(folder.join(PACKAGES))?;
        fs::write(&stamp, wanted)?;
    }
    Ok(folder)
}

/// Makes `to` a copy of `from`, except for the packages in both.
fn mirror(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if entry.file_name() == PACKAGES {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let copy = to.join(entry.file_name());
        if entry.file_name() == PACKAGES {
            continue;
        }
        if entry.file_type()?.is_dir() {
            mirror(&entry.path(), &copy)?;
        } else {
            fs::copy(entry.path(), copy)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_follows_the_sources_and_keeps_the_packages() {
        let folder = tempfile::tempdir().expect("a folder");
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let write = |path: PathBuf| {
            fs::create_dir_all(path.parent().expect("a parent")).expect("its folder");
            fs::write(path, "x").expect("the file");
        };
        write(from.join("a.mjs"));
        write(from.join("lib/b.mjs"));
        write(from.join("node_modules/ours"));
        write(to.join("stale.mjs"));
        write(to.join("node_modules/theirs"));

        mirror(&from, &to).expect("a copy");

        assert!(to.join("a.mjs").exists() && to.join("lib/b.mjs").exists());
        assert!(!to.join("stale.mjs").exists());
        assert!(to.join("node_modules/theirs").exists() && !to.join("node_modules/ours").exists());
    }
}
