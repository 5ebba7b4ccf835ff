//! What a panic does to the process: it ends it.
//!
//! The threads of a daemon need one another. A switch whose packet thread has panicked still
//! answers `ovs-appctl` and forwards nothing, and no process manager sees that anything is wrong.
//! So the hook logs the panic's reason and aborts the process, whichever thread it was, as a failed
//! assertion does in Open vSwitch. `SIGABRT` is one of the signals after which `--monitor` starts
//! the daemon again.
//!
//! The exception are threads whose owner joins them and starts them again, such as that of an
//! embedded database: they are started with [`spawn_supervised`], and their panics unwind.

use std::backtrace::Backtrace;
use std::cell::Cell;
use std::io;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::log::{self, Module};

static LOG: Module = Module::new("panic");

/// How long the hook may take to log. The panic may have left a lock of the log held, in which case
/// logging would wait for ever.
const PATIENCE: Duration = Duration::from_secs(8);

thread_local! {
    static SUPERVISED: Cell<bool> = const { Cell::new(false) };
}

/// Makes panics log their reason as `EMER` and end the process with `SIGABRT`, except those of
/// threads from [`spawn_supervised`], which are logged and unwind. To be called once, early in
/// `main`; forked processes inherit it.
pub fn install_hook() {
    log::register(&[&LOG]);
    std::panic::set_hook(Box::new(|info| {
        let supervised = SUPERVISED.try_with(Cell::get).unwrap_or(false);
        if !supervised {
            // Without a thread to be had the process ends when all is logged.
            let _ = Builder::new().name("abort".to_owned()).spawn(|| {
                std::thread::sleep(PATIENCE);
                std::process::abort()
            });
        }
        // First, because looking up the names for a backtrace takes a while.
        crate::emer!(LOG, "{info}");
        let then = if supervised { "its owner goes on" } else { "the process ends" };
        let backtrace = Backtrace::force_capture();
        crate::emer!(LOG, "the thread has panicked, {then}\n{backtrace}");
        if !supervised {
            std::process::abort();
        }
    }));
}

/// Starts a thread whose panic does not end the process: for an owner that joins the thread and
/// handles the error.
///
/// # Errors
///
/// The system has no thread to give.
pub fn spawn_supervised<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    Builder::new().name(name.to_owned()).spawn(move || {
        SUPERVISED.set(true);
        work()
    })
}
