//! `braid-bench`: see [`utilities::bench`].

fn main() -> std::process::ExitCode {
    utilities::bench::main()
}
