//! A file written anew, without what is no longer true.
//!
//! The new file is written beside the old one and takes its place when all of it is on the disk: at
//! any moment either the old or the new one is there as a whole. A [`Replacement`] is written by a
//! thread of its own while transactions go on to the old file; what they append there meanwhile is
//! copied behind the new one's records.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::file::{Log, finish_record, open_error, sync_parent};
use crate::error::{Error, Result};

/// Bytes written or copied before it is looked whether the work is still wanted.
const PIECE: usize = 1 << 20;
/// So many bytes at most are copied while transactions wait, unless they come faster than they can
/// be copied.
const SMALL: u64 = 256 << 10;
/// How often the rest is copied by the thread before the transactions have to wait for it.
const ROUNDS: u32 = 8;

/// A file that is being written.
#[derive(Debug)]
struct New {
    path: PathBuf,
    file: File,
    length: u64,
    records: u64,
}

impl New {
    fn create(path: &Path) -> Result<New> {
        let failed = |what, error| open_error(&path.display().to_string(), what, &error);
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed("remove", error));
            }
            Err(_) | Ok(()) => {}
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(0o660).open(path);
        let file = file.map_err(|error| failed("create", error))?;
        Ok(New { path: path.to_owned(), file, length: 0, records: 0 })
    }

    fn failed(&self, what: &str, error: &std::io::Error) -> Error {
        open_error(&self.path.display().to_string(), what, error)
    }

    fn write(&mut self, bytes: &[u8], stop: &AtomicBool) -> Result<()> {
        for piece in bytes.chunks(PIECE) {
            if stop.load(Ordering::Relaxed) {
                let error = std::io::Error::from(std::io::ErrorKind::Interrupted);
                return Err(self.failed("write", &error));
            }
            let written = self.file.write_all_at(piece, self.length);
            written.map_err(|error| self.failed("write", &error))?;
            self.length += piece.len() as u64;
        }
        Ok(())
    }

    /// Appends records as [`Log::append`] takes them.
    fn append(&mut self, records: Vec<Vec<u8>>, stop: &AtomicBool) -> Result<()> {
        for mut record in records {
            let begin = finish_record(&mut record);
            self.write(&record[begin..], stop)?;
            self.records += 1;
        }
        Ok(())
    }

    /// Appends a part of another file.
    fn copy(&mut self, old: &File, (from, to): (u64, u64), stop: &AtomicBool) -> Result<()> {
        let mut at = from;
        let mut buffer = vec![0; PIECE];
        while at < to {
            let size = usize::try_from(to - at).unwrap_or(PIECE).min(PIECE);
            let read = old.read_exact_at(&mut buffer[..size], at);
            read.map_err(|error| self.failed("copy", &error))?;
            self.write(&buffer[..size], stop)?;
            at += size as u64;
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|error| self.failed("fsync", &error))
    }
}

/// A new file that a thread is writing. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub struct Replacement {
    temporary: PathBuf,
    /// Bytes of the old file that the new one stands for when the thread is done.
    covered: u64,
    /// Its records up to there.
    records: u64,
    rounds: u32,
    stop: Arc<AtomicBool>,
    work: Option<JoinHandle<Result<New>>>,
    placed: bool,
}

impl Replacement {
    fn spawn(
        &mut self,
        work: impl FnOnce(&AtomicBool) -> Result<New> + Send + 'static,
    ) -> Result<()> {
        let stop = Arc::clone(&self.stop);
        let work = runtime::panic::spawn_supervised("compaction", move || work(&stop));
        let work = work.map_err(|error| {
            Error::io(format!("{}: no thread to write it", self.temporary.display()), &error)
        })?;
        self.work = Some(work);
        Ok(())
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(work) = self.work.take() {
            // What it says no longer matters.
            let _ = work.join();
        }
        if !self.placed {
            // It need not be there; nothing depends on it.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

impl Log {
    fn temporary(&self) -> PathBuf {
        let mut temporary = self.path.clone().into_os_string();
        temporary.push(".tmp");
        PathBuf::from(temporary)
    }

    /// Puts other records in the place of all.
    ///
    /// # Errors
    ///
    /// `I/O error`; then the old file is still in use.
    pub fn replace(&mut self, records: Vec<Vec<u8>>) -> Result<()> {
        let temporary = self.temporary();
        let never = AtomicBool::new(false);
        let result = New::create(&temporary).and_then(|mut new| {
            new.append(records, &never)?;
            new.sync()?;
            self.place(new)
        });
        if result.is_err() {
            // It need not be there; nothing depends on it.
            let _ = std::fs::remove_file(&temporary);
        }
        result
    }

    /// Begins to put other records in the place of those up to now. `records` is called by another
    /// thread.
    ///
    /// # Errors
    ///
    /// `I/O error`: there is no thread, or the file takes nothing more.
    pub fn begin_replacement(
        &mut self,
        records: impl FnOnce() -> Vec<Vec<u8>> + Send + 'static,
    ) -> Result<Replacement> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let mut replacement = Replacement {
            temporary: self.temporary(),
            covered: self.offset,
            records: self.records,
            rounds: 0,
            stop: Arc::new(AtomicBool::new(false)),
            work: None,
            placed: false,
        };
        let temporary = replacement.temporary.clone();
        replacement.spawn(move |stop| {
            let records = records();
            let mut new = New::create(&temporary)?;
            new.append(records, stop)?;
            new.sync()?;
            Ok(new)
        })?;
        Ok(replacement)
    }

    /// Goes on with it; true when the new file is in place.
    ///
    /// # Errors
    ///
    /// `I/O error`; then the old file is still in use.
    pub fn continue_replacement(&mut self, replacement: &mut Replacement) -> Result<bool> {
        let Some(work) = replacement.work.take_if(|work| work.is_finished()) else {
            return Ok(false);
        };
        let mut new = work.join().map_err(|_| {
            Error::new("internal error", "the thread that wrote the file anew has panicked")
        })??;
        if let Some(error) = &self.broken {
            // It is unknown how much of the old file's end can still be read.
            return Err(error.clone());
        }
        let rest = (replacement.covered, self.offset);
        let more = self.records - replacement.records;
        if rest.1 - rest.0 > SMALL && replacement.rounds < ROUNDS {
            let old = self.file.try_clone();
            let old = old.map_err(|error| open_error(&self.display, "copy", &error))?;
            (replacement.covered, replacement.records) = (self.offset, self.records);
            replacement.rounds += 1;
            replacement.spawn(move |stop| {
                new.copy(&old, rest, stop)?;
                new.records += more;
                new.sync()?;
                Ok(new)
            })?;
            return Ok(false);
        }
        if rest.0 < rest.1 {
            new.copy(&self.file, rest, &AtomicBool::new(false))?;
            new.records += more;
            new.sync()?;
        }
        replacement.placed = true;
        self.place(new).map(|()| true)
    }

    /// Uses a file that is on the disk from now on.
    fn place(&mut self, new: New) -> Result<()> {
        std::fs::rename(&new.path, &self.path).map_err(|error| new.failed("rename", &error))?;
        self.reader = None;
        self.file = new.file;
        (self.offset, self.previous, self.base) = (new.length, new.length, new.length);
        self.records = new.records;
        (self.torn, self.unsynced, self.broken) = (false, false, None);
        // Until the directory is on disk a crash may bring the old file back, without what is
        // written from now on.
        if let Err(error) = sync_parent(&self.path) {
            let error = open_error(&self.display, "fsync of directory", &error);
            self.broken = Some(error.clone());
            return Err(error);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Mode;

    fn record(text: &str) -> Vec<u8> {
        let mut record = Log::new_record();
        record.extend_from_slice(text.as_bytes());
        record
    }

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Dir {
            let name = format!("braid-ovsdb-replace-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&path).unwrap();
            Dir(path)
        }

        fn records(&self) -> Vec<String> {
            let mut log = Log::open(&self.0.join("db"), Mode::Read).unwrap();
            let (mut bytes, mut records) = (Vec::new(), Vec::new());
            while log.read(&mut bytes).unwrap() {
                records.push(String::from_utf8_lossy(&bytes).trim_end().to_owned());
            }
            records
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn finish(log: &mut Log, replacement: &mut Replacement) -> Result<()> {
        for _ in 0..30_000 {
            if log.continue_replacement(replacement)? {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        panic!("it does not come to an end");
    }

    #[test]
    fn records_appended_during_a_replacement_follow_the_new_contents() {
        let dir = Dir::new("meanwhile");
        let mut log = Log::open(&dir.0.join("db"), Mode::Create).unwrap();
        for text in ["1", "2", "3"] {
            log.append(&mut record(text)).unwrap();
        }
        let (go, gone) = std::sync::mpsc::channel();
        let mut replacement = log
            .begin_replacement(move || {
                gone.recv().unwrap();
                vec![record("\"new\"")]
            })
            .unwrap();
        log.append(&mut record("4")).unwrap();
        assert!(!log.continue_replacement(&mut replacement).unwrap());
        // Enough for another round.
        let long = format!("\"{}\"", "x".repeat(SMALL as usize + 1));
        log.append(&mut record(&long)).unwrap();
        go.send(()).unwrap();
        finish(&mut log, &mut replacement).unwrap();
        assert_eq!(replacement.rounds, 1);
        assert_eq!(log.records(), 3);
        log.append(&mut record("5")).unwrap();
        log.sync().unwrap();
        drop(replacement);
        assert_eq!(dir.records(), ["\"new\"", "4", &long, "5"]);
        assert!(!log.temporary().exists());
    }

    #[test]
    fn dropped_replacement_leaves_no_file() {
        let dir = Dir::new("given-up");
        let mut log = Log::open(&dir.0.join("db"), Mode::Create).unwrap();
        log.append(&mut record("1")).unwrap();
        let replacement = log.begin_replacement(|| vec![record("2")]).unwrap();
        drop(replacement);
        assert!(!log.temporary().exists());
        assert_eq!(dir.records(), ["1"]);

        // A file that cannot be made: something else has its name.
        std::fs::create_dir(log.temporary()).unwrap();
        let mut replacement = log.begin_replacement(|| vec![record("2")]).unwrap();
        let error = finish(&mut log, &mut replacement).unwrap_err();
        assert_eq!(error.tag, "I/O error");
        log.append(&mut record("3")).unwrap();
        assert_eq!(dir.records(), ["1", "3"]);
    }
}
