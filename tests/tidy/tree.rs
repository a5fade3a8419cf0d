//! The repository as data.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use opentaco_tests::server::repository;

use crate::edges::Member;

/// A file: its path from the root of the repository, with `/`, and its text.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into() }
    }
}

/// A file at the root.
pub(crate) fn root_file(name: &str) -> File {
    let text = fs::read_to_string(repository().join(name));
    File::new(name, &text.unwrap_or_else(|error| panic!("{name}: {error}")))
}

/// Every Rust file.
pub(crate) fn rust_files() -> Vec<File> {
    let mut paths = Vec::new();
    collect(repository(), &mut paths);
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

/// The manifest of every member.
pub(crate) fn manifests() -> Vec<File> {
    let metadata = metadata();
    metadata.workspace_packages().iter().map(|package| read(package.manifest_path.as_std_path())).collect()
}

/// Every member with the members and crates it names.
pub(crate) fn members() -> Vec<Member> {
    let metadata = metadata();
    let of = |package: &cargo_metadata::Package| {
        let folder = package.manifest_path.parent().expect("a manifest lies in a folder");
        let needed = package.dependencies.iter().filter(|needed| needed.kind != DependencyKind::Development);
        Member {
            name: package.name.to_string(),
            folder: relative(folder.as_std_path()),
            needs: needed.map(|needed| needed.name.clone()).collect(),
        }
    };
    metadata.workspace_packages().into_iter().map(of).collect()
}

/// Everything that is compiled into a member, by name.
///
/// Asked of `cargo tree`, because it selects features for this member alone; the workspace's metadata
/// shows what any member switches on.
pub(crate) fn closure(member: &str) -> Vec<String> {
    let output = Command::new(cargo())
        .current_dir(repository())
        .args([
            "tree",
            "--locked",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
            "--package",
            member,
        ])
        .output()
        .expect("cargo to run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("names");
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn metadata() -> Metadata {
    MetadataCommand::new().cargo_path(cargo()).current_dir(repository()).no_deps().exec().expect("metadata")
}

fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let path = entry.path();
        if name.starts_with('.') || name == "target" {
            continue;
        }
        if entry.file_type().expect("a kind").is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn read(path: &Path) -> File {
    File::new(&relative(path), &fs::read_to_string(path).expect("a readable file"))
}

fn relative(path: &Path) -> String {
    let inside = path.strip_prefix(repository()).expect("a path in the repository");
    inside.to_string_lossy().replace('\\', "/")
}
