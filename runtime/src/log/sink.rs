//! Where lines are written, and the thread that does it.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use parking_lot::Mutex;

use super::level::Level;
use super::module::{VLOG, file_open, set_file_open};
use super::syslog::{Syslog, SyslogError};

/// Lines that may wait for the writer: about a megabyte. When a disk stalls longer than that
/// lasts, lines are dropped, because nothing else can wait.
const QUEUE: usize = 8192;

/// How long `flush` waits for a disk that does not move.
const FLUSH_PATIENCE: Duration = Duration::from_secs(5);

/// One message, formatted for each destination that wants it.
#[derive(Default)]
pub(super) struct Lines {
    pub(super) console: Option<String>,
    pub(super) file: Option<String>,
    pub(super) syslog: Option<(Level, String)>,
}

enum Job {
    Write(Lines),
    Flush(SyncSender<()>),
}

struct Outputs {
    path: Option<PathBuf>,
    file: Option<File>,
    /// Directories that were made for the file.
    made: Vec<PathBuf>,
    syslog: Syslog,
    /// A second syslog receiver (`--syslog-target`).
    target: Option<Syslog>,
}

static OUTPUTS: Mutex<Outputs> = Mutex::new(Outputs {
    path: None,
    file: None,
    made: Vec::new(),
    syslog: Syslog::local(),
    target: None,
});
static WRITER: OnceLock<SyncSender<Job>> = OnceLock::new();
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Starts the writer thread: from now on nobody waits for a disk. Must come after the last fork.
pub fn start_writer() -> io::Result<()> {
    if WRITER.get().is_some() {
        return Ok(());
    }
    let (tx, rx) = sync_channel(QUEUE);
    std::thread::Builder::new().name("log".into()).spawn(move || run(&rx))?;
    let _ = WRITER.set(tx);
    Ok(())
}

thread_local! {
    /// Whether this is the writer thread, whose own lines do not pass through the queue: it would
    /// wait for itself.
    static IS_WRITER: Cell<bool> = const { Cell::new(false) };
}

fn run(jobs: &Receiver<Job>) {
    IS_WRITER.set(true);
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Write(lines) => write(&lines),
            Job::Flush(done) => {
                let _ = done.try_send(());
            }
        }
        let lost = DROPPED.swap(0, Ordering::Relaxed);
        if lost > 0 {
            crate::warn!(
                VLOG, "Dropped {lost} log messages because the log could not keep up";
                "dropped" => lost
            );
        }
    }
}

/// Writes lines, or queues them for the writer thread. A full queue drops and counts them.
pub(super) fn submit(lines: Lines) {
    match WRITER.get() {
        None => write(&lines),
        Some(_) if IS_WRITER.get() => write(&lines),
        Some(queue) => match queue.try_send(Job::Write(lines)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                DROPPED.fetch_add(1, Ordering::Relaxed);
            }
        },
    }
}

/// Lines dropped since that was last logged.
pub fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Waits until everything logged so far is written, 5 s at most.
pub fn flush() {
    if let Some(queue) = WRITER.get() {
        let (tx, rx) = sync_channel(1);
        // A full queue drains or does not within the same patience.
        let give_up = std::time::Instant::now() + FLUSH_PATIENCE;
        let mut job = Job::Flush(tx);
        loop {
            match queue.try_send(job) {
                Ok(()) => break,
                Err(TrySendError::Full(j)) if std::time::Instant::now() < give_up => {
                    job = j;
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(_) => return,
            }
        }
        let _ = rx.recv_timeout(FLUSH_PATIENCE);
    }
}

/// Write errors are ignored: there is nowhere left to tell of them.
fn write(lines: &Lines) {
    if let Some(l) = &lines.console {
        let _ = io::stderr().lock().write_all(l.as_bytes());
    }
    let mut out = OUTPUTS.lock();
    if let (Some(l), Some(f)) = (&lines.file, &mut out.file) {
        let _ = f.write_all(l.as_bytes());
    }
    if let Some((level, text)) = &lines.syslog {
        for line in text.lines() {
            out.syslog.send(*level, line);
            if let Some(target) = &mut out.target {
                target.send(*level, line);
            }
        }
    }
}

/// Logs to `path` from now on. A file that is open already stays so. See
/// [`posix::file::open_log`] for missing directories and symbolic links.
pub fn set_file(path: &Path) -> io::Result<()> {
    let (new, made) = match posix::file::open_log(path) {
        Ok(opened) => opened,
        Err(e) => {
            crate::warn!(
                VLOG,
                "failed to open {} for logging: {}",
                path.display(),
                posix::text(&e)
            );
            return Err(e);
        }
    };
    let same = {
        let out = OUTPUTS.lock();
        match out.file.as_ref().map(File::metadata) {
            Some(Ok(old)) => {
                let n = new.metadata()?;
                (old.dev(), old.ino()) == (n.dev(), n.ino())
            }
            _ => false,
        }
    };
    if same {
        return Ok(());
    }
    if file_open() {
        crate::info!(VLOG, "closing log file");
        flush();
    }
    {
        let mut out = OUTPUTS.lock();
        out.file = Some(new);
        out.path = Some(path.to_owned());
        out.made.extend(made);
    }
    set_file_open(true);
    crate::info!(VLOG, "opened log file {}", path.display());
    Ok(())
}

/// Opens the log file anew, after it was moved away. `None` if there is none.
pub fn reopen_file() -> Option<io::Result<()>> {
    let path = OUTPUTS.lock().path.clone()?;
    Some(set_file(&path))
}

/// Closes the log file; [`reopen_file`] opens it again.
pub fn close_file() {
    flush();
    OUTPUTS.lock().file = None;
    set_file_open(false);
}

/// Gives the log file, and directories that were made for it, to a user who is to open it again.
///
/// # Errors
///
/// The system's, with the path.
pub fn change_owner(uid: u32, gid: u32) -> Result<(), (PathBuf, io::Error)> {
    let out = OUTPUTS.lock();
    for directory in &out.made {
        std::os::unix::fs::lchown(directory, Some(uid), Some(gid))
            .map_err(|error| (directory.clone(), error))?;
    }
    match (&out.file, &out.path) {
        (Some(file), Some(path)) => std::os::unix::fs::fchown(file, Some(uid), Some(gid))
            .map_err(|error| (path.clone(), error)),
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}

/// The log file's name, also while it is closed.
pub fn file_name() -> Option<PathBuf> {
    OUTPUTS.lock().path.clone()
}

/// `--syslog-method`: `libc`, `null`, `unix:FILE` or `udp:IP:PORT`.
pub fn set_syslog_method(method: &str) -> Result<(), SyslogError> {
    OUTPUTS.lock().syslog = Syslog::from_method(method)?;
    Ok(())
}

/// `--syslog-target`: also send to `HOST:PORT` by UDP.
pub fn set_syslog_target(target: &str) -> Result<(), SyslogError> {
    let target = Syslog::from_method(&format!("udp:{target}"))?;
    OUTPUTS.lock().target = Some(target);
    crate::warn!(VLOG, "--syslog-target flag is deprecated, use --syslog-method instead");
    Ok(())
}

pub(super) fn syslog_prefix() -> &'static str {
    OUTPUTS.lock().syslog.prefix()
}
