//! Values as the engine keeps them.
//!
//! A database of a hundred thousand rows holds millions of values, most of them empty or single:
//! these take no allocation here, and a copy of a row shares the text and the sets of the original.

mod atom;
mod change;
mod datum;
mod parse;

pub use atom::Atom;
pub use change::{Mutator, MutatorArgument};
pub use datum::Datum;
pub use parse::Symbols;
