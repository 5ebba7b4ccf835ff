//! `braid-import`: see [`import`].

fn main() -> std::process::ExitCode {
    import::main()
}
