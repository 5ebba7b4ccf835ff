//! The key-value pairs of log lines about a connection.

use runtime::log::slog::{self, KV, Record, Serializer};

/// The name of a connection in log lines, `BRIDGE<->TARGET`, as the pairs `bridge` and `target`. The
/// target of a connection that was accepted is the peer's name.
#[derive(Clone, Copy)]
pub(crate) struct Ends<'a>(pub(crate) &'a str);

impl KV for Ends<'_> {
    fn serialize(&self, _: &Record<'_>, to: &mut dyn Serializer) -> slog::Result {
        let (bridge, target) = self.0.split_once("<->").unwrap_or(("", self.0));
        to.emit_str("bridge", bridge)?;
        to.emit_str("target", target)
    }
}
