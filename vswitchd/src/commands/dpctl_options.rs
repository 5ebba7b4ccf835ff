//! The options of `dpctl/*` commands.

/// Options before the other arguments, as every `dpctl/*` command takes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// `-m`: also what a flow does not look at.
    pub more: bool,
    /// Ports by name; unless said otherwise, with `-m`.
    pub names: bool,
    /// `-s`: counters of what is changed.
    pub statistics: bool,
    /// `mod-flow`: make the flow if it is not there.
    pub may_create: bool,
    /// `mod-flow`: counters begin at 0.
    pub clear: bool,
}

/// The options, and what follows them.
///
/// # Errors
///
/// Names an option that is not known.
pub(super) fn options(args: &[String]) -> Result<(Options, &[String]), String> {
    let (mut o, mut names, mut rest) = (Options::default(), None, args);
    while let Some((arg, more)) = rest.split_first() {
        match arg.as_str() {
            "--statistics" => o.statistics = true,
            "--clear" => o.clear = true,
            "--may-create" => o.may_create = true,
            "--more" => o.more = true,
            "--names" => names = Some(true),
            "--no-names" => names = Some(false),
            long if long.starts_with("--") => return Err(format!("Unrecognized option {long}")),
            short if short.starts_with('-') && short.len() > 1 => {
                for c in short[1..].chars() {
                    match c {
                        'm' => o.more = true,
                        's' => o.statistics = true,
                        c => return Err(format!("Unrecognized option -{c}")),
                    }
                }
            }
            _ => break,
        }
        rest = more;
    }
    o.names = names.unwrap_or(o.more);
    Ok((o, rest))
}
