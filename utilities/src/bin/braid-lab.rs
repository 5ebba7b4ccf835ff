//! `braid-lab`: see [`utilities::lab`].

fn main() -> std::process::ExitCode {
    utilities::lab::main()
}
