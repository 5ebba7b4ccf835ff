//! Conditions (RFC 7047, section 5.1 `<condition>`): `where` of operations and of monitors.

use std::collections::{BTreeMap, HashSet};

use foldhash::fast::FixedState;
use ovsdb::condition::Function;
use ovsdb::schema::AtomicType;

use crate::error::{Error, Result};
use crate::json::Json;
use crate::schema::{COL_UUID, TableSchema, Type};
use crate::value::{Datum, Symbols};
use ovsdb::Uuid;

/// One clause.
#[derive(Debug, Clone, PartialEq)]
enum Clause {
    Constant(bool),
    Compare { column: usize, function: Function, name: &'static str, argument: Datum },
}

/// Clauses, in an order of their own so that equal conditions are equal.
#[derive(Debug, Clone, Default)]
pub struct Condition {
    clauses: Vec<Clause>,
    /// The arguments by column, if there are many clauses and all of them are `==`.
    equal: BTreeMap<usize, HashSet<Datum, FixedState>>,
}

/// Fewer clauses than this are faster looked at one by one.
const MANY: usize = 8;

const FUNCTIONS: [(&str, Function); 8] = [
    ("==", Function::Equal),
    ("<", Function::Less),
    ("<=", Function::LessOrEqual),
    (">", Function::Greater),
    (">=", Function::GreaterOrEqual),
    ("includes", Function::Includes),
    ("!=", Function::NotEqual),
    ("excludes", Function::Excludes),
];

impl Clause {
    fn from_json(
        table: &TableSchema,
        json: &Json<'_>,
        symbols: Option<&mut Symbols<'_>>,
    ) -> Result<Clause> {
        if let Json::Bool(constant) = json {
            return Ok(Clause::Constant(*constant));
        }
        let Some([Json::String(column), Json::String(function), argument]) = json.as_array() else {
            return Err(Error::syntax(json, "Parse error in condition."));
        };
        let Some(at) = table.column(column) else {
            let details = format!("No column {column} in table {}.", table.name);
            return Err(Error::tagged(json, "unknown column", details));
        };
        let Some((name, function)) = FUNCTIONS.iter().find(|(name, _)| name == function) else {
            return Err(Error::new("unknown function", format!("No function named {function}.")));
        };
        let known = &table.columns[at].ty;
        let mut ty = known.clone();
        match function {
            Function::Less
            | Function::LessOrEqual
            | Function::GreaterOrEqual
            | Function::Greater => {
                let number = matches!(ty.key.kind, AtomicType::Integer | AtomicType::Real);
                if !number || !(ty.is_scalar() || ty.is_optional_scalar()) {
                    return Err(Error::syntax(
                        json,
                        format!(
                            "Type mismatch: \"{name}\" operator may not be applied to column \
                             {column} of type {}.",
                            ty.english()
                        ),
                    ));
                }
                // An absent value is not comparable, but the argument must be there.
                ty.min = 1;
            }
            Function::Equal | Function::NotEqual => {}
            Function::Includes if known.is_scalar() => {}
            Function::Includes => ty.min = 0,
            Function::Excludes if known.is_scalar() => {}
            Function::Excludes => ty = Type { min: 0, max: u32::MAX, ..ty },
        }
        let argument = Datum::from_json(&ty, argument, symbols)?;
        Ok(Clause::Compare { column: at, function: *function, name, argument })
    }

    fn holds(&self, row: &[Datum]) -> bool {
        let (column, function, argument) = match self {
            Clause::Constant(constant) => return *constant,
            Clause::Compare { column, function, argument, .. } => (*column, *function, argument),
        };
        let value = &row[column];
        // Only single numbers come here with an order; an absent one is neither less nor greater.
        let order = || Some(value.single()?.cmp(argument.single()?));
        match function {
            Function::Less => order().is_some_and(|order| order.is_lt()),
            Function::LessOrEqual => order().is_some_and(|order| order.is_le()),
            Function::GreaterOrEqual => order().is_some_and(|order| order.is_ge()),
            Function::Greater => order().is_some_and(|order| order.is_gt()),
            Function::Equal => value == argument,
            Function::NotEqual => value != argument,
            Function::Includes => argument.is_within(value),
            Function::Excludes => argument.is_apart_from(value),
        }
    }

    /// What clauses are sorted by; the cheapest to look up comes first.
    fn key(&self) -> (usize, usize, Option<&Datum>) {
        match self {
            Clause::Constant(constant) => (usize::from(!constant), 0, None),
            Clause::Compare { column, name, argument, .. } => {
                let function = FUNCTIONS.iter().position(|(known, _)| known == name);
                (2 + function.unwrap_or(0), *column, Some(argument))
            }
        }
    }
}

impl Condition {
    /// From a JSON array.
    ///
    /// # Errors
    ///
    /// If a clause has another form, names an unknown column or function, or does not fit.
    pub fn from_json(
        table: &TableSchema,
        json: &Json<'_>,
        mut symbols: Option<&mut Symbols<'_>>,
    ) -> Result<Condition> {
        let mut clauses = Vec::new();
        for clause in json.as_array().unwrap_or_default() {
            clauses.push(Clause::from_json(table, clause, symbols.as_deref_mut())?);
        }
        Ok(Condition::new(clauses))
    }

    fn new(mut clauses: Vec<Clause>) -> Condition {
        clauses.sort_by(|a, b| a.key().cmp(&b.key()));
        clauses.dedup();
        let mut condition = Condition { clauses, equal: BTreeMap::new() };
        if condition.clauses.len() >= MANY {
            let mut equal: BTreeMap<usize, HashSet<Datum, FixedState>> = BTreeMap::new();
            for clause in &condition.clauses {
                let Clause::Compare { column, function: Function::Equal, argument, .. } = clause
                else {
                    return condition;
                };
                equal.entry(*column).or_default().insert(argument.clone());
            }
            condition.equal = equal;
        }
        condition
    }

    /// True if it has no clause.
    pub fn is_empty(&self) -> bool {
        self.clauses.is_empty()
    }

    /// True if any row meets one of its clauses, or there is none: a monitor's condition that
    /// lets everything through.
    pub fn is_true(&self) -> bool {
        self.is_empty() || self.clauses.contains(&Clause::Constant(true))
    }

    /// True if a row meets every clause: the condition of an operation.
    pub fn holds(&self, row: &[Datum]) -> bool {
        self.clauses.iter().all(|clause| clause.holds(row))
    }

    /// True if a row meets one of the clauses or there is none: the condition of a monitor.
    pub fn lets_through(&self, row: &[Datum]) -> bool {
        if !self.equal.is_empty() {
            return self.equal.iter().any(|(column, values)| values.contains(&row[*column]));
        }
        self.is_empty() || self.clauses.iter().any(|clause| clause.holds(row))
    }

    /// The identifier that every row that meets all clauses has, if one clause asks for it.
    pub fn wanted_id(&self) -> Option<Uuid> {
        self.wanted(COL_UUID)?.single()?.id()
    }

    /// A column, and the value that every row that meets all clauses has in it.
    pub fn any_wanted(&self) -> Option<(usize, &Datum)> {
        self.clauses.iter().find_map(|clause| match clause {
            Clause::Compare { column, function: Function::Equal, argument, .. } => {
                Some((*column, argument))
            }
            Clause::Compare { .. } | Clause::Constant(_) => None,
        })
    }

    /// True if it looks at a column.
    pub fn reads(&self, wanted: usize) -> bool {
        self.clauses.iter().any(|clause| match clause {
            Clause::Compare { column, .. } => *column == wanted,
            Clause::Constant(_) => false,
        })
    }

    /// The value that every row that meets all clauses has in a column.
    pub fn wanted(&self, wanted: usize) -> Option<&Datum> {
        self.clauses.iter().find_map(|clause| match clause {
            Clause::Compare { column, function: Function::Equal, argument, .. } => {
                (*column == wanted).then_some(argument)
            }
            Clause::Compare { .. } | Clause::Constant(_) => None,
        })
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Condition) -> bool {
        self.clauses == other.clauses
    }
}
