//! What the descriptor names: the compiler, and the version of the crate that the lock file settled on.

use std::{env, fs, process::Command};

fn main() {
    println!("cargo:rerun-if-changed=Cargo.lock");
    println!("cargo:rustc-env=AWA_VERSION={}", locked_version("awa"));
    println!("cargo:rustc-env=COMPILER={}", compiler());
}

fn locked_version(name: &str) -> String {
    let lock = fs::read_to_string("Cargo.lock").expect("Cargo.lock is committed");
    let heading = format!("name = \"{name}\"\nversion = \"");
    let start = lock.find(&heading).expect("the crate is in Cargo.lock") + heading.len();
    lock[start..].chars().take_while(|c| *c != '"').collect()
}

/// Such as `rustc 1.95.0`.
fn compiler() -> String {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().expect("rustc tells its version");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}
