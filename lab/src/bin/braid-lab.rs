//! `braid-lab`: see [`lab`].

fn main() -> std::process::ExitCode {
    lab::main()
}
