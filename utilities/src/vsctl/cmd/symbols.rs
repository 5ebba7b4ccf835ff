//! Names of rows that a command line itself creates: `--id=@name`.

use std::collections::BTreeMap;
use std::io::Read;

use ovsdb::Uuid;
use ovsdb::schema::{BaseType, RefType};

use crate::vsctl::console::Console;
use crate::vsctl::grammar::value;

/// A name.
#[derive(Debug, Clone, Copy)]
pub struct Symbol {
    /// Its row.
    pub uuid: Uuid,
    /// Some command has created or found the row.
    pub created: bool,
    /// It is used where it keeps the row alive.
    pub strong: bool,
    /// It is used where it does not.
    pub weak: bool,
}

/// All names of a command line.
#[derive(Debug, Default)]
pub struct SymbolTable(BTreeMap<String, Symbol>);

/// A fresh UUID.
///
/// # Errors
///
/// The system gives no random numbers.
pub fn fresh_uuid() -> Result<Uuid, String> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|error| format!("/dev/urandom: {}", posix::text(error)))?;
    Ok(Uuid::from_random(u128::from_ne_bytes(bytes)))
}

impl SymbolTable {
    fn entry(&mut self, name: &str) -> Result<&mut Symbol, String> {
        if !self.0.contains_key(name) {
            let symbol = Symbol { uuid: fresh_uuid()?, created: false, strong: false, weak: false };
            self.0.insert(name.to_owned(), symbol);
        }
        self.0.get_mut(name).ok_or_else(|| format!("row id \"{name}\" is lost"))
    }

    /// Takes a name for a row that is created or found. The second value tells whether nothing
    /// has used the name yet.
    ///
    /// # Errors
    ///
    /// It has another form, or is taken.
    pub fn define(&mut self, name: &str) -> Result<(&mut Symbol, bool), String> {
        if !name.starts_with('@') {
            return Err(format!("row id \"{name}\" does not begin with \"@\""));
        }
        let new = !self.0.contains_key(name);
        let symbol = self.entry(name)?;
        if symbol.created {
            return Err(format!("row id \"{name}\" may only be specified on one --id option"));
        }
        symbol.created = true;
        Ok((symbol, new))
    }

    /// Checks after all commands that every name is a row's, and warns of rows that nothing keeps.
    ///
    /// # Errors
    ///
    /// A name that no command defined.
    pub fn check(&self, console: &mut Console) -> Result<(), String> {
        for (name, symbol) in &self.0 {
            if !symbol.created {
                return Err(format!(
                    "row id \"{name}\" is referenced but never created \
                     (e.g. with \"-- --id={name} create ...\")"
                ));
            }
            let what = match (symbol.strong, symbol.weak) {
                (true, _) => continue,
                (false, false) => "no reference to it was inserted",
                (false, true) => "only a weak reference to it was inserted",
            };
            console.warn(
                "vsctl",
                &format!(
                    "row id \"{name}\" was created but {what}, so it will not actually appear in \
                     the database"
                ),
            );
        }
        Ok(())
    }
}

impl value::Symbols for SymbolTable {
    fn refer(&mut self, name: &str, base: &BaseType) -> Result<Uuid, String> {
        let symbol = self.entry(name)?;
        match &base.refers_to {
            Some((_, RefType::Strong)) => symbol.strong = true,
            Some((_, RefType::Weak)) => symbol.weak = true,
            None => {}
        }
        Ok(symbol.uuid)
    }
}
