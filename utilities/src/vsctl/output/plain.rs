//! `--format=table`. Widths are counted in bytes, as upstream counts them.

use super::Style;

pub(super) fn push(out: &mut String, headings: &[&str], rows: &[Vec<String>], style: &Style) {
    let widths: Vec<usize> = (headings.iter().enumerate())
        .map(|(at, heading)| {
            let widest = rows.iter().filter_map(|row| row.get(at)).map(String::len).max();
            let mut width = widest.unwrap_or(0);
            if style.max_width > 0 {
                width = width.min(style.max_width);
            }
            if style.headings { width.max(heading.len()) } else { width }
        })
        .collect();
    if style.headings {
        push_line(out, headings, &widths);
        let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
        push_line(out, &rules, &widths);
    }
    rows.iter().for_each(|row| push_line(out, row, &widths));
}

fn push_line<S: AsRef<str>>(out: &mut String, cells: &[S], widths: &[usize]) {
    let begin = out.len();
    for (at, (text, width)) in cells.iter().map(AsRef::as_ref).zip(widths).enumerate() {
        if at > 0 {
            out.push(' ');
        }
        let cut = (0..=text.len().min(*width)).rev().find(|end| text.is_char_boundary(*end));
        let shown = &text[..cut.unwrap_or(0)];
        out.push_str(shown);
        out.extend(std::iter::repeat_n(' ', width - shown.len()));
    }
    let kept = out.trim_end_matches(' ').len().max(begin);
    out.truncate(kept);
    out.push('\n');
}
