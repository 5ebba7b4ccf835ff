//! A test harness like the built-in one, for tests that may lack something on the machine they run
//! on: a kernel feature, a privilege, another program.
//!
//! The built-in harness decides at compile time whether a test is ignored. Here a test that finds
//! at run time that it cannot run calls [`skip`] and is shown as ignored, with the reason. With
//! `BRAID_REQUIRE=1` in the environment, which `.ci/run` sets, it fails instead.
//!
//! A test program that uses this has `harness = false` in its manifest, `harness::main!();` in its
//! root, and `#[harness::test]` in place of `#[test]`. Options of the command line are those of the
//! built-in harness ([`libtest_mimic`]).
#![warn(missing_docs)]

use std::any::Any;
use std::panic::resume_unwind;
use std::thread;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

#[doc(hidden)]
pub use inventory;

/// Registers a function without arguments as a test; see the crate's documentation.
pub use harness_macros::test;

/// A registered test. Made by [`macro@test`].
#[doc(hidden)]
pub struct Test {
    pub module: &'static str,
    pub name: &'static str,
    pub run: fn(),
}

inventory::collect!(Test);

/// The environment variable that makes a skipped test a failed one, unless it is empty or `0`.
pub const REQUIRE: &str = "BRAID_REQUIRE";

/// What [`skip`] unwinds with.
struct Skipped(String);

/// Ends the running test as ignored for this reason: what is missing and, where there is one, the
/// remedy. It does not return.
///
/// # Panics
///
/// With [`REQUIRE`] set it fails the test. Outside a test of this harness it panics too.
pub fn skip(reason: impl Into<String>) -> ! {
    let reason = reason.into();
    assert!(!required(), "cannot run here, and {REQUIRE} is set: {reason}");
    not_applicable(reason)
}

/// Ends the running test as ignored, with [`REQUIRE`] too: no machine could run it as it was
/// started, such as a test of an own feature against another program.
pub fn not_applicable(reason: impl Into<String>) -> ! {
    // Does not call the panic hook, which would print a backtrace.
    resume_unwind(Box::new(Skipped(reason.into())))
}

/// Whether a test that cannot run must fail.
fn required() -> bool {
    std::env::var_os(REQUIRE).is_some_and(|v| !v.is_empty() && v != "0")
}

/// The `main` of a test program: runs the registered tests as the command line says.
#[macro_export]
macro_rules! main {
    () => {
        fn main() -> std::process::ExitCode {
            $crate::run(None)
        }
    };
    (threads = $n:expr) => {
        fn main() -> std::process::ExitCode {
            $crate::run(Some($n))
        }
    };
}

/// Runs the registered tests; `threads` at a time unless the command line says otherwise.
#[doc(hidden)]
pub fn run(threads: Option<usize>) -> std::process::ExitCode {
    let mut arguments = Arguments::from_args();
    let chosen = std::env::var("RUST_TEST_THREADS").ok().and_then(|n| n.parse().ok());
    arguments.test_threads = arguments.test_threads.or(chosen).or(threads);
    let mut tests: Vec<Trial> = inventory::iter::<Test>.into_iter().map(trial).collect();
    tests.sort_by(|a, b| a.name().cmp(b.name()));
    libtest_mimic::run(&arguments, tests).exit_code()
}

fn trial(test: &'static Test) -> Trial {
    // The first part is the program's own name.
    let module = test.module.split_once("::").map_or("", |(_, rest)| rest);
    let name =
        if module.is_empty() { test.name.into() } else { format!("{module}::{}", test.name) };
    let thread = thread::Builder::new().name(name.clone());
    Trial::ignorable_test(name, move || {
        // A thread of its own: tests change the thread's network namespace, and what they start
        // ends with the thread.
        let running = thread.spawn(test.run).map_err(|e| Failed::from(e.to_string()))?;
        match running.join() {
            Ok(()) => Ok(Completion::Completed),
            Err(payload) => match payload.downcast::<Skipped>() {
                Ok(skipped) => Ok(Completion::ignored_with(skipped.0)),
                Err(payload) => Err(message(&*payload).into()),
            },
        }
    })
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panicked with a value that is no text".to_owned())
}
