//! `--format=json`, on one line or over several.

use ovsdb::Datum;
use ovsdb::value::push_json_string;
use serde_json::Value;

use super::Style;

pub(super) fn push(out: &mut String, headings: &[&str], rows: &[Vec<Datum>], style: &Style) {
    let mut line = String::from("{\"data\":[");
    for (at, row) in rows.iter().enumerate() {
        line.push_str(if at > 0 { ",[" } else { "[" });
        for (at, cell) in row.iter().enumerate() {
            if at > 0 {
                line.push(',');
            }
            cell.push_json(&mut line);
        }
        line.push(']');
    }
    line.push_str("],\"headings\":[");
    for (at, heading) in headings.iter().enumerate() {
        if at > 0 {
            line.push(',');
        }
        push_json_string(&mut line, heading);
    }
    line.push_str("]}");
    match serde_json::from_str(&line) {
        Ok(value) if style.pretty => out.push_str(&pretty(&value)),
        _ => out.push_str(&line),
    }
    out.push('\n');
}

/// JSON over several lines: members sorted, two blanks for each level, a bracket closing where the
/// last element ends, as upstream's `--pretty` does.
pub fn pretty(value: &Value) -> String {
    let mut out = String::new();
    push_pretty(&mut out, value, 0);
    out
}

fn push_pretty(out: &mut String, value: &Value, depth: usize) {
    let indent = |out: &mut String| {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', 2 * (depth + 1)));
    };
    match value {
        Value::Object(members) => {
            out.push('{');
            let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
            sorted.sort_by_key(|(name, _)| name.as_str());
            indent(out);
            for (at, (name, value)) in sorted.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                    indent(out);
                }
                push_json_string(out, name);
                out.push_str(": ");
                push_pretty(out, value, depth + 1);
            }
            out.push('}');
        }
        Value::Array(elements) => {
            out.push('[');
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                indent(out);
                push_pretty(out, element, depth + 1);
            }
            out.push(']');
        }
        Value::String(text) => push_json_string(out, text),
        other => out.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_lines() {
        let value = serde_json::json!({"b": [1, {"x": "y"}], "a": []});
        assert_eq!(
            pretty(&value),
            "{\n  \"a\": [],\n  \"b\": [\n    1,\n    {\n      \"x\": \"y\"}]}"
        );
    }
}
