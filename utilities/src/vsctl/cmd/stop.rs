//! How a command ends before its work is done.

use crate::vsctl::grammar::operand::OperandError;
use crate::vsctl::grammar::words::NameError;

/// Why a command does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The program ends with this text and status 1.
    Fatal {
        /// What is wrong.
        text: String,
        /// The nearest known word.
        nearest: Option<String>,
    },
    /// The program ends with this status and says nothing.
    Exit(u8),
    /// Something must change in the database first.
    Wait,
}

impl Stop {
    /// A text to end with.
    pub fn fatal<T>(text: impl Into<String>) -> Result<T, Stop> {
        Err(Stop::from(text.into()))
    }
}

impl From<String> for Stop {
    fn from(text: String) -> Stop {
        Stop::Fatal { text, nearest: None }
    }
}

impl From<NameError> for Stop {
    fn from(error: NameError) -> Stop {
        Stop::Fatal { text: error.text, nearest: error.nearest }
    }
}

impl From<OperandError> for Stop {
    fn from(error: OperandError) -> Stop {
        match error {
            OperandError::Name(error) => error.into(),
            OperandError::Form(text) => text.into(),
        }
    }
}

/// A command's result.
pub type Done = Result<(), Stop>;
