//! Conditions: the clauses of `where` (RFC 7047, section 5.1 `<condition>`).

use serde_json::Value;

use crate::atom::syntax;
use crate::schema::{AtomicType, ColumnType, TableSchema};
use crate::uuid::Uuid;
use crate::value::{Atom, Datum, ValueError};

/// How a column is compared with the argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// `<`: numbers only, as the next three.
    Less,
    /// `<=`.
    LessOrEqual,
    /// `==`.
    Equal,
    /// `!=`.
    NotEqual,
    /// `>=`.
    GreaterOrEqual,
    /// `>`.
    Greater,
    /// Everything in the argument is in the column.
    Includes,
    /// Nothing in the argument is in the column.
    Excludes,
}

impl Function {
    const ALL: [(&'static str, Function); 8] = [
        ("<", Function::Less),
        ("<=", Function::LessOrEqual),
        ("==", Function::Equal),
        ("!=", Function::NotEqual),
        (">=", Function::GreaterOrEqual),
        (">", Function::Greater),
        ("includes", Function::Includes),
        ("excludes", Function::Excludes),
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Function::Less => "<",
            Function::LessOrEqual => "<=",
            Function::Equal => "==",
            Function::NotEqual => "!=",
            Function::GreaterOrEqual => ">=",
            Function::Greater => ">",
            Function::Includes => "includes",
            Function::Excludes => "excludes",
        }
    }

    /// The function of this name.
    pub fn from_name(name: &str) -> Option<Function> {
        Function::ALL.iter().find(|(known, _)| *known == name).map(|(_, function)| *function)
    }
}

/// One clause.
#[derive(Debug, Clone, PartialEq)]
pub enum Clause {
    /// Always true or always false (an extension for monitors).
    Constant(bool),
    /// Compares a column.
    Compare {
        /// The column's name; `_uuid` and `_version` included.
        column: String,
        /// How.
        function: Function,
        /// With what.
        argument: Datum,
    },
}

/// The type of a column, the two that every table has included.
fn column_type<'a>(
    table: &'a TableSchema,
    name: &str,
    own: &'a ColumnType,
) -> Option<&'a ColumnType> {
    match name {
        "_uuid" | "_version" => Some(own),
        name => table.columns.get(name).map(|column| &column.column_type),
    }
}

/// The type of `_uuid` and `_version`.
fn uuid_column() -> ColumnType {
    let key = crate::schema::BaseType::plain(AtomicType::Uuid);
    ColumnType { key, value: None, min: 1, max: 1 }
}

impl Clause {
    /// From JSON, checked against the table.
    ///
    /// # Errors
    ///
    /// [`ValueError`] if the form is wrong, the column is unknown or the function does not apply.
    pub fn from_json(table: &TableSchema, json: &Value) -> Result<Clause, ValueError> {
        if let Value::Bool(constant) = json {
            return Ok(Clause::Constant(*constant));
        }
        let Some([Value::String(column), Value::String(name), argument]) =
            json.as_array().map(Vec::as_slice)
        else {
            return Err(syntax(json, "[column, function, value], true or false"));
        };
        let own = uuid_column();
        let Some(known) = column_type(table, column, &own) else {
            return Err(ValueError::Constraint(format!("no column {column}")));
        };
        let Some(function) = Function::from_name(name) else {
            return Err(syntax(
                &Value::String(name.clone()),
                "\"<\", \"<=\", \"==\", \"!=\", \">=\", \">\", \"includes\" or \"excludes\"",
            ));
        };
        let mut relaxed = known.clone();
        match function {
            Function::Less
            | Function::LessOrEqual
            | Function::GreaterOrEqual
            | Function::Greater => {
                let number = matches!(known.key.kind, AtomicType::Integer | AtomicType::Real);
                if !number || !(known.is_scalar() || known.is_optional_scalar()) {
                    return Err(ValueError::Constraint(format!(
                        "\"{name}\" does not apply to column {column}: only to single numbers"
                    )));
                }
                // An absent column is not comparable, but the argument must be there.
                relaxed.min = 1;
            }
            Function::Equal | Function::NotEqual => {}
            Function::Includes if known.is_scalar() => {}
            Function::Includes => relaxed.min = 0,
            Function::Excludes if known.is_scalar() => {}
            Function::Excludes => {
                relaxed.min = 0;
                relaxed.max = u32::MAX;
            }
        }
        let argument = Datum::from_json(&relaxed, argument)?;
        Ok(Clause::Compare { column: column.clone(), function, argument })
    }

    /// Whether a row meets the clause. `value_of` gives a column's value by name; a column it does
    /// not know does not meet any comparison.
    pub fn matches<'a>(&self, value_of: impl Fn(&str) -> Option<&'a Datum>) -> bool {
        match self {
            Clause::Constant(constant) => *constant,
            Clause::Compare { column, function, argument } => {
                value_of(column).is_some_and(|value| compare(value, *function, argument))
            }
        }
    }

    /// The UUID that a clause `["_uuid", "==", …]` asks for, by which a row is found at once.
    pub fn wanted_uuid(&self) -> Option<Uuid> {
        match self {
            Clause::Compare { column, function: Function::Equal, argument: Datum::Set(set) }
                if column == "_uuid" =>
            {
                match set.first() {
                    Some(Atom::Uuid(uuid)) => Some(*uuid),
                    _ => None,
                }
            }
            Clause::Compare { .. } | Clause::Constant(_) => None,
        }
    }
}

fn compare(value: &Datum, function: Function, argument: &Datum) -> bool {
    // Only single numbers come here with an order; an absent one is neither less nor greater.
    let ordering = match (value, argument) {
        (Datum::Set(a), Datum::Set(b)) => match (a.first(), b.first()) {
            (Some(a), Some(b)) => Some(a.cmp(b)),
            _ => None,
        },
        (Datum::Map(_), _) | (_, Datum::Map(_)) => None,
    };
    match function {
        Function::Less => ordering.is_some_and(|order| order.is_lt()),
        Function::LessOrEqual => ordering.is_some_and(|order| order.is_le()),
        Function::GreaterOrEqual => ordering.is_some_and(|order| order.is_ge()),
        Function::Greater => ordering.is_some_and(|order| order.is_gt()),
        Function::Equal => value == argument,
        Function::NotEqual => value != argument,
        Function::Includes => match (value, argument) {
            (Datum::Set(value), Datum::Set(argument)) => argument.is_subset(value),
            (Datum::Map(value), Datum::Map(argument)) => {
                argument.iter().all(|(k, v)| value.get(k) == Some(v))
            }
            (Datum::Set(_), Datum::Map(_)) | (Datum::Map(_), Datum::Set(_)) => false,
        },
        Function::Excludes => match (value, argument) {
            (Datum::Set(value), Datum::Set(argument)) => argument.is_disjoint(value),
            (Datum::Map(value), Datum::Map(argument)) => {
                argument.iter().all(|(k, v)| value.get(k) != Some(v))
            }
            (Datum::Set(_), Datum::Map(_)) | (Datum::Map(_), Datum::Set(_)) => true,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::DatabaseSchema;

    const SCHEMA: &str = r#"{"name":"db","tables":{"T":{"columns":{
        "i":{"type":"integer"},
        "o":{"type":{"key":"integer","min":0,"max":1}},
        "s":{"type":{"key":"string","min":0,"max":"unlimited"}},
        "m":{"type":{"key":"string","value":"string","min":0,"max":"unlimited"}}}}}}"#;

    fn holds(column: &str, value: &str, clause: &str) -> bool {
        let schema = DatabaseSchema::parse(SCHEMA).unwrap();
        let table = &schema.tables["T"];
        let json = |text: &str| serde_json::from_str(text).unwrap();
        let value = Datum::from_json(&table.columns[column].column_type, &json(value)).unwrap();
        let clause = Clause::from_json(table, &json(clause)).unwrap();
        clause.matches(|name| (name == column).then_some(&value))
    }

    #[test]
    fn each_function_compares() {
        for (column, value, clause, expected) in [
            ("i", "3", r#"["i","<",4]"#, true),
            ("i", "4", r#"["i","<",4]"#, false),
            ("i", "4", r#"["i","<=",4]"#, true),
            ("i", "4", r#"["i",">",4]"#, false),
            ("i", "4", r#"["i",">=",4]"#, true),
            ("i", "4", r#"["i","==",4]"#, true),
            ("i", "4", r#"["i","!=",4]"#, false),
            ("o", r#"["set",[]]"#, r#"["o","<",4]"#, false),
            ("o", r#"["set",[]]"#, r#"["o",">=",4]"#, false),
            ("o", r#"["set",[]]"#, r#"["o","==",["set",[]]]"#, true),
            ("s", r#"["set",["a","b"]]"#, r#"["s","includes","a"]"#, true),
            ("s", r#"["set",["a","b"]]"#, r#"["s","includes",["set",["a","c"]]]"#, false),
            ("s", r#"["set",["a","b"]]"#, r#"["s","excludes","c"]"#, true),
            ("s", r#"["set",["a","b"]]"#, r#"["s","excludes",["set",["a","c"]]]"#, false),
            ("m", r#"["map",[["k","v"]]]"#, r#"["m","includes",["map",[["k","v"]]]]"#, true),
            ("m", r#"["map",[["k","v"]]]"#, r#"["m","includes",["map",[["k","w"]]]]"#, false),
            ("m", r#"["map",[["k","v"]]]"#, r#"["m","excludes",["map",[["k","w"]]]]"#, true),
            ("i", "4", "true", true),
            ("i", "4", "false", false),
        ] {
            assert_eq!(holds(column, value, clause), expected, "{value} {clause}");
        }
    }

    #[test]
    fn wrong_clauses_are_refused() {
        let schema = DatabaseSchema::parse(SCHEMA).unwrap();
        for bad in [
            "7",
            r#"["i","=="]"#,
            r#"["gone","==",1]"#,
            r#"["i","~",1]"#,
            r#"["s","<","a"]"#,
            r#"["i","==","a"]"#,
            r#"["o","<",["set",[]]]"#,
        ] {
            let json = serde_json::from_str(bad).unwrap();
            assert!(Clause::from_json(&schema.tables["T"], &json).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_row_can_be_found_by_its_uuid() {
        let schema = DatabaseSchema::parse(SCHEMA).unwrap();
        let json = serde_json::json!(["_uuid", "==", ["uuid", Uuid::from_u128(9).to_string()]]);
        let clause = Clause::from_json(&schema.tables["T"], &json).unwrap();
        assert_eq!(clause.wanted_uuid(), Some(Uuid::from_u128(9)));
    }
}
