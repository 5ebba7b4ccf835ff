//! The language of the command line: options, commands, columns, values.

pub mod command;
pub mod getopt;
pub mod operand;
pub mod text;
pub mod value;
pub mod words;
