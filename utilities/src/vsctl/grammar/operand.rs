//! Operands: `column[:key]`, with or without `=value` or a condition.

use super::value::token;
use super::words::{Column, NameError, Table};

/// Why an operand is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperandError {
    /// The column is not known.
    #[error(transparent)]
    Name(#[from] NameError),
    /// It has another form.
    #[error("{0}")]
    Form(String),
}

/// A column and perhaps a key.
#[derive(Debug, Clone)]
pub struct Operand<'s> {
    /// The column.
    pub column: Column<'s>,
    /// The key as it was typed.
    pub key: Option<String>,
}

/// The column that an operand begins with.
///
/// # Errors
///
/// [`OperandError`].
pub fn column<'s>(text: &str, table: Table<'s>) -> Result<Column<'s>, OperandError> {
    let (name, _) = token(text).map_err(OperandError::Form)?;
    if name.is_empty() {
        return Err(OperandError::Form(format!("{text}: missing column name")));
    }
    Ok(table.column(&name)?)
}

fn head<'s, 't>(text: &'t str, table: Table<'s>) -> Result<(Operand<'s>, &'t str), OperandError> {
    let column = column(text, table)?;
    let (_, rest) = token(text).map_err(OperandError::Form)?;
    match rest.strip_prefix(':') {
        None => Ok((Operand { column, key: None }, rest)),
        Some(rest) => {
            let (key, rest) = token(rest).map_err(OperandError::Form)?;
            Ok((Operand { column, key: Some(key) }, rest))
        }
    }
}

/// `column[:key]` and nothing after it.
///
/// # Errors
///
/// [`OperandError`].
pub fn name<'s>(text: &str, table: Table<'s>) -> Result<Operand<'s>, OperandError> {
    match head(text, table)? {
        (operand, "") => Ok(operand),
        (_, rest) => {
            Err(OperandError::Form(format!("{text}: trailing garbage \"{rest}\" in argument")))
        }
    }
}

/// `column[:key]`, an operator of `allowed`, and a value. Gives the operator's place in `allowed`.
///
/// # Errors
///
/// [`OperandError`].
pub fn with_value<'s, 't>(
    text: &'t str,
    table: Table<'s>,
    allowed: &[&str],
) -> Result<(Operand<'s>, usize, &'t str), OperandError> {
    let (operand, rest) = head(text, table)?;
    let longest = allowed
        .iter()
        .enumerate()
        .filter(|(_, operator)| rest.starts_with(**operator) && rest.len() > operator.len())
        .max_by_key(|(_, operator)| operator.len());
    match longest {
        Some((at, operator)) => Ok((operand, at, &rest[operator.len()..])),
        None => {
            let quoted: Vec<String> =
                allowed.iter().map(|operator| format!("\"{operator}\"")).collect();
            let list = match quoted.as_slice() {
                [] => String::new(),
                [one] => one.clone(),
                [one, two] => format!("{one} or {two}"),
                [most @ .., last] => format!("{}, or {last}", most.join(", ")),
            };
            Err(OperandError::Form(format!(
                "{text}: argument does not end in {list} followed by a value."
            )))
        }
    }
}
