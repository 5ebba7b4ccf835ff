//! `braid-bench`: see [`lab::bench`].

fn main() -> std::process::ExitCode {
    lab::bench::main()
}
