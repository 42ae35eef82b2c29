//! `${env:NAME}` and `${file:PATH}` in a config's strings. Expanded in the text itself, so that line numbers hold; the
//! value is escaped, so that it cannot change the file's structure. Comment lines are left alone.

use std::path::Path;

use super::Fault;

/// The text with every reference replaced, or a fault for each that cannot be.
pub fn expand(name: &str, text: &str, base: &Path) -> Result<String, Vec<Fault>> {
    let mut out = String::with_capacity(text.len());
    let mut faults = Vec::new();
    for (i, line) in text.split_inclusive('\n').enumerate() {
        if line.trim_start().starts_with('#') {
            out.push_str(line);
            continue;
        }
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((reference, tail)) = after.split_once('}') else { break };
            out.push_str(before);
            match resolve(reference, base) {
                Ok(value) => out.push_str(&escape(&value)),
                Err((message, hint)) => faults.push(Fault { file: name.into(), line: Some(i + 1), message, hint }),
            }
            rest = tail;
        }
        out.push_str(rest);
    }
    if faults.is_empty() { Ok(out) } else { Err(faults) }
}

fn resolve(reference: &str, base: &Path) -> Result<String, (String, String)> {
    match reference.split_once(':') {
        Some(("env", var)) => std::env::var(var)
            .map_err(|_| (format!("environment variable {var} is not set"), format!("export {var}=… before starting"))),
        Some(("file", path)) => {
            let path = base.join(path);
            std::fs::read_to_string(&path).map(|s| s.trim_end().to_owned()).map_err(|e| {
                (
                    format!("cannot read the secret in {}: {e}", path.display()),
                    "create the file, readable by this user alone".into(),
                )
            })
        }
        _ => Err((format!("`${{{reference}}}` is no reference"), "write ${env:NAME} or ${file:PATH}".into())),
    }
}

fn escape(value: &str) -> String {
    value
        .chars()
        .flat_map(|c| match c {
            '"' => vec!['\\', '"'],
            '\\' => vec!['\\', '\\'],
            '\n' => vec!['\\', 'n'],
            '\r' => vec!['\\', 'r'],
            c => vec![c],
        })
        .collect()
}
