//! Child processes that do not outlive us.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::Error;

/// In a child, between fork and exec: `SIGKILL` when the thread that forked it ends. `parent` is
/// the pid of that thread's process.
pub(crate) fn die_with_parent(parent: u32) -> io::Result<()> {
    // SAFETY: prctl with this option takes no pointer; async-signal-safe.
    if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // The parent may have gone before the line above.
    // SAFETY: getppid cannot fail.
    if unsafe { libc::getppid() } != parent as libc::pid_t {
        return Err(io::Error::other("the parent has gone"));
    }
    Ok(())
}

/// A child that is told to end, then made to, on drop.
pub struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts `command` in a process group of its own, so that Ctrl-C at a terminal reaches us
    /// and not it.
    pub fn start(name: &str, mut command: Command) -> Result<Process, Error> {
        let child = command
            .process_group(0)
            .spawn()
            .map_err(|e| Error::io(format!("cannot start {name}"), e))?;
        Ok(Process { name: name.to_owned(), child })
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The status, if the process has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: libc::c_int) {
        // SAFETY: the child has not been waited for, so that the pid is still its own.
        unsafe { libc::kill(self.child.id() as libc::pid_t, signal) };
    }

    /// Waits at most `limit` for the process to end by itself.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus, Error> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return Ok(status);
            }
            if start.elapsed() > limit {
                return Err(Error::Timeout {
                    what: format!("end of {}", self.name),
                    after: limit,
                    detail: String::new(),
                });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the process: `SIGTERM`, and `SIGKILL` if that is not enough.
    pub fn stop(&mut self) {
        if self.ended().is_none() {
            self.signal(libc::SIGTERM);
            if self.wait(Duration::from_secs(5)).is_err() {
                self.kill();
            }
        }
    }

    /// Ends the process without giving it a chance to clean up.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs a command to its end, at most for `limit`, and gives what it printed on standard output.
pub fn output(command: &mut Command, limit: Duration) -> Result<String, Error> {
    let shown = shown(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| Error::io(format!("cannot run {shown}"), e))?;
    let pid = child.id() as libc::pid_t;
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    // Both pipes are read while the child runs, else a long answer would block it.
    let read = |pipe: &mut dyn io::Read| {
        let mut text = Vec::new();
        let _ = pipe.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    };
    let (ended, over) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|s| {
        let out = s.spawn(move || out.as_mut().map(|p| read(p)).unwrap_or_default());
        let err = s.spawn(move || err.as_mut().map(|p| read(p)).unwrap_or_default());
        s.spawn(move || {
            if over.recv_timeout(limit) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                // SAFETY: the child is waited for only after this thread was told to stop.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
        });
        let out = out.join().unwrap_or_default();
        let err = err.join().unwrap_or_default();
        drop(ended);
        let status = child.wait().map_err(|e| Error::io(format!("cannot wait for {shown}"), e))?;
        if status.success() {
            Ok(out)
        } else {
            let output = format!("{out}{err}");
            Err(Error::Command { command: shown, status: status.to_string(), output })
        }
    })
}

/// The command as a person would type it.
fn shown(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for a in command.get_args() {
        text.push(' ');
        text += &a.to_string_lossy();
    }
    text
}
