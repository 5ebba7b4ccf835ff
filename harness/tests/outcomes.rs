//! Tests of each outcome. The failing one fails only when `reports.rs` asks for it.

harness::main!();

#[harness::test]
fn succeeds() {}

#[harness::test]
fn lacks_something() {
    if std::env::var_os("OUTCOMES").is_some() {
        harness::skip("there is no such device");
    }
}

#[harness::test]
fn fails() {
    assert!(std::env::var_os("OUTCOMES").is_none(), "as it was told to");
}
