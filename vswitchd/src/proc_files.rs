//! `other_config:bond-proc-dir`: a file for each bond with the text of `bond/proc`.
//!
//! A thread of its own asks the links thread for the bonds once a second, and writes those that have
//! changed: a slow disk delays nothing else. A file is written under another name and renamed, so
//! that readers see the old text or the new one. Symbolic links are not followed, and a file that
//! was not written by this switch or Linux is left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use links::Links;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};

use crate::modules::VSWITCHD;

/// The time between two looks at the bonds: a file is at most this old.
const INTERVAL: Duration = Duration::from_secs(1);

/// Directories that may wait: main sets one each time the configuration changes it.
const ORDERS: usize = 16;

/// What the file's first line says after `v`.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "-braid");

/// How a file of this kind begins.
const MAGIC: &[u8] = b"Ethernet Channel Bonding Driver: ";

/// Keeps the files; they go away with it.
#[derive(Default)]
pub struct ProcFiles {
    dir: Option<PathBuf>,
    thread: Option<(SyncSender<Option<PathBuf>>, JoinHandle<()>)>,
}

impl ProcFiles {
    /// Keeps the files in `dir` from now on, and removes those elsewhere; `None` = nowhere.
    pub fn set(&mut self, dir: Option<&Path>, links: &Links) {
        if self.dir.as_deref() == dir {
            return;
        }
        self.dir = dir.map(Path::to_owned);
        if self.thread.is_none() {
            let (orders, inbox) = sync_channel(ORDERS);
            let links = links.clone();
            let work = move || run(&inbox, || links.bonds().ok().map(|all| texts(&all)));
            match std::thread::Builder::new().name("proc_files".to_owned()).spawn(work) {
                Ok(handle) => self.thread = Some((orders, handle)),
                Err(e) => {
                    crate::err!(VSWITCHD, "bond-proc-dir: no thread: {}", posix::text(e));
                    return;
                }
            }
        }
        if let Some((orders, _)) = &self.thread {
            // Fails only when the thread is that far behind.
            let _ = orders.try_send(self.dir.clone());
        }
    }
}

impl Drop for ProcFiles {
    fn drop(&mut self) {
        if let Some((orders, handle)) = self.thread.take() {
            drop(orders);
            let _ = handle.join();
        }
    }
}

fn texts(bonds: &[links::BondView]) -> BTreeMap<String, String> {
    bonds.iter().map(|b| (b.status.name.clone(), b.proc.render(VERSION))).collect()
}

/// Until main drops its end. `bonds` gives the text of each bond, `None` if it is not known now.
fn run(
    orders: &Receiver<Option<PathBuf>>,
    mut bonds: impl FnMut() -> Option<BTreeMap<String, String>>,
) {
    let mut keeper: Option<Keeper> = None;
    loop {
        let order = match keeper {
            // Nothing to do until main says so.
            None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(_) => orders.recv_timeout(INTERVAL),
        };
        match order {
            Ok(dir) => {
                if let Some(keeper) = &mut keeper {
                    keeper.keep(&BTreeMap::new());
                }
                keeper = dir.map(Keeper::new);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if let (Some(keeper), Some(texts)) = (&mut keeper, bonds()) {
            keeper.keep(&texts);
        }
    }
    if let Some(keeper) = &mut keeper {
        keeper.keep(&BTreeMap::new());
    }
}

/// The files of one directory.
struct Keeper {
    dir: PathBuf,
    /// What is in the files, by name.
    written: BTreeMap<String, String>,
    /// What was logged last of each name, and of the directory (empty name).
    complaints: BTreeMap<String, String>,
}

impl Keeper {
    fn new(dir: PathBuf) -> Keeper {
        Keeper { dir, written: BTreeMap::new(), complaints: BTreeMap::new() }
    }

    /// Makes the files these.
    fn keep(&mut self, texts: &BTreeMap<String, String>) {
        if texts.is_empty() && self.written.is_empty() {
            return;
        }
        let dir = match open_directory(&self.dir) {
            Ok(dir) => dir,
            Err(e) => return self.complain("", e),
        };
        self.complaints.remove("");
        for (name, text) in texts {
            let unchanged = self.written.get(name) == Some(text);
            if unchanged && matches!(kind(&dir, name), Ok(Some(FileType::RegularFile))) {
                continue;
            }
            match write(&dir, name, text, self.written.contains_key(name)) {
                Ok(()) => {
                    self.complaints.remove(name);
                    self.written.insert(name.clone(), text.clone());
                }
                Err(e) => self.complain(name, e),
            }
        }
        let gone: BTreeSet<String> =
            self.written.keys().filter(|n| !texts.contains_key(*n)).cloned().collect();
        for name in gone {
            self.written.remove(&name);
            self.complaints.remove(&name);
            // One that is not there any more is as it should be.
            let ours = matches!(kind(&dir, &name), Ok(Some(FileType::RegularFile)));
            if ours && let Err(e) = rustix::fs::unlinkat(&dir, name.as_str(), AtFlags::empty()) {
                self.complain(&name, e.into());
            }
        }
    }

    /// Logs a new error.
    fn complain(&mut self, name: &str, error: io::Error) {
        let path = self.dir.join(name);
        let text = format!("bond-proc-dir: {}: {}", path.display(), posix::text(error));
        if self.complaints.get(name) != Some(&text) {
            crate::warn!(VSWITCHD, "{text}");
            self.complaints.insert(name.to_owned(), text);
        }
    }
}

/// Opens the directory, which is made if its parent exists.
fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    match rustix::fs::mkdirat(CWD, path, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(e) => return Err(e.into()),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(CWD, path, flags, Mode::empty()) {
        // What `NOFOLLOW` makes of a symbolic link.
        Err(rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR) => {
            Err(io::Error::other("not a directory, or a symbolic link"))
        }
        result => Ok(result?),
    }
}

/// What has this name; `None` = nothing.
fn kind(dir: impl AsFd, name: &str) -> io::Result<Option<FileType>> {
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Writes a file; `ours`: the one that has this name was written before.
fn write(dir: &OwnedFd, name: &str, text: &str, ours: bool) -> io::Result<()> {
    if name.contains('/') || name.starts_with('.') {
        return Err(io::Error::other("no name for a file"));
    }
    match kind(dir, name)? {
        None => {}
        Some(FileType::RegularFile) if ours || is_bonding_file(dir, name)? => {}
        Some(FileType::RegularFile) => {
            return Err(io::Error::other("is there and describes no bond; left alone"));
        }
        Some(FileType::Symlink) => {
            return Err(io::Error::other("is a symbolic link; left alone"));
        }
        Some(_) => return Err(io::Error::other("is no file; left alone")),
    }
    let temporary = format!(".{name}.tmp");
    // Of a daemon that was killed.
    match rustix::fs::unlinkat(dir, temporary.as_str(), AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(e) => return Err(e.into()),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, temporary.as_str(), flags, Mode::from_raw_mode(0o644))?;
    let written = File::from(file).write_all(text.as_bytes());
    let renamed =
        written.and_then(|()| Ok(rustix::fs::renameat(dir, temporary.as_str(), dir, name)?));
    if renamed.is_err() {
        let _ = rustix::fs::unlinkat(dir, temporary.as_str(), AtFlags::empty());
    }
    renamed
}

/// Whether a file describes a bond, of a switch that was killed for example.
fn is_bonding_file(dir: &OwnedFd, name: &str) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    let mut start = Vec::new();
    File::from(file).take(MAGIC.len() as u64).read_to_end(&mut start)?;
    Ok(start == MAGIC)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    /// A directory that is removed with what is in it.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Scratch {
            let name = format!("braid-proc-{}-{}", std::process::id(), posix::random());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir(&path).unwrap();
            Scratch(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn of(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(n, t)| ((*n).to_owned(), format!("Ethernet Channel Bonding Driver: {t}\n")))
            .collect()
    }

    fn read(dir: &Path, name: &str) -> String {
        std::fs::read_to_string(dir.join(name)).unwrap_or_default()
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(dir).unwrap();
        let mut names: Vec<String> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn files_follow_the_bonds() {
        let tmp = Scratch::new();
        let dir = tmp.0.join("bonding");
        let mut keeper = Keeper::new(dir.clone());
        keeper.keep(&of(&[("bond0", "a"), ("bond1", "b")]));
        assert_eq!(names(&dir), ["bond0", "bond1"]);
        assert!(read(&dir, "bond0").ends_with(": a\n"));
        let inode = |name: &str| std::fs::metadata(dir.join(name)).unwrap().ino();
        let before = (inode("bond0"), inode("bond1"));

        keeper.keep(&of(&[("bond0", "a"), ("bond1", "c")]));
        assert_eq!(inode("bond0"), before.0, "an unchanged one is not written again");
        assert_ne!(inode("bond1"), before.1, "another file, renamed");
        assert!(read(&dir, "bond1").ends_with(": c\n"));
        std::fs::remove_file(dir.join("bond0")).unwrap();
        keeper.keep(&of(&[("bond0", "a")]));
        assert_eq!(names(&dir), ["bond0"], "made anew; the bond that is gone has none");
        keeper.keep(&BTreeMap::new());
        assert!(names(&dir).is_empty());
    }

    #[test]
    fn links_and_foreign_files_are_left_alone() {
        let tmp = Scratch::new();
        let (dir, victim) = (tmp.0.join("d"), tmp.0.join("victim"));
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(&victim, "mine").unwrap();
        symlink(&victim, dir.join("bond0")).unwrap();
        symlink(&victim, dir.join(".bond1.tmp")).unwrap();
        std::fs::write(dir.join("passwd"), "root").unwrap();
        std::fs::create_dir(dir.join("bond2")).unwrap();
        std::fs::write(dir.join("bond3"), "Ethernet Channel Bonding Driver: v6\n").unwrap();
        let mut keeper = Keeper::new(dir.clone());
        let bonds =
            of(&[("bond0", "x"), ("bond1", "x"), ("passwd", "x"), ("bond2", "x"), ("bond3", "x")]);
        keeper.keep(&bonds);
        keeper.keep(&of(&[("../victim", "x"), ("..", "x"), ("a/b", "x")]));
        assert_eq!(read(&tmp.0, "victim"), "mine");
        assert_eq!(read(&dir, "passwd"), "root");
        assert_eq!(names(&dir), ["bond0", "bond2", "passwd"], "what was written is gone again");
        keeper.keep(&bonds);
        assert!(read(&dir, "bond1").ends_with(": x\n"));
        assert!(read(&dir, "bond3").ends_with(": x\n"), "of a switch that was killed");
        assert!(keeper.complaints["bond0"].contains("symbolic link"), "{:?}", keeper.complaints);
        assert!(keeper.complaints["passwd"].contains("describes no bond"));

        let linked = tmp.0.join("linked");
        symlink(&dir, &linked).unwrap();
        let mut keeper = Keeper::new(linked);
        keeper.keep(&of(&[("bond9", "x")]));
        assert!(keeper.complaints[""].contains("symbolic link"), "{:?}", keeper.complaints);
        assert!(!dir.join("bond9").exists());
    }

    #[test]
    fn thread_moves_files_and_removes_them_at_its_end() {
        let tmp = Scratch::new();
        let (one, two) = (tmp.0.join("one"), tmp.0.join("two"));
        let (orders, inbox) = sync_channel(ORDERS);
        let thread = std::thread::spawn(move || run(&inbox, || Some(of(&[("bond0", "a")]))));
        let wait = |done: &dyn Fn() -> bool| {
            for _ in 0..1000 {
                if done() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            panic!("not within 10 s");
        };
        orders.send(Some(one.clone())).unwrap();
        wait(&|| one.join("bond0").exists());
        orders.send(Some(two.clone())).unwrap();
        wait(&|| two.join("bond0").exists());
        assert!(names(&one).is_empty());
        drop(orders);
        thread.join().unwrap();
        assert!(names(&two).is_empty());
    }
}
