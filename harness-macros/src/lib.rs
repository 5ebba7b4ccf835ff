//! The attribute of the crate `harness`, which re-exports and documents it.

use proc_macro::{TokenStream, TokenTree};

/// Registers a function without arguments as a test of a program whose `main` is `harness::main!`.
#[proc_macro_attribute]
pub fn test(_arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut tokens = item.clone().into_iter();
    let after_fn = tokens
        .find(|t| matches!(t, TokenTree::Ident(i) if i.to_string() == "fn"))
        .and_then(|_| tokens.next());
    let Some(TokenTree::Ident(name)) = after_fn else {
        return "compile_error!(\"#[harness::test] belongs on a function\");".parse().unwrap();
    };
    let registration = format!(
        "::harness::inventory::submit! {{ \
         ::harness::Test {{ module: module_path!(), name: \"{name}\", run: {name} }} }}"
    );
    let mut out = item;
    out.extend(registration.parse::<TokenStream>().unwrap());
    out
}
