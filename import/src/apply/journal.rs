//! What is to be undone, kept in a file so that it survives the program.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One command that undoes a step.
type Undo = Vec<String>;

/// A list of commands that only grows, written to disk before the step that each one undoes.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// # Errors
    ///
    /// The file cannot be made, or is there: a change before was interrupted.
    pub(super) fn begin(path: &Path) -> io::Result<Journal> {
        // `create_new` follows no symbolic link.
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
        Ok(Journal { path: path.to_owned(), file })
    }

    /// Adds commands; the first is to be run first. They are on disk when this returns.
    pub(super) fn add(&mut self, undo: &[Undo]) -> io::Result<()> {
        let mut line = serde_json::to_string(undo)?;
        line.push('\n');
        self.file.write_all(line.as_bytes())?;
        self.file.sync_data()
    }

    /// The change stays.
    pub(super) fn end(self) -> io::Result<()> {
        fs::remove_file(self.path)
    }
}

/// Runs what a journal holds, the last step first, and removes it. Returns the commands that
/// failed, with their reasons.
pub(super) fn undo(path: &Path) -> io::Result<Vec<String>> {
    let text = fs::read_to_string(path)?;
    let mut failed = Vec::new();
    // A last line that is cut belongs to a step that did not begin.
    let steps = text.lines().rev().filter_map(|l| serde_json::from_str::<Vec<Undo>>(l).ok());
    for command in steps.flatten() {
        if let Err(reason) = run(&command) {
            failed.push(reason);
        }
    }
    fs::remove_file(path)?;
    Ok(failed)
}

/// Runs one command.
///
/// # Errors
///
/// The command and what it said.
pub(super) fn run(command: &[String]) -> Result<(), String> {
    let [program, arguments @ ..] = command else { return Ok(()) };
    let said = |why: &str| format!("{}: {why}", command.join(" "));
    let out = Command::new(program).args(arguments).output().map_err(|e| said(&e.to_string()))?;
    if out.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&out.stderr);
    Err(said(if text.trim().is_empty() { "it failed" } else { text.trim() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_undone_in_reverse_and_a_cut_line_is_ignored() {
        let folder = std::env::temp_dir().join(format!("braid-import-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (path, log) = (folder.join("undo"), folder.join("log"));
        let say = |word: &str| {
            vec!["sh".to_owned(), "-c".to_owned(), format!("echo {word} >> {}", log.display())]
        };
        let mut journal = Journal::begin(&path).unwrap();
        journal.add(&[say("one"), say("two")]).unwrap();
        journal.add(&[say("three"), vec!["false".to_owned()]]).unwrap();
        assert!(Journal::begin(&path).is_err(), "an interrupted change is not overwritten");
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"[[\"sh\", ").unwrap();
        let failed = undo(&path).unwrap();
        assert_eq!(failed, ["false: it failed"]);
        assert_eq!(fs::read_to_string(&log).unwrap(), "three\none\ntwo\n");
        assert!(!path.exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
