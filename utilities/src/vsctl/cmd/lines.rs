//! Output of one word a line.

use std::collections::BTreeSet;

/// One line for each word, sorted.
pub(super) fn push_sorted(out: &mut String, words: impl Iterator<Item = String>) {
    let mut sorted: Vec<String> = words.collect();
    sorted.sort_unstable();
    for word in sorted {
        out.push_str(&word);
        out.push('\n');
    }
}

/// One line for each of the words that differ, sorted.
pub(super) fn push_unique(out: &mut String, words: impl Iterator<Item = String>) {
    push_sorted(out, words.collect::<BTreeSet<String>>().into_iter());
}
