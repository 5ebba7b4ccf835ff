//! Conditions on a column: `column[:key] OPERATOR value`.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use ovsdb::schema::ColumnType;
use ovsdb::{Atom, Datum};

use super::{Context, Stop};
use crate::vsctl::db::RowId;
use crate::vsctl::grammar::operand;
use crate::vsctl::grammar::value;
use crate::vsctl::grammar::words::Table;

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compare {
    Equal,
    NotEqual,
    Less,
    Greater,
    LessOrEqual,
    GreaterOrEqual,
    ProperSubset,
    ProperSuperset,
    Subset,
    Superset,
    Disjoint,
}

/// Operators, how they compare, and whether they take a missing key for an empty set.
const OPERATORS: &[(&str, Compare, bool)] = &[
    ("=", Compare::Equal, false),
    ("!=", Compare::NotEqual, false),
    ("<", Compare::Less, false),
    (">", Compare::Greater, false),
    ("<=", Compare::LessOrEqual, false),
    (">=", Compare::GreaterOrEqual, false),
    ("{=}", Compare::Equal, true),
    ("{!=}", Compare::NotEqual, true),
    ("{<}", Compare::ProperSubset, true),
    ("{>}", Compare::ProperSuperset, true),
    ("{<=}", Compare::Subset, true),
    ("{>=}", Compare::Superset, true),
    ("{in}", Compare::Subset, true),
    ("{not-in}", Compare::Disjoint, true),
];

/// The order of whole values: the smaller number of elements first, then element by element, keys
/// before values.
fn order(a: &Datum, b: &Datum) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| match (a, b) {
        (Datum::Set(a), Datum::Set(b)) => a.cmp(b),
        (Datum::Map(a), Datum::Map(b)) => {
            a.keys().cmp(b.keys()).then_with(|| a.values().cmp(b.values()))
        }
        (Datum::Set(_), Datum::Map(_)) => Ordering::Less,
        (Datum::Map(_), Datum::Set(_)) => Ordering::Greater,
    })
}

fn is_subset(a: &Datum, b: &Datum) -> bool {
    match (a, b) {
        (Datum::Set(a), Datum::Set(b)) => a.is_subset(b),
        (Datum::Map(a), Datum::Map(b)) => a.iter().all(|(key, value)| b.get(key) == Some(value)),
        (Datum::Set(_), Datum::Map(_)) | (Datum::Map(_), Datum::Set(_)) => false,
    }
}

fn is_disjoint(a: &Datum, b: &Datum) -> bool {
    match (a, b) {
        (Datum::Set(a), Datum::Set(b)) => a.is_disjoint(b),
        (Datum::Map(a), Datum::Map(b)) => a.iter().all(|(key, value)| b.get(key) != Some(value)),
        (Datum::Set(_), Datum::Map(_)) | (Datum::Map(_), Datum::Set(_)) => true,
    }
}

fn holds(a: &Datum, compare: Compare, b: &Datum) -> bool {
    match compare {
        Compare::Equal => a == b,
        Compare::NotEqual => a != b,
        Compare::Less => order(a, b) == Ordering::Less,
        Compare::Greater => order(a, b) == Ordering::Greater,
        Compare::LessOrEqual => order(a, b) != Ordering::Greater,
        Compare::GreaterOrEqual => order(a, b) != Ordering::Less,
        Compare::ProperSubset => a.len() < b.len() && is_subset(a, b),
        Compare::ProperSuperset => a.len() > b.len() && is_subset(b, a),
        Compare::Subset => is_subset(a, b),
        Compare::Superset => is_subset(b, a),
        Compare::Disjoint => is_disjoint(a, b),
    }
}

impl<'s> Context<'s, '_> {
    /// True if a row meets a condition.
    ///
    /// # Errors
    ///
    /// The condition is none.
    pub fn meets(
        &mut self,
        table: Table<'s>,
        row: RowId<'s>,
        condition: &str,
    ) -> Result<bool, Stop> {
        let words: Vec<&str> = OPERATORS.iter().map(|(word, _, _)| *word).collect();
        let (operand, at, text) = operand::with_value(condition, table, &words)?;
        let (_, compare, missing_is_empty) = OPERATORS[at];
        let column = operand.column;
        let kind = &column.schema.column_type;
        let Some(key) = &operand.key else {
            let wanted = value::datum(kind, text, &mut self.symbols)?;
            return Ok(holds(&self.txn.read(row, column.name), compare, &wanted));
        };
        let Some(value_type) = &kind.value else {
            let name = column.name;
            return Stop::fatal(format!("cannot specify key to check for non-map column {name}"));
        };
        let key = value::atom(&kind.key, key, &mut self.symbols)?;
        let set = ColumnType { key: value_type.clone(), value: None, min: kind.min, max: u32::MAX };
        let wanted = value::datum(&set, text, &mut self.symbols)?;
        let have: BTreeSet<Atom> = match &*self.txn.read(row, column.name) {
            Datum::Map(map) => map.get(&key).cloned().into_iter().collect(),
            Datum::Set(_) => BTreeSet::new(),
        };
        if have.is_empty() && !missing_is_empty {
            return Ok(false);
        }
        Ok(holds(&Datum::Set(have), compare, &wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(numbers: &[i64]) -> Datum {
        Datum::Set(numbers.iter().copied().map(Atom::Integer).collect())
    }

    #[test]
    fn order_is_by_number_first() {
        assert_eq!(order(&set(&[9]), &set(&[1, 2])), Ordering::Less);
        assert_eq!(order(&set(&[0, 2]), &set(&[0, 1])), Ordering::Greater);
        assert!(holds(&set(&[1]), Compare::ProperSubset, &set(&[1, 2])));
        assert!(!holds(&set(&[1, 2]), Compare::ProperSubset, &set(&[1, 2])));
        assert!(holds(&set(&[]), Compare::Disjoint, &set(&[])));
        let map = |pairs: &[(i64, i64)]| {
            Datum::Map(pairs.iter().map(|(k, v)| (Atom::Integer(*k), Atom::Integer(*v))).collect())
        };
        assert!(holds(&map(&[(1, 1)]), Compare::Subset, &map(&[(1, 1), (2, 2)])));
        assert!(!holds(&map(&[(1, 3)]), Compare::Subset, &map(&[(1, 1), (2, 2)])));
        assert_eq!(order(&map(&[(1, 3)]), &map(&[(1, 1)])), Ordering::Greater);
    }
}
