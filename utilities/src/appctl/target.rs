//! A daemon's control socket: JSON-RPC with strings in and a string, or JSON, out (`unixctl`).

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use ovsdb::Framer;
use ovsdb::jsonrpc::{self, Message};
use posix::file::lock_holder;
use posix::unix::with_short_path;
use serde_json::Value;

use crate::vsctl::console::Console;
use crate::vsctl::db::link::system_text;
use crate::vsctl::run_directory;

/// Why there is no answer.
#[derive(Debug)]
pub enum CallError {
    /// The daemon refused; its error.
    Refused(Value),
    /// The connection broke, or what came is no answer.
    Broken(String),
    /// The time that the user gave has passed.
    Deadline,
}

impl From<io::Error> for CallError {
    fn from(error: io::Error) -> CallError {
        CallError::Broken(system_text(&error))
    }
}

/// A connection to a daemon.
#[derive(Debug)]
pub struct Target {
    stream: UnixStream,
    framer: Framer,
    deadline: Option<Instant>,
    next_id: u64,
}

/// The process of a pidfile, which a running daemon keeps locked.
fn read_pidfile(path: &str, console: &mut Console) -> io::Result<i64> {
    let stale = || io::Error::from_raw_os_error(libc::ESRCH);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) => {
            console.warn("daemon_unix", &format!("{path}: open: {}", system_text(&error)));
            return Err(error);
        }
    };
    let holder = lock_holder(&file)?.map(i64::from).ok_or_else(stale)?;
    let mut line = String::new();
    BufReader::new(file.take(128)).read_line(&mut line)?;
    // Zero: the holder is in another process namespace, where it has another number.
    match line.trim().parse::<i64>() {
        Ok(pid) if pid == holder || holder == 0 => Ok(pid),
        _ => Err(stale()),
    }
}

impl Target {
    /// Reaches a daemon: by the path of its socket, or by its name, whose pidfile is in the run
    /// directory.
    ///
    /// # Errors
    ///
    /// A text that says why not.
    pub fn open(
        name: &str,
        deadline: Option<Instant>,
        console: &mut Console,
    ) -> Result<Target, String> {
        let path = if name.starts_with('/') {
            name.to_owned()
        } else if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
            by_process(name)?
        } else {
            let directory = run_directory();
            let pidfile = format!("{directory}/{name}.pid");
            let pid = read_pidfile(&pidfile, console).map_err(|error| {
                format!("cannot read pidfile \"{pidfile}\" ({})", system_text(&error))
            })?;
            format!("{directory}/{name}.{pid}.ctl")
        };
        match with_short_path(Path::new(&path), |path| UnixStream::connect(path)) {
            Ok(stream) => Ok(Target { stream, framer: Framer::default(), deadline, next_id: 0 }),
            Err(error) => {
                console.warn("unixctl", &format!("failed to connect to {path}"));
                Err(format!("cannot connect to \"{path}\" ({})", system_text(&error)))
            }
        }
    }

    /// Gives a command and waits for its answer.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub fn call(&mut self, command: &str, arguments: &[String]) -> Result<Value, CallError> {
        self.next_id += 1;
        let params = Value::from(arguments.to_vec()).to_string();
        let mut request = Vec::new();
        jsonrpc::push_request(&mut request, self.next_id, command, &params);
        self.stream.write_all(&request)?;
        let id = self.next_id.to_string();
        let mut chunk = [0; 64 << 10];
        loop {
            let broken = |text: String| CallError::Broken(text);
            while let Some(bytes) = self.framer.next_message().map_err(|e| broken(e.to_string()))? {
                let message = jsonrpc::parse(bytes).map_err(|e| broken(e.to_string()))?;
                let Message::Response { id: of, result } = message else { continue };
                if of.get() != id {
                    continue;
                }
                let value =
                    |json: &str| serde_json::from_str(json).map_err(|e| broken(e.to_string()));
                return match result {
                    Ok(result) => Ok(value(result.get())?),
                    Err(error) => Err(CallError::Refused(value(error.get())?)),
                };
            }
            if let Some(deadline) = self.deadline {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(CallError::Deadline);
                }
                self.stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
                Ok(number) => self.framer.push(&chunk[..number]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The socket of a process: whatever ends in `.PID.ctl` in the run directory.
fn by_process(pid: &str) -> Result<String, String> {
    let directory = run_directory();
    let end = format!(".{pid}.ctl");
    let entries = std::fs::read_dir(&directory)
        .map_err(|error| format!("cannot read \"{directory}\" ({})", system_text(&error)))?;
    let mut sockets: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(&end))
        .collect();
    sockets.sort_unstable();
    match sockets.first() {
        Some(name) => Ok(format!("{directory}/{name}")),
        None => Err(format!("no control socket of process {pid} in \"{directory}\"")),
    }
}
