//! What must not stand in a source file, or not there.

use crate::assert_none;
use crate::tree::{File, rust_files};

/// A file that is longer wants to be two.
const MOST_LINES: usize = 500;

/// The first part of every object key. One file may spell them.
const KEYS: [&str; 12] = [
    "format",
    "orgs",
    "policy",
    "users",
    "names",
    "catalog",
    "workspaces",
    "_tfe_tokens",
    "_refresh",
    "_codes",
    "_probe",
    "audit",
];

/// Where key names belong.
const LAYOUT: &str = "adapters/object-store/src/layout";

// Spelled in two parts, so that this file does not break its own rule.
const UNFINISHED: [&str; 3] =
    [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("#[", "ignore")];

/// The lint that guards the side doors; who names it wants to go through one.
const SIDE_DOORS: &str = concat!("clippy::disallowed", "_methods");

fn too_long(files: &[File]) -> Vec<String> {
    let lines = |file: &File| file.text.lines().count();
    let long = files.iter().filter(|file| lines(file) > MOST_LINES);
    long.map(|file| format!("{}: {} lines", file.path, lines(file))).collect()
}

fn unfinished(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        for mark in UNFINISHED.iter().filter(|mark| file.text.contains(*mark)) {
            found.push(format!("{}: {mark}", file.path));
        }
    }
    found
}

fn stray_keys(files: &[File]) -> Vec<String> {
    let stores = |file: &&File| {
        let path = file.path.as_str();
        (path.starts_with("adapters/object-store/src/") || path.starts_with("ports/src/"))
            && !path.starts_with(LAYOUT)
            && !is_test(path)
    };
    let mut found = Vec::new();
    for file in files.iter().filter(stores) {
        for literal in literals(product_part(&file.text)) {
            let names_a_key = |key: &&&str| {
                literal.starts_with(&format!("{key}/")) || literal.contains(&format!("/{key}/"))
            };
            if KEYS.iter().find(names_a_key).is_some() {
                found.push(format!("{}: \"{literal}\" belongs in layout", file.path));
            }
        }
    }
    found
}

fn side_doors(files: &[File]) -> Vec<String> {
    let bound = |file: &&File| {
        let path = file.path.as_str();
        !path.starts_with("adapters/system/")
            && !path.starts_with("tests/")
            && !path.starts_with("examples/")
            && path != "app/src/env.rs"
            && !is_test(path)
    };
    let opens = files.iter().filter(bound).filter(|file| product_part(&file.text).contains(SIDE_DOORS));
    opens
        .map(|file| format!("{}: only adapters/system and app/src/env.rs may ask the system", file.path))
        .collect()
}

/// Whether a file holds tests alone.
fn is_test(path: &str) -> bool {
    path.split('/').any(|part| matches!(part.trim_end_matches(".rs"), "tests" | "test"))
}

/// A file without the tests at its end.
fn product_part(text: &str) -> &str {
    text.find("#[cfg(test)]\nmod tests {").map_or(text, |end| &text[..end])
}

/// String literals, roughly: comments are left out, escapes are kept as they stand.
fn literals(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.trim_start();
        if line.starts_with("//") {
            continue;
        }
        // Every second piece between quotes is inside; an escaped quote does not end it.
        let marked = line.replace("\\\"", "\u{1}").replace("'\"'", "");
        found.extend(marked.split('"').skip(1).step_by(2).map(|piece| piece.replace('\u{1}', "\\\"")));
    }
    found
}

#[test]
fn no_file_is_longer_than_anyone_reads() {
    assert_none("split by noun", &too_long(&rust_files()));
}

#[test]
fn nothing_unfinished_and_no_test_switched_off() {
    assert_none("finish it, or take it out", &unfinished(&rust_files()));
}

#[test]
fn one_file_owns_every_key_name() {
    assert_none("key names live in layout", &stray_keys(&rust_files()));
}

#[test]
fn only_the_system_adapter_asks_the_system() {
    assert_none("time, settings and randomness come through ports", &side_doors(&rust_files()));
}

#[test]
fn a_planted_long_file_is_found() {
    let files = [File::new("a.rs", &"x\n".repeat(500)), File::new("b.rs", &"x\n".repeat(501))];
    assert_eq!(too_long(&files), ["b.rs: 501 lines"]);
}

#[test]
fn planted_unfinished_marks_are_found() {
    let files: Vec<File> =
        UNFINISHED.iter().map(|mark| File::new("a.rs", &format!("fn a() {{ {mark} }}"))).collect();
    assert_eq!(unfinished(&files).len(), 3);
}

#[test]
fn planted_key_names_are_found() {
    let code = "// \"orgs/\" in a comment is fine\nlet a = format!(\"{p}/workspaces/{id}\");\nlet b = \"names/x\";\n\
                let c = \"nicknames/x\";\n#[cfg(test)]\nmod tests {\n let d = \"orgs/x\";\n}\n";
    let at = |path| stray_keys(&[File::new(path, code)]).len();
    assert_eq!(at("adapters/object-store/src/record.rs"), 2);
    assert_eq!(at("ports/src/driven/records.rs"), 2);
    assert_eq!(at("adapters/object-store/src/layout.rs"), 0);
    assert_eq!(at("adapters/object-store/src/stream/tests.rs"), 0);
    assert_eq!(at("adapters/http/src/tfe/workspaces.rs"), 0, "addresses are not keys");
}

#[test]
fn a_planted_side_door_is_found() {
    let code = format!("#[expect(\n    {SIDE_DOORS},\n    reason = \"x\"\n)]\nfn a() {{}}\n");
    let at = |path| side_doors(&[File::new(path, &code)]).len();
    assert_eq!(
        (at("domain/src/time.rs"), at("app/src/compose.rs"), at("adapters/http/src/lib.rs")),
        (1, 1, 1)
    );
    assert_eq!(
        (at("adapters/system/src/clock.rs"), at("app/src/env.rs"), at("tests/support/lib.rs")),
        (0, 0, 0)
    );
}
