//! The commands, by topic.

mod attach;
mod bond;
mod bridge;
mod change;
mod condition;
mod context;
mod controller;
mod database;
mod lines;
mod lookup;
mod manager;
mod port;
mod record;
mod reset;
mod show;
mod ssl;
mod stop;
mod symbols;
mod table;
mod topology;
mod zone;

pub use context::{Before, Context};
pub use record::{ROW_NAMES, RowName};
pub use stop::{Done, Stop};
pub use symbols::fresh_uuid;
pub use table::{COMMANDS, Entry};
